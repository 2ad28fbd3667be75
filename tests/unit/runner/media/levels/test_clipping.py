"""When samples were cut off, and when nothing is to be told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiojob_runner.media.levels.clipping import Clipping, find_clipping, full_scale_samples
from audiojob_runner.media.probe import MediaInfo

RATE = 44_100


def source(codec: str, rate: int = RATE, channels: int = 2) -> MediaInfo:
    return MediaInfo("wav", codec, 0, rate, channels, 1.0, True, False)


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """Two samples at full scale, and two beside it."""
    path = tmp_path / "full.wav"
    soundfile.write(path, np.array([[32767, -32768], [32766, -32767]], dtype=np.int16), RATE)
    return path


@pytest.mark.parametrize(
    ("made_of", "peak", "told"),
    [
        pytest.param(source("pcm_f32le"), 0.1, True, id="floats above full scale"),
        pytest.param(source("pcm_f32le"), 0.0, False, id="floats up to full scale"),
        pytest.param(source("pcm_f64le"), math.inf, True, id="an infinite float"),
        pytest.param(source("pcm_f32le"), math.nan, False, id="no number"),
        pytest.param(source("flac", rate=48_000), 1.2, True, id="integers that were resampled"),
        pytest.param(source("alac", channels=6), 4.0, True, id="integers that were mixed down"),
        pytest.param(source("mp3"), 2.9, False, id="what a lossy coding adds to loud music"),
        pytest.param(source("aac"), 3.1, True, id="more than a lossy coding adds"),
    ],
)
def test_what_is_told(full: Path, made_of: MediaInfo, peak: float, told: bool) -> None:
    found = find_clipping(full, made_of, RATE, 2, lambda: peak)
    assert found == (Clipping(2, peak) if told else None)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24be", "pcm_u8", "flac", "alac"])
def test_integers_that_are_kept_as_they_are_are_not_decoded_again(full: Path, codec: str) -> None:
    assert find_clipping(full, source(codec), RATE, 2, peak=lambda: pytest.fail("decoded again")) is None
    assert find_clipping(full, source(codec, channels=1), RATE, 2, peak=lambda: pytest.fail("decoded again")) is None


@pytest.mark.parametrize(
    ("subtype", "form"), [("PCM_16", "wav"), ("PCM_24", "wav"), ("PCM_24", "flac"), ("FLOAT", "wav")]
)
def test_samples_at_full_scale_are_counted_in_each_width(tmp_path: Path, subtype: str, form: str) -> None:
    path = tmp_path / f"sound.{form}"
    soundfile.write(path, np.array([1.5, -1.5, 0.5, -0.5, 0.0]), RATE, subtype=subtype)
    assert full_scale_samples(path) == (0 if subtype == "FLOAT" else 2)


def test_a_file_that_holds_no_such_sound_has_none(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    path.write_bytes(b"\0\0\0\x18ftypM4A ")
    assert full_scale_samples(path) == 0
    assert "some infinitely" in Clipping(3, math.inf).warning
