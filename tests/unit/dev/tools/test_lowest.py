"""The floors of pyproject.toml are true: each was tried, and has every name that our code imports of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audiojob_dev.tools.lowest import EXTRAS, RECORD, floors, imported, reached, used

ROOT = Path(__file__).parents[4]
TRIED: dict[str, dict[str, Any]] = json.loads((ROOT / RECORD).read_text(encoding="utf-8"))
FLOORS = floors(ROOT)


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_floors_of_the_project_file_are_those_that_were_tried(extra: str) -> None:
    assert {name: entry["floor"] for name, entry in TRIED[extra].items()} == FLOORS[extra], "run `make floors`"
    assert all(reached(entry["floor"], entry["tried"]) for entry in TRIED[extra].values())


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_name_that_is_imported_was_found_in_the_lowest_version(extra: str) -> None:
    wanted = {(name, each) for name, names in used(ROOT, extra, FLOORS[extra]).items() for each in names}
    found = {(name, each) for name, entry in TRIED[extra].items() for each in entry["imports"]}
    assert wanted - found == set(), "run `make floors`"


def test_the_record_knows_why_fastapi_is_not_older() -> None:
    assert "fastapi.sse:ServerSentEvent" in TRIED["api"]["fastapi"]["imports"]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from fastapi.sse import EventSourceResponse as E", ["fastapi.sse:EventSourceResponse"]),
        ("import orjson\norjson.loads(b'')", ["orjson", "orjson:loads"]),
        ("import a.b\na.b.c()", ["a.b", "a:b"]),
        ("import a.b as d\nd.c()", ["a.b", "a.b:c"]),
        ("def late():\n    from a import b", ["a:b"]),
        ("if TYPE_CHECKING:\n    from a import b", []),
        ("if typing.TYPE_CHECKING:\n    import a", []),
    ],
    ids=["a name", "an attribute", "a module below", "under another name", "in a function", "for types", "also"],
)
def test_what_a_module_imports(source: str, names: list[str]) -> None:
    assert list(imported(source)) == names


@pytest.mark.parametrize(
    ("floor", "version", "is_reached"),
    [("0.135", "0.135.0", True), ("2.4", "2.4.5", True), ("2.3", "2.4.5", False), ("0.120", "0.12.0", False)],
)
def test_a_floor_is_reached_as_exactly_as_it_is_written(floor: str, version: str, is_reached: bool) -> None:
    assert reached(floor, version) is is_reached
