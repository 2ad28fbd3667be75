from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audiojob_dev.demo.karaoke import onset_errors, request, shown_moments
from audiojob_dev.demo.song import Song, Sung
from audiojob_dev.demo.tools import ToolError
from audiojob_types.resources.job import AudioJob

SONG = Song(
    Path("/song"),
    ((Sung("Paper", 6.0, 6.4), Sung("boats", 6.6, 7.0)), (Sung("Carry", 70.25, 70.6), Sung("on", 71.0, 71.2))),
    seconds=80,
)


def record(*starts: int) -> dict[str, Any]:
    words = [{"text": "x", "startMilliseconds": start} for start in starts]
    return {"lines": [{"words": words[:2]}, {"words": words[2:]}]}


def test_the_words_have_times_by_line_alone() -> None:
    assert SONG.lrc.splitlines()[-2:] == ["[00:06.00]Paper boats", "[01:10.25]Carry on"]


def test_the_job_is_one_that_the_api_takes() -> None:
    job = AudioJob.model_validate(request(SONG, "karaoke-1"))
    assert {each.name for each in job.spec.inputs} == {"lyrics", "vocals"}


def test_frames_are_taken_in_the_middle_of_words_from_first_to_last() -> None:
    assert shown_moments(SONG, 5) == pytest.approx([2.0, 6.2, 6.8, 70.425, 71.1])


def test_onsets_are_compared_word_by_word() -> None:
    assert onset_errors(record(6_000, 6_650, 70_200, 71_000), SONG) == pytest.approx([0, 0.05, 0.05, 0])
    with pytest.raises(ToolError, match="3 words, the song 4"):
        onset_errors(record(1, 2, 3), SONG)
