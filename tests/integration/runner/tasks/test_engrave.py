"""Engrave as a phase runs it, on the notes of a short piece."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import soundfile
from tests.integration.runner.engraving.schema import faults
from tests.integration.runner.tasks.align.songs import RATE, TEXT, make_song
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.errors import PhaseError
from audiojob_runner.task import TaskInput
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

TITLE = 'R&D <i>"1"</i> \u202e#eval'
TUNE = (60, 62, 64, 65, 67, 65, 64, 62)


def given(folder: Path, name: str, instrument: str, keys: tuple[int, ...] = TUNE * 3) -> TaskInput:
    """A part of quarters at 100 a minute."""
    notes = [
        {"onset": 0.5 + at * 0.6, "offset": 1.05 + at * 0.6, "pitch": key, "velocity": 80}
        for at, key in enumerate(keys)
    ]
    record = {"version": 1, "durationSeconds": 30.0, "instrument": instrument, "notes": notes}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    return TaskInput(name, path)


def band(folder: Path) -> list[TaskInput]:
    about: dict[str, Any] = {"title": TITLE, "uploader": "Somebody"}
    bass = given(folder, "bass", "Bass", tuple(key - 24 for key in TUNE) * 3)
    return [bass, given(folder, "vocals", "Voice"), TaskInput("about", metadata=about)]


def test_parts_become_a_score_with_all_its_files(bench: Bench, tmp_path: Path) -> None:
    result = bench.run_on(Task.ENGRAVE, band(tmp_path))

    names = ["score", "score-mxl", "pdf", "preview", "midi", "midi-vocals", "midi-bass", "page-1"]
    assert [each.name for each in result.outputs] == names
    assert sorted(path.name for path in bench.work.iterdir()) == sorted(each.path.name for each in result.outputs)
    about = next(each for each in result.outputs if each.name == "score").metadata
    assert (about["title"], about["artist"], about["parts"]) == ('R&D <i>"1"</i> #eval', "Somebody", ["Voice", "Bass"])
    assert about["quartersPerMinute"] == pytest.approx(100, rel=0.02)
    content = next(each.path for each in result.outputs if each.name == "score").read_bytes()
    assert faults(content) == []
    assert b"R&amp;D &lt;i&gt;" in content
    assert [each.path.read_bytes()[:4] for each in result.outputs if each.name in ("pdf", "preview", "midi")] == [
        b"%PDF", b"\x89PNG", b"MThd",
    ]  # fmt: skip
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)


def test_levels_and_words_of_the_user(bench: Bench, tmp_path: Path) -> None:
    wanted = {"level": "LeadSheet", "title": "Mine", "key": "D major", "timeSignature": "2/4", "paper": "Letter"}
    result = bench.run_on(Task.ENGRAVE, band(tmp_path), **wanted)
    about = next(each for each in result.outputs if each.name == "score").metadata
    assert (about["title"], about["key"], about["timeSignature"]) == ("Mine", "D major", "2/4")
    assert about["parts"] == ["Voice"]


def test_a_reduction_of_several_parts_has_no_midi_of_its_parts(bench: Bench, tmp_path: Path) -> None:
    piano = given(tmp_path, "piano", "Piano")
    result = bench.run_on(Task.ENGRAVE, [piano, *band(tmp_path)], level="PianoReduction")
    assert [each.name for each in result.outputs if each.media_type == "audio/midi"] == ["midi"]


def test_a_key_that_nobody_writes(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(PhaseError, match="8 accidentals") as caught:
        bench.run_on(Task.ENGRAVE, band(tmp_path), key="G# major")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USAGE, Reason.INVALID_SPEC)


def test_words_that_align_finds_stand_under_the_notes(bench: Bench, tmp_path: Path) -> None:
    """As the pipeline sheet-music-with-words goes, with a voice whose notes are known."""
    song = make_song(tmp_path, text=TEXT[:1])
    (tmp_path / "song.lrc").write_text(
        "\n".join(f"[00:{line[0].start:05.2f}]{' '.join(word.text for word in line)}" for line in song.lines)
    )
    soundfile.write(tmp_path / "vocals.wav", song.voice, RATE)
    read = bench.run(Task.LYRICS, tmp_path / "song.lrc")
    vocals = TaskInput("vocals", tmp_path / "vocals.wav")
    aligned = bench.run_on(Task.ALIGN, [TaskInput("lyrics", read.outputs[0].path), vocals])
    sung = [word for line in song.lines for word in line]
    notes = [{"onset": word.start, "offset": word.end, "pitch": 60 + at % 5} for at, word in enumerate(sung)]
    record = {"version": 1, "durationSeconds": song.seconds, "instrument": "Voice", "notes": notes}
    (tmp_path / "notes.json").write_text(json.dumps(record))
    words = TaskInput("lyrics", aligned.outputs[0].path)
    score = bench.run_on(Task.ENGRAVE, [TaskInput("vocals", tmp_path / "notes.json"), words]).outputs[0].path
    under = [each.text for each in ET.parse(score).iterfind(".//lyric/text")]
    assert under == [word.text for word in sung]


@pytest.mark.parametrize("step", ["Reading", "Finding", "Notating", "Laying", "Drawing", "Printing"])
def test_stopped_in_each_step(bench: Bench, tmp_path: Path, step: str) -> None:
    def stop() -> None:
        if bench.reports[-1][1].startswith(step):
            bench.cancelled.set()

    bench.on_progress = stop
    with pytest.raises(PhaseError) as caught:
        bench.run_on(Task.ENGRAVE, band(tmp_path))
    assert caught.value.exit_code == ExitCode.STOPPED
