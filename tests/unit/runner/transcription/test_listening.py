"""Windows, tuning, doubts, the network's absence: what is decided before and after the network listens."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from audiojob_runner.transcription.decoding.decode import Found
from audiojob_runner.transcription.decoding.parts import Heard
from audiojob_runner.transcription.doubts import doubts_of, is_music
from audiojob_runner.transcription.families import FAMILIES, rules_of
from audiojob_runner.transcription.network.model import ModelError, Network
from audiojob_runner.transcription.network.windows import FRAME, KEPT, RATE, Window, frames_of, kept, windows_of
from audiojob_runner.transcription.tuning import SIZE, Tuning, TuningMeter
from audiojob_types.documents.notes import Instrument, Notes
from audiojob_types.tasks.transcribe import TranscribeParameters


@pytest.mark.parametrize("samples", [1, FRAME, FRAME * KEPT, FRAME * KEPT + 1, RATE * 60])
def test_windows_keep_each_frame_once(samples: int) -> None:
    windows = list(windows_of(samples))
    frames = [window.first_frame + number for window in windows for number in range(window.frames)]
    assert frames == list(range(frames_of(samples)))
    assert all(window.first_sample == (window.first_frame - kept(window).start) * FRAME for window in windows)


def test_a_recording_without_samples_has_no_windows() -> None:
    assert list(windows_of(0)) == []
    assert next(windows_of(300)) == Window(-15 * FRAME, 0, 2)


@pytest.mark.parametrize("cents", [-40.0, 0.0, 12.5, 49.0])
def test_tuning_is_that_of_the_peaks(cents: float) -> None:
    meter, times = TuningMeter(RATE), np.arange(SIZE) / RATE
    for pitch in (57, 60, 64, 69):
        frequency = 440 * 2 ** ((pitch - 69 + cents / 100) / 12)
        tone = np.stack([np.sin(2 * np.pi * n * frequency * times) / n for n in (1, 2, 4)]).sum(axis=0)
        meter.take(tone.astype(np.float32))
    assert meter.tuning().cents == pytest.approx(cents, abs=1.5)
    assert meter.tuning().certain


def test_noise_and_silence_have_no_tuning() -> None:
    noise, silence = TuningMeter(RATE), TuningMeter(RATE)
    for seed in range(20):
        noise.take(np.random.default_rng(seed).standard_normal(SIZE).astype(np.float32))
    silence.take(np.zeros(SIZE, np.float32))
    assert not noise.tuning().certain
    assert not silence.tuning().certain


def test_what_is_told_of_a_result() -> None:
    piano, other = (
        Notes(duration_seconds=1, instrument=each, tuning_cents=-20) for each in (Instrument.PIANO, Instrument.OTHER)
    )
    certain = Tuning(-20.0, 0.9)
    assert doubts_of(piano, certain, 44_100) == ["The recording is 20 cents below A = 440 Hz; notes are the nearest."]
    assert doubts_of(piano, Tuning(0.0, 0.1), 44_100)[0].startswith("The pitches agree on no tuning")
    assert doubts_of(other, certain, 8_000)[0] == FAMILIES[Instrument.OTHER].doubt
    assert not is_music([], certain, 10, Instrument.PIANO)


@pytest.mark.parametrize(
    ("instrument", "belief", "agreement", "music"),
    [
        pytest.param(Instrument.PIANO, 0.88, 0.24, False, id="what a piano's judgement hears in drums and speech"),
        pytest.param(Instrument.PIANO, 0.95, 0.2, True, id="a piano in a loud room"),
        pytest.param(Instrument.PIANO, 0.5, 0.8, True, id="an unclear piano in tune"),
        pytest.param(Instrument.OTHER, 0.88, 0.24, True, id="other instruments, of no tuning"),
    ],
)
def test_notes_of_no_tuning_must_be_believed(
    instrument: Instrument, belief: float, agreement: float, music: bool
) -> None:
    heard = [Heard(Found(at, at + 9, 56, belief, belief), belief, 1.0, None) for at in range(0, 200, 10)]
    assert is_music(heard, Tuning(15.0, agreement), 20.0, instrument) is music


def test_sensitivity_is_how_far_notes_must_be_believed() -> None:
    for instrument in Instrument:
        low, normal, high = (rules_of(instrument, each) for each in ("Low", "Normal", "High"))
        assert low.least > normal.least > high.least
    assert set(Instrument) == set(FAMILIES)
    instrument = TranscribeParameters.model_json_schema()["properties"]["instrument"]
    assert set(instrument["enum"]) == {each.value for each in Instrument}


def test_a_machine_without_the_library_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match="onnxruntime cannot be loaded: ModuleNotFoundError"):
        Network(b"", threads=1)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ModelError, match="does not take the network"):
        Network(b"no network", threads=1)
