"""docs/api.md and the API agree: calls, problems, settings, and every curl command, run against the app."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient
from tests.unit.api.curl import commands, request_of
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.settings import ApiSettings

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/api.md").read_text(encoding="utf-8")


CURLS = [request_of(words) for words in commands(PAGE, "curl")]


def test_the_page_has_examples() -> None:
    assert {(method, urlsplit(address).netloc) for method, address, _, _ in CURLS} == {
        ("POST", "127.0.0.1:8081"), ("GET", "127.0.0.1:8081"), ("DELETE", "127.0.0.1:8081"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "command", CURLS, ids=[f"{method} {urlsplit(address).path}" for method, address, _, _ in CURLS]
)
def test_every_curl_command_works(anonymous: TestClient, backend: MemoryBackend, command: Any) -> None:
    method, address, headers, body = command
    backend.put("song", state="Running")
    backend.put("ended", state="Succeeded")
    backend.pipelines.put("separate", {"name": "separate", "task": "Separate"})
    name = "ended" if address.endswith("/events") else "song"
    answer = anonymous.request(method, address.replace("NAME", name), headers=headers, content=body)
    always_200 = "estimate" in address or "/bulk/" in address
    wanted = 200 if always_200 else {"POST": 201, "GET": 200, "DELETE": 202}[method]
    assert answer.status_code == wanted, answer.text


def test_the_table_of_calls_is_the_openapi_document(document: dict[str, Any]) -> None:
    calls = set()
    for cell in re.findall(r"^\| (`(?:GET|POST|PUT|PATCH|DELETE) [^|]*) \|", PAGE, re.MULTILINE):
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) ([^`?]+)", cell):
            for word in ("NAME", "OUTPUT", "UPLOAD", "PART", "INSTRUMENT", "ID"):
                path = path.replace(word, f"{{{word.lower()}}}")  # noqa: PLW2901
            calls.add((method, path))
        first = re.search(r"`POST ([^`]+/)\w+`, `…/(\w+)`", cell)
        if first:
            calls.add(("POST", (first[1] + first[2]).replace("NAME", "{name}")))
    paths = document["paths"]
    assert calls == {(method.upper(), path) for path in paths for method in paths[path] if path.startswith("/api/")}


def test_the_table_of_problems_is_what_the_code_raises() -> None:
    listed = set(re.findall(r"/problems/([a-z-]+)", PAGE))
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "api").rglob("*.py"))
    raised = set(re.findall(r'(?:Problem\(|, )\s*(?:4|5)\d\d,\s+"([a-z-]+)"', code))
    made_of_phrases = {"not-found", "method-not-allowed", "unavailable"}
    assert listed == raised | made_of_phrases


def test_every_setting_is_named() -> None:
    settings = PAGE[PAGE.index("## Settings") :]
    named = {name.partition("__")[0] for name in re.findall(r"AUDIOJOB_[A-Z_]+", settings)}
    assert named == {f"AUDIOJOB_{name.upper()}" for name in ApiSettings.model_fields}
