"""Align: what cannot be aligned is spread and said, and fails nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.errors import PhaseError
from audiojob_runner.task import TaskInput, TaskResult
from audiojob_types.contract import ExitCode
from audiojob_types.documents.lyrics import Lyrics
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

RATE = 16_000
SILENCE = np.zeros(4 * RATE)
TIMED = {"words": [{"text": "one"}, {"text": "two"}], "startMilliseconds": 1_000, "endMilliseconds": 2_000}
NOISE = np.random.default_rng(1).standard_normal(4 * RATE) * 0.1


def line(text: str, start: int | None = None, end: int | None = None, **more: Any) -> dict[str, Any]:
    times = {} if start is None else {"startMilliseconds": start, "endMilliseconds": end}
    return {"words": [{"text": word} for word in text.split()], **times, **more}


def run(bench: Bench, folder: Path, samples: Any, lines: list[dict[str, Any]], **more: Any) -> TaskResult:
    vocals, lyrics = folder / "vocals.wav", folder / "lyrics.json"
    soundfile.write(vocals, samples, RATE)
    lyrics.write_text(json.dumps({"timing": "Lines", "origin": {"place": "Input"}, "lines": lines, **more}))
    return bench.run_on(Task.ALIGN, [TaskInput("lyrics", path=lyrics), TaskInput("vocals", path=vocals)])


def times(result: TaskResult) -> list[list[tuple[int | None, int | None]]]:
    found = Lyrics.read(result.outputs[0].path.read_bytes())
    return [[(word.start_milliseconds, word.end_milliseconds) for word in each.words] for each in found.lines]


def said(result: TaskResult) -> str:
    return " ".join(result.metadata.get("warnings", []))


@pytest.mark.parametrize(
    ("samples", "lines", "more", "begins"),
    [
        pytest.param(
            SILENCE, [TIMED], {"language": "en"}, [[1_000, 1_500]], id="silent vocals, line times"
        ),
        pytest.param(
            SILENCE, [line("one"), line("two")], {"language": "en"}, [[0], [2_000]], id="silent vocals, no times at all"
        ),
        pytest.param(
            NOISE, [TIMED], {"language": "cop"}, [[1_000, 1_500]], id="nobody speaks the language"
        ),
        pytest.param(NOISE, [line("— … !", 1_000, 2_000)], {}, [[1_000, 1_333, 1_667]], id="nothing that can be said"),
        pytest.param(
            NOISE, [line("a b", 3_900, 9_000)], {}, [[3_900, 3_950]], id="a line that goes on behind the end"
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_heard_is_spread_evenly(
    bench: Bench,
    tmp_path: Path,
    samples: Any,
    lines: list[dict[str, Any]],
    more: dict[str, Any],
    begins: list[list[int]],
) -> None:
    result = run(bench, tmp_path, samples, lines, **more)
    assert [[start for start, _ in words] for words in times(result)] == begins
    assert "AlignmentPoor" in said(result)
    assert result.review_asked is not None
    found = Lyrics.read(result.outputs[0].path.read_bytes())
    assert all(
        (word.derived, (word.confidence or 1) <= 0.2) == (True, True) for each in found.lines for word in each.words
    )


@pytest.mark.parametrize(
    "language",
    [pytest.param("en", id="too many for the song"), pytest.param("ja", id="letters that its language does not have")],
)
def test_nothing_begins_after_the_end(bench: Bench, tmp_path: Path, language: str) -> None:
    text = [line("every river knows your name") for _ in range(40)]
    result = run(bench, tmp_path, NOISE, text, language=language)
    flat = [time for words in times(result) for pair in words for time in pair if time is not None]
    assert len(flat) == 2 * 40 * 5
    assert flat == sorted(flat)
    assert flat[-1] <= 4_000
    assert result.review_asked is not None


def test_times_that_are_given_are_kept(bench: Bench, tmp_path: Path) -> None:
    given = line("one two", 500, 2_500)
    for word, (start, end) in zip(given["words"], [(510, 1_230), (1_990, 2_410)], strict=True):
        word |= {"startMilliseconds": start, "endMilliseconds": end}
    result = run(bench, tmp_path, NOISE, [given], language="en")
    assert times(result) == [[(510, 1_230), (1_990, 2_410)]]
    found = Lyrics.read(result.outputs[0].path.read_bytes())
    assert [word.confidence for word in found.lines[0].words] == [1.0, 1.0]
    assert (said(result), result.review_asked) == ("", None)
    assert "<00:00.51>one<00:01.23>" in result.outputs[1].path.read_text()


def test_an_instrumental_is_no_failure(bench: Bench, tmp_path: Path) -> None:
    result = run(bench, tmp_path, SILENCE, [])
    assert [output.name for output in result.outputs] == ["lyrics"]
    assert (said(result), result.review_asked) == ("", None)


def test_lines_behind_the_end_are_left_out(bench: Bench, tmp_path: Path) -> None:
    result = run(bench, tmp_path, NOISE, [line("one", 0, 1_000), line("two", 60_000, 61_000)], language="en")
    assert len(times(result)) == 1
    assert "1 line left out that would begin after the end at 0:04" in said(result)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("[00:01.00]la", "The input lyrics is no lyrics.json", id="LRC"),
        pytest.param('{"timing": "None", "origin": {"place": "Input"}, "lines": [{"words": []}]}', "lines.0.words",
                     id="a line without words"),
        pytest.param(" " * (16 * 1024**2 + 1), "more than 16,777,216 bytes", id="too long"),
    ],
)  # fmt: skip
def test_what_is_no_record_fails_the_phase(bench: Bench, tmp_path: Path, content: str, problem: str) -> None:
    vocals, lyrics = tmp_path / "vocals.wav", tmp_path / "lyrics.json"
    soundfile.write(vocals, SILENCE, RATE)
    lyrics.write_text(content)
    with pytest.raises(PhaseError, match=problem) as failed:
        bench.run_on(Task.ALIGN, [TaskInput("lyrics", path=lyrics), TaskInput("vocals", path=vocals)])
    assert (failed.value.exit_code, failed.value.reason) == (ExitCode.USAGE, Reason.INVALID_SPEC)


def test_both_inputs_are_needed(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(PhaseError, match="needs an input file named 'lyrics'"):
        bench.run_on(Task.ALIGN, [TaskInput("vocals", path=tmp_path / "vocals.wav")])


def test_it_stops_when_it_is_told_to(bench: Bench, tmp_path: Path) -> None:
    bench.on_progress = lambda: bench.cancelled.set() if bench.reports[-1][0] > 20 else None
    with pytest.raises(PhaseError) as failed:
        run(bench, tmp_path, NOISE, [line("every river", 500 * n, 500 * n + 500) for n in range(6)], language="en")
    assert failed.value.exit_code == ExitCode.STOPPED
    assert bench.reports[-1][0] < 60


def test_words_are_no_instructions(bench: Bench, tmp_path: Path) -> None:
    words = "[[h@l'oU]] <speak> -w/tmp/x {\\fs99} $(id) ${HOME}"
    result = run(bench, tmp_path, NOISE, [line(words, 0, 4_000)], language="en")
    ass = next(output.path for output in result.outputs if output.name == "ass").read_text()
    assert "{\\fs99}" not in ass
    assert sorted(path.name for path in bench.work.iterdir()) == sorted(output.path.name for output in result.outputs)
