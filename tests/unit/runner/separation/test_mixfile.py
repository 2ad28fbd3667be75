from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiojob_runner.errors import PhaseError
from audiojob_runner.separation.mixfile import MixFile, measure
from audiojob_types.reasons import Reason

RATE = 44_100


def store(path: Path, sound: np.ndarray) -> Path:
    soundfile.write(path, sound.T, RATE, subtype="FLOAT")
    return path


def nothing() -> None:
    """Called now and then."""


@pytest.mark.parametrize("samples", [2, 1_000, 700_000])
def test_the_statistics_are_those_of_the_whole_file(tmp_path: Path, samples: int) -> None:
    sound = np.random.default_rng(2).normal(0.3, 0.01, (2, samples)).astype(np.float32)
    found = measure(store(tmp_path / "mix.wav", sound), samples, nothing)
    mono = sound.astype(np.float64).mean(axis=0)
    assert found.mean == pytest.approx(float(mono.mean()), rel=1e-9)
    assert found.deviation == pytest.approx(float(mono.std(ddof=1)), rel=1e-7)


@pytest.mark.parametrize(
    ("sound", "samples"), [(np.ones((2, 1)), 1), (np.zeros((2, 9)), 9)], ids=["one sample", "silence"]
)
def test_sound_without_deviation_is_divided_by_no_zero(tmp_path: Path, sound: np.ndarray, samples: int) -> None:
    found = measure(store(tmp_path / "mix.wav", sound), samples, nothing)
    assert (found.deviation, found.scale) == (0.0, 1e-8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
def test_numbers_that_are_no_sound(tmp_path: Path, bad: float) -> None:
    sound = np.zeros((2, 600_000), dtype=np.float32)
    sound[1, 500_000] = bad
    with pytest.raises(PhaseError) as caught:
        measure(store(tmp_path / "mix.wav", sound), 600_000, nothing)
    assert (caught.value.exit_code, caught.value.reason) == (65, Reason.CORRUPT_MEDIA)


def test_a_file_that_is_shorter_than_it_says(tmp_path: Path) -> None:
    with pytest.raises(PhaseError, match="after 10 of 11 samples"):
        measure(store(tmp_path / "mix.wav", np.zeros((2, 10))), 11, nothing)


def test_windows_are_what_the_file_holds(tmp_path: Path) -> None:
    sound = np.random.default_rng(2).uniform(-1, 1, (2, 900_000)).astype(np.float32)
    with MixFile(store(tmp_path / "mix.wav", sound), 900_000) as mix:
        for start in range(-20_000, 910_000, 60_000):
            window = mix.window(start, start + 100_000, outside=0.25)
            want = np.full((2, 100_000), 0.25, dtype=np.float32)
            low, high = max(0, start), min(900_000, start + 100_000)
            want[:, low - start : high - start] = sound[:, low:high]
            assert np.array_equal(window, want)
            mix.let_go(start)


def test_what_was_let_go_is_gone(tmp_path: Path) -> None:
    with MixFile(store(tmp_path / "mix.wav", np.zeros((2, 900_000))), 900_000) as mix:
        mix.window(0, 900_000)
        mix.let_go(800_000)
        mix.window(800_000, 900_000)
        with pytest.raises(ValueError, match="was let go"):
            mix.window(0, 10)
