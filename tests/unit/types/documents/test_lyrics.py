"""The record of lyrics.json: what it refuses, what it reads, how it is written."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from audiojob_types.documents.lyrics import Form, Line, Lyrics, Origin, Place, Timing, Word, timing_of

TIMED = {"startMilliseconds": 1_000, "endMilliseconds": 2_000}


def test_what_is_written_reads_back() -> None:
    words = (Word(text="Dra", start_milliseconds=1_000, end_milliseconds=1_500), Word(text="gons", joined=True,
             start_milliseconds=1_500, end_milliseconds=2_000))  # fmt: skip
    line = Line(words=words, start_milliseconds=1_000, end_milliseconds=2_000, end_derived=True)
    lyrics = Lyrics(timing=timing_of((line,)), origin=Origin(place=Place.INPUT, form=Form.LRC), lines=(line,))
    wire = lyrics.to_wire()
    assert Lyrics.read(wire) == lyrics
    assert wire["timing"] == "Words"
    assert wire["lines"][0]["words"][1] == {
        "text": "gons", "joined": True, "startMilliseconds": 1_500, "endMilliseconds": 2_000, "derived": False,
    }  # fmt: skip
    assert line.text == "Dragons"


def test_fields_of_a_later_version_are_passed_over() -> None:
    found = Lyrics.read(
        {"timing": "None", "origin": {"place": "Tags", "since": 2}, "lines": [{"words": [{"text": "la", "pitch": 7}]}]}
    )
    assert (found.lines[0].text, found.timing, found.direction) == ("la", Timing.NONE, "LeftToRight")


@pytest.mark.parametrize("version", [pytest.param(2, id="a later one"), pytest.param(-1, id="none that ever was")])
def test_another_version_is_not_taken_for_this_one(version: int) -> None:
    with pytest.raises(ValidationError, match=r"version\n +Input should be 1"):
        Lyrics.read({"version": version, "timing": "None", "origin": {"place": "Tags"}})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param({"words": []}, "at least 1 item", id="a line without words"),
        pytest.param({"words": [{"text": "a b"}]}, "match pattern", id="a word with a space"),
        pytest.param({"words": [{"text": "a"}], "startMilliseconds": 1}, "go together", id="a start without an end"),
        pytest.param({"words": [{"text": "a"}], "startMilliseconds": 2, "endMilliseconds": 1}, "must not be below",
                     id="an end before the start"),
        pytest.param({"words": [{"text": "a", **TIMED}]}, "have none either", id="times of words alone"),
        pytest.param({"words": [{"text": "a"}], "startMilliseconds": -1, "endMilliseconds": 1}, "greater than or equal",
                     id="a negative time"),
        pytest.param({"words": [{"text": "a" * 501}]}, "at most 500", id="a word without end"),
    ],
)  # fmt: skip
def test_what_is_no_line(line: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Line.model_validate(line)
