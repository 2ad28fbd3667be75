"""Transcribe: notes are found where they were put, at any tuning; drums are told apart."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.transcribe.sounds import RATE, SCALE, drums, noise, tune, write
from tests.unit.runner.transcription.reading import read_midi

from audiojob_runner.prepare import prepare
from audiojob_runner.task import TaskResult
from audiojob_types.documents.notes import Drum, Notes
from audiojob_types.parameters import resolve_parameters
from audiojob_types.tasks import Task


def record(result: TaskResult) -> Notes:
    return Notes.read(result.outputs[0].path.read_bytes())


@pytest.mark.parametrize(
    "cents",
    [
        pytest.param(0.0, id="in tune"),
        pytest.param(30.0, id="30 cents above"),
        pytest.param(47.0, id="nearly between two notes, so that they are heard only when it is brought into tune"),
    ],
)
def test_a_tune_is_found_note_by_note(bench: Bench, tmp_path: Path, cents: float) -> None:
    result = bench.run(Task.TRANSCRIBE, write(tmp_path, tune(cents=cents)), instrument="Piano", stem="piano")
    found = record(result)
    assert [note.pitch for note in found.notes] == list(SCALE)
    assert [note.onset for note in found.notes] == pytest.approx([0.25 + 0.5 * n for n in range(8)], abs=0.03)
    assert found.tuning_cents == pytest.approx(cents, abs=3)
    assert found.duration_seconds == pytest.approx(4.75, abs=0.01)
    warnings = result.metadata.get("warnings", [])
    assert warnings == (
        [] if not cents else [f"The recording is {cents:.0f} cents above A = 440 Hz; notes are the nearest."]
    )
    (output, midi) = result.outputs
    assert (output.path.name, midi.path.name) == ("notes.json", "notes.mid")
    (tempo, track) = read_midi(midi.path.read_bytes())[1]
    assert (tempo.tempo, track.name, [note[2] for note in track.notes]) == (500_000, "piano", list(SCALE))


def test_a_network_loaded_ahead_hears_the_same(bench: Bench, tmp_path: Path) -> None:
    source = write(tmp_path, tune((60, 64, 67)))
    usual = record(bench.run(Task.TRANSCRIBE, source, instrument="Piano"))
    bench.prepared = prepare(
        Task.TRANSCRIBE, resolve_parameters(Task.TRANSCRIBE, {"instrument": "Piano"}), bench.models
    )
    assert bench.prepared is not None
    assert record(bench.run(Task.TRANSCRIBE, source, instrument="Piano")) == usual
    drums_alone = resolve_parameters(Task.TRANSCRIBE, {"instrument": "Drums"})
    assert prepare(Task.TRANSCRIBE, drums_alone, bench.models) is None, "drums need no network"


def test_percent_goes_with_the_windows_and_nothing_else_is_left(bench: Bench, tmp_path: Path) -> None:
    bench.run(Task.TRANSCRIBE, write(tmp_path, tune()), instrument="Piano")
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    windows = [percent for percent in percents if 10 < percent < 100]
    assert windows == pytest.approx([10 + 88 * share for share in (1 / 3, 2 / 3, 1)])  # of 1.65 s each
    assert bench.reports[-1:] == [(100, "8 notes written")]
    assert {path.name for path in bench.work.iterdir()} == {"notes.json", "notes.mid"}


def test_one_voice_sounds_at_a_time(bench: Bench, tmp_path: Path) -> None:
    low, high = tune((60, 62, 64)), tune((67, 69, 71))
    notes = record(bench.run(Task.TRANSCRIBE, write(tmp_path, low + 0.2 * high), instrument="Voice")).notes
    assert notes
    assert all(note.offset <= after.onset + 0.02 for note, after in pairwise(notes))


def test_strokes_of_drums_are_told_apart(bench: Bench, tmp_path: Path) -> None:
    result = bench.run(Task.TRANSCRIBE, write(tmp_path, drums(6.0)), instrument="Drums")
    hits = record(result).hits
    times = {drum: [hit.time for hit in hits if hit.drum is drum] for drum in Drum}
    assert times[Drum.KICK] == pytest.approx([0.1 + n for n in range(6)], abs=0.03)
    assert times[Drum.SNARE] == pytest.approx([0.6 + n for n in range(6)], abs=0.03)
    assert times[Drum.HAT] == pytest.approx([0.35 + 0.5 * n for n in range(11)], abs=0.03)
    track = read_midi(result.outputs[1].path.read_bytes())[1][1]
    assert {status & 0x0F for _, status, _, _ in track.messages} == {9}
    assert {note[2] for note in track.notes} == {36, 38, 42}


def test_a_recording_of_a_few_samples_has_no_notes_but_is_no_error_where_that_is_allowed(
    bench: Bench, tmp_path: Path
) -> None:
    result = bench.run(Task.TRANSCRIBE, write(tmp_path, noise(0.05)), allowEmpty=True)
    assert (record(result).notes, result.metadata["warnings"]) == ((), ["Nothing is heard in the recording."])
    assert len(read_midi(result.outputs[1].path.read_bytes())[1]) == 2


def test_a_source_of_a_low_rate_is_told(bench: Bench, tmp_path: Path) -> None:
    samples = tune()[:: RATE // 8_820]
    result = bench.run(Task.TRANSCRIBE, write(tmp_path, samples, 8_820), instrument="Piano")
    assert result.metadata["warnings"] == ["The recording has 8820 Hz: notes are missed below 16000 Hz."]
    assert [note.pitch for note in record(result).notes] == list(SCALE)
