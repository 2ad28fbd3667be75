"""Align: words in music are found where they were put."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from tests.integration.runner.tasks.align.songs import RATE, TEXT, VOICES, Singing, Song, make_song, mixed
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.task import TaskInput, TaskResult
from audiojob_types.documents.lyrics import Lyrics
from audiojob_types.tasks import Task


def inputs(folder: Path, samples: Any, lines: list[dict[str, Any]], **more: Any) -> list[TaskInput]:
    """The vocals and their lyrics."""
    vocals, lyrics = folder / "vocals.wav", folder / "lyrics.json"
    soundfile.write(vocals, samples, RATE)
    lyrics.write_text(json.dumps({"timing": "Lines", "origin": {"place": "Input"}, "lines": lines, **more}))
    return [TaskInput("lyrics", path=lyrics), TaskInput("vocals", path=vocals)]


def timed(song: Song) -> list[dict[str, Any]]:
    """Lines with their times, as an LRC has them: each ends where the next begins."""
    begins = [*(line[0].start for line in song.lines), song.seconds]
    return [
        {
            "words": [{"text": word.text} for word in line],
            "startMilliseconds": round(begins[number] * 1_000),
            "endMilliseconds": round(begins[number + 1] * 1_000),
            "endDerived": True,
        }
        for number, line in enumerate(song.lines)
    ]


def record(result: TaskResult) -> Lyrics:
    return Lyrics.read(result.outputs[0].path.read_bytes())


def errors(song: Song, found: Lyrics) -> NDArray[np.float64]:
    """By how many milliseconds each word's begin is wrong."""
    words = [word for line in found.lines for word in line.words]
    truth = [word for line in song.lines for word in line]
    assert [word.text for word in words] == [word.text for word in truth]
    begins = np.array([word.start_milliseconds for word in words], dtype=float)
    return np.asarray(np.abs(begins - 1_000 * np.array([word.start for word in truth])))


@pytest.mark.parametrize(
    ("singing", "median", "share"),
    [
        pytest.param(Singing(VOICES[0]), 50, 0.9, id="spoken"),
        pytest.param(Singing(VOICES[1], (1.5, 2.0), (35, 65)), 100, 0.7, id="drawn out, on several notes"),
    ],
)
def test_words_in_music_are_found_where_they_are(
    bench: Bench, tmp_path: Path, singing: Singing, median: float, share: float
) -> None:
    song = make_song(tmp_path, singing, TEXT[:6])
    result = bench.run_on(Task.ALIGN, inputs(tmp_path, mixed(song, -6), timed(song), language="en"))
    wrong = errors(song, record(result))
    assert np.median(wrong) <= median
    assert np.mean(wrong <= 150) >= share
    assert [output.path.name for output in result.outputs] == [
        "lyrics.json", "lyrics.lrc", "lyrics.srt", "lyrics.vtt", "lyrics.ass",
    ]  # fmt: skip
    assert all(0 <= (word.confidence or 0) < 1 for line in record(result).lines for word in line.words)
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)
    assert sorted(path.name for path in bench.work.iterdir()) == sorted(o.path.name for o in result.outputs)


def untimed(text: list[str]) -> list[dict[str, Any]]:
    """Lines without times."""
    return [{"words": [{"text": word} for word in line.split()]} for line in text]


def test_lines_without_times_are_found_in_the_song(bench: Bench, tmp_path: Path) -> None:
    song = make_song(tmp_path, Singing(VOICES[0]), TEXT[:5])
    lines = untimed([*TEXT[:3], "nobody sings these words", *TEXT[3:5]])
    result = bench.run_on(Task.ALIGN, inputs(tmp_path, mixed(song, -6), lines))
    found = record(result)
    sung = found.model_copy(update={"lines": (*found.lines[:3], *found.lines[4:])})
    assert np.median(errors(song, sung)) <= 100
    assert np.mean(errors(song, sung) <= 500) >= 0.9
    times = [time for line in found.lines for time in (line.start_milliseconds or 0, line.end_milliseconds or 0)]
    assert times == sorted(times)
    assert result.review_asked is not None
