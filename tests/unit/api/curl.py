"""curl commands of a page of the documentation, as requests to the app."""

from __future__ import annotations

import re
import shlex

from tests.unit.api.fakes import GOOD_TOKEN


def commands(page: str, program: str) -> list[list[str]]:
    """The words of each command of the page that runs this program."""
    shell = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    joined = re.findall(r"((?:[^\n']|'[^']*')+)", shell)  # a body in quotes may have several lines
    words = [shlex.split(line, comments=True) for line in joined]
    return [each for each in words if each and each[0] == program]


def request_of(words: list[str]) -> tuple[str, str, dict[str, str], str | None]:
    """Method, address, headers and body of a curl command. Fails for an option that it does not know."""
    method, address, headers, body = "", "", {}, None
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value.replace("$TOKEN", GOOD_TOKEN)
        elif word == "-d":
            body = next(rest)
        elif not word.startswith("-"):
            address = word
        else:
            assert word == "-N", word
    return method or ("POST" if body else "GET"), address, headers, body
