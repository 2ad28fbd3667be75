"""Whatever Transcribe cannot use is refused with a sentence that says why, and before the work where that can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.transcribe.sounds import RATE, Samples, drums, noise, speech, tune, write
from tests.unit.runner.transcription.reading import read_midi

from audiojob_runner.errors import PhaseError
from audiojob_runner.transcription import record as record_module
from audiojob_runner.transcription.decoding.decode import Found
from audiojob_runner.transcription.decoding.parts import Heard
from audiojob_runner.transcription.network import model
from audiojob_runner.transcription.record import About, midi_of, record_of_notes
from audiojob_types.contract import ExitCode, PhaseLimits
from audiojob_types.documents.notes import Instrument, Notes
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task


@pytest.mark.parametrize(
    ("samples", "parameters", "message"),
    [
        pytest.param(lambda: np.zeros(RATE), {}, "The recording is silent: no notes are heard.", id="silence"),
        pytest.param(lambda: noise(4.0), {}, "No notes are heard: this sounds like speech, noise", id="noise"),
        pytest.param(lambda: drums(4.0), {}, "this sounds like speech, noise or drums alone", id="drums alone"),
        pytest.param(speech, {}, "No notes are heard: this sounds like speech", id="speech"),
        pytest.param(speech, {"instrument": "Piano"}, "this sounds like speech", id="speech as if of a piano"),
        pytest.param(lambda: noise(0.01), {"instrument": "Piano"}, "No notes are heard", id="a hundredth of a second"),
        pytest.param(lambda: noise(2.0), {"instrument": "Drums"}, "No strokes of drums are heard.", id="no drums"),
    ],
)
def test_a_recording_without_notes_is_empty(
    bench: Bench, tmp_path: Path, samples: Callable[[], Samples], parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.TRANSCRIBE, write(tmp_path, samples()), **parameters)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.NOT_MEDIA, Reason.EMPTY_MEDIA)
    assert message in caught.value.message


def test_more_notes_than_anybody_plays_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = [Heard(Found(at // 5, at // 5 + 9, 40 + at % 5 * 7, 0.9, 0.9), 0.9, 1.0, None) for at in range(50_000)]
    written = record_of_notes(heard, About(150.0, Instrument.PIANO, None, 0.0))
    assert len(Notes.read(written.model_dump_json(by_alias=True).encode()).notes) == 50_000
    [_, track] = read_midi(midi_of(written))[1]
    assert len(track.notes) == 50_000
    monkeypatch.setattr(record_module, "MAX_NOTES", 1_000)
    assert len(record_of_notes(heard, About(150.0, Instrument.PIANO, None, 0.0)).notes) == 1_000


def test_a_recording_that_is_too_long_is_refused_before_the_work(bench: Bench, tmp_path: Path) -> None:
    source = write(tmp_path, tune())
    with pytest.raises(PhaseError, match="plays 5 s; at most 2 s") as caught:
        bench.run(Task.TRANSCRIBE, source, maxDurationSeconds=2)
    assert caught.value.reason is Reason.TOO_LONG
    bench.limits = PhaseLimits(max_duration_seconds=1)
    with pytest.raises(PhaseError, match="at most 1 s"):
        bench.run(Task.TRANSCRIBE, source)
    assert list(bench.work.iterdir()) == []


def test_what_is_no_media_file_or_is_missing_is_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("la la la")
    with pytest.raises(PhaseError, match="not audio or video"):
        bench.run(Task.TRANSCRIBE, tmp_path / "text.wav")
    with pytest.raises(PhaseError, match="needs an input file named 'audio'"):
        bench.run_on(Task.TRANSCRIBE, [])
    assert bench.run_on(Task.TRANSCRIBE, [], allowEmpty=True).outputs == []  # a stem that the model does not make


def test_a_cancelled_phase_stops_between_windows(bench: Bench, tmp_path: Path) -> None:
    def stop() -> None:
        if bench.reports[-1][0] > 10:
            bench.cancelled.set()

    bench.on_progress = stop
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.TRANSCRIBE, write(tmp_path, tune()))
    assert caught.value.reason is Reason.STOPPED


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda content: content[:100_000], "it is torn or changed", id="torn"),
        pytest.param(lambda content: content[:-1] + b"x", "it is torn or changed", id="changed"),
        pytest.param(lambda _: None, "nmp.onnx cannot be read: No such file", id="missing"),
    ],
)
def test_a_network_that_is_not_the_pinned_one_is_not_loaded(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[bytes], bytes | None],
    message: str,
) -> None:
    content = spoil(model.model_path({}).read_bytes())
    spoiled = tmp_path / "nmp.onnx"
    if content is not None:
        spoiled.write_bytes(content)
    monkeypatch.setenv(model.ENV_MODEL, str(spoiled))
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.TRANSCRIBE, write(tmp_path, tune()))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USAGE, Reason.INVALID_SPEC)
    assert message in caught.value.message
    assert "runner-music" in caught.value.suggestion
