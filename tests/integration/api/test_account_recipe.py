"""The recipe of docs/api.md for an account, its rights and its token, run as it is written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.integration.api.conftest import JOBS, Api, chart_template

from audiojob_dev.rest import wait_until

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[3] / "docs/api.md"


def recipe(namespace: str) -> list[list[str]]:
    """The three commands, each without `kubectl`, in this namespace and with the roles of the tests' release."""
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"An account for a program.*?```sh\n(.*?)```", text, re.DOTALL)
    lines = re.sub(r"^TOKEN=\$\((.*)\)$", r"\1", block, flags=re.MULTILINE)
    named = lines.replace("music", namespace).replace("=audiojob-edit", "=api-test-edit")
    return [shlex.split(line)[1:] for line in named.splitlines()]


def test_an_account_made_by_the_recipe_may_do_what_the_page_shows(api: Api) -> None:
    api.server.kubectl("apply", "-f", "-", stdin=chart_template("user-roles.yaml", api.namespace))
    *made, token_of = recipe(api.namespace)
    assert len(made) == 2
    for command in made:
        api.server.kubectl(*command)
    token = api.server.kubectl(*token_of).strip()
    wait_until("its rights", lambda: api.call("GET", JOBS, token=token)[0] == 200, seconds=60)
    status, answer = api.call("POST", JOBS, {"pipeline": "download", "name": "by-recipe"}, token=token)
    assert status == 201, answer
    assert api.call("GET", f"{JOBS}/by-recipe", token=token)[0] == 200
    assert api.call("GET", JOBS, token=token)[0] == 200
    assert api.call("DELETE", f"{JOBS}/by-recipe", token=token)[0] == 202


def test_a_job_that_publishes_is_stored_with_its_destination(api: Api) -> None:
    spec = {
        "pipeline": "publish",
        "source": {"library": {"name": "music", "path": "Artist/Song.flac"}},
        "destination": {"library": "stems", "layout": "ArtistAlbum"},
        "reuse": "Never",
    }
    status, answer = api.call("POST", JOBS, {**spec, "name": "published"})
    assert status == 201, answer
    assert spec.items() <= api.stored("published")["spec"].items()
