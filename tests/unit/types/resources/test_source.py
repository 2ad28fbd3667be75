"""Sources as they are read and written. What the API server refuses of them: tests/integration/crds/test_source.py."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from audiojob_types.resources.source import SOURCE_KINDS, Source

SOURCES: dict[str, dict[str, Any]] = {
    "an address": {"url": "https://example.org/song.flac"},
    "an upload": {"object": {"key": "albums/song.flac"}},
    "a file of a library": {"library": {"name": "nas", "path": "Artist/Song.flac"}},
    "an output of another job": {"jobRef": {"name": "mix", "output": "vocals"}},
    "the only output of another job": {"jobRef": {"name": "mix"}},
}
NO_SOURCES: dict[str, dict[str, Any]] = {
    "an unknown kind": {"disk": {"name": "home"}},
    "a library without a path": {"library": {"name": "home"}},
    "a library by a path": {"library": {"name": "../home", "path": "a"}},
    "a job of another namespace": {"jobRef": {"name": "mix", "namespace": "theirs"}},
    "a job without a name": {"jobRef": {"output": "vocals"}},
    "an output that is a path": {"jobRef": {"name": "mix", "output": "../secret"}},
    "a key with a zero byte": {"object": {"key": "song\x00.flac"}},
    "an empty address": {"url": ""},
}


@pytest.mark.parametrize("wire", SOURCES.values(), ids=SOURCES.keys())
def test_a_source_is_written_as_it_was_read(wire: dict[str, Any]) -> None:
    assert Source.model_validate(wire).to_wire() == wire


@pytest.mark.parametrize("wire", NO_SOURCES.values(), ids=NO_SOURCES.keys())
def test_what_is_no_source_is_refused(wire: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Source.model_validate(wire)


def test_messages_name_every_kind_of_source() -> None:
    rule = Source.model_json_schema()["x-kubernetes-validations"][0]
    assert set(SOURCE_KINDS) == {kind for wire in SOURCES.values() for kind in wire}
    assert rule["message"] == f"source must have exactly one of {', '.join(SOURCE_KINDS)}"
    assert all(f"has(self.{kind})" in rule["rule"] for kind in SOURCE_KINDS)
