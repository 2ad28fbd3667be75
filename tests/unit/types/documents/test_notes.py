"""The record of notes.json: what it refuses, what it reads, how it is written."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from audiojob_types.documents.notes import Drum, Hit, Instrument, Note, Notes

NOTE: dict[str, Any] = {"onset": 0.5, "offset": 1.0, "pitch": 60}


def test_what_is_written_reads_back() -> None:
    note = Note(onset=0.5, offset=1.0, pitch=60, velocity=90, confidence=0.8, bends=(0.0, -0.25))
    hit = Hit(time=0.5, drum=Drum.KICK)
    notes = Notes(duration_seconds=2.0, instrument=Instrument.GUITAR, stem="guitar", notes=(note,), hits=(hit,))
    wire = notes.to_wire()
    assert Notes.read(wire) == notes
    assert wire["notes"] == [
        {"onset": 0.5, "offset": 1.0, "pitch": 60, "velocity": 90, "confidence": 0.8, "bends": [0.0, -0.25]}
    ]
    assert (wire["instrument"], wire["hits"][0]["drum"]) == ("Guitar", "Kick")


def test_fields_of_a_later_version_are_passed_over() -> None:
    found = Notes.read({"durationSeconds": 2, "instrument": "Piano", "key": "C", "notes": [{**NOTE, "hand": "left"}]})
    assert found.notes == (Note(onset=0.5, offset=1.0, pitch=60),)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param({"version": 2}, "Input should be 1", id="another version"),
        pytest.param({"durationSeconds": 0}, "greater than 0", id="no length"),
        pytest.param({"instrument": "Kazoo"}, "Input should be 'Piano'", id="an instrument that is not told apart"),
        pytest.param({"stem": "../x"}, "match pattern", id="a stem that is a path"),
        pytest.param({"notes": [{**NOTE, "pitch": 128}]}, "less than or equal to 127", id="a pitch outside MIDI"),
        pytest.param({"notes": [{**NOTE, "offset": 0.5}]}, "must be above onset", id="a note without length"),
        pytest.param({"notes": [{**NOTE, "onset": -1}]}, "greater than or equal to 0", id="a note before it begins"),
        pytest.param({"notes": [{**NOTE, "bends": [0.0] * 2_001}]}, "at most 2000", id="bends without end"),
        pytest.param({"hits": [{"time": 0, "drum": "Gong"}]}, "Input should be 'Kick'", id="another drum"),
    ],
)
def test_what_is_no_record_of_notes(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Notes.model_validate({"durationSeconds": 2, "instrument": "Piano", **fields})
