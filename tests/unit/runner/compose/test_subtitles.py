"""Subtitles and chapters by the times of the scenes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from audiojob_runner.compose.frame import Frame
from audiojob_runner.compose.plan import Lengths, plan
from audiojob_runner.compose.subtitles import (
    MOST_CHARACTERS,
    chapters,
    cues,
    rows,
    split_text,
    write_chapters,
    write_srt,
    write_webvtt,
)
from audiojob_types.documents.scenes import SceneList

FRAME = Frame(320, 180, 25)


def shots(*scenes: dict[str, Any]) -> tuple[Any, ...]:
    filled = [{"colour": "#000000", "durationMilliseconds": 2_000, **each} for each in scenes]
    return plan(SceneList.model_validate({"scenes": filled}), Lengths({}, {}), FRAME)


def test_what_is_said_is_shown_while_it_is_said() -> None:
    found = cues(shots({"subtitle": "One."}, {}, {"subtitle": "Three {x} <i>& more</i>"}), [1_500, 0, 0], FRAME)
    assert write_srt(found) == (
        "1\n00:00:00,000 --> 00:00:01,500\nOne.\n\n2\n00:00:04,000 --> 00:00:06,000\nThree ｛x｝ & more\n"
    )
    assert write_webvtt(found, "en").startswith("WEBVTT\nLanguage: en\n\n00:00:00.000 --> 00:00:01.500\nOne.\n")
    assert "Three ｛x｝ &amp; more" in write_webvtt(found)


def test_long_texts_are_cut_where_sentences_end_and_spread_by_their_letters() -> None:
    text = "This is a first sentence of some length. " + "And then come words " * 8
    parts = split_text(text)
    assert parts[0] == "This is a first sentence of some length."
    assert all(len(part) <= MOST_CHARACTERS for part in parts)
    assert " ".join(parts).split() == text.split()
    found = cues(shots({"subtitle": text}), [0], FRAME)
    assert found[0].start == 0
    assert found[-1].end == 2_000
    assert all(one.end == other.start for one, other in pairwise(found))
    assert split_text("x" * 200) == ["x" * 84, "x" * 84, "x" * 32]
    assert rows("a " * 30 + "b").count("\n") == 1


def test_chapters_begin_with_scenes_that_have_a_title() -> None:
    found = chapters(shots({}, {"title": "Two"}, {}, {"title": "Four\n-->"}), FRAME)
    assert [(each.start, each.end, each.title) for each in found] == [(0, 2, ""), (2, 6, "Two"), (6, 8, "Four →")]
    assert write_chapters(found).splitlines() == [
        "WEBVTT", "", "00:00:00.000 --> 00:00:02.000", "…", "", "00:00:02.000 --> 00:00:06.000", "Two", "",
        "00:00:06.000 --> 00:00:08.000", "Four →",
    ]  # fmt: skip
    assert chapters(shots({}, {}), FRAME) == ()
