"""Levels: layouts that change within a file, floats above full scale, loudness and mixes of what is written."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.integration.runner.tasks.conftest import Bench

from audiojob_types.tasks import Task

RATE = 44_100


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True)


def tone(path: Path, layout: str, *frequencies: int, level: float = 0.5, seconds: float = 2) -> Path:
    """A tone on each speaker of the layout."""
    channels = "|".join(f"{level}*sin(2*PI*{each}*t)" for each in frequencies)
    source = f"aevalsrc={channels}:s={RATE}:d={seconds}:c={layout}"
    ffmpeg("-f", "lavfi", "-i", source, *(("-c:a", "pcm_f32le") if path.suffix == ".wav" else ()), str(path))
    return path


def joined(folder: Path, *parts: Path) -> Path:
    """MP3 files one behind the other, as stations and podcasts make them."""
    whole = folder / "joined.mp3"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def level(sound: np.ndarray[Any, Any], frequency: int) -> float:
    """Amplitude of a tone."""
    turns = np.exp(-2j * np.pi * frequency / RATE * np.arange(len(sound)))
    return float(2 * np.abs(np.mean(sound * turns)))


def read(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(soundfile.read(path, dtype="float64", always_2d=True)[0])


@pytest.mark.parametrize(
    ("task", "parameters"), [(Task.NORMALIZE, {}), (Task.TRANSCODE, {"format": "flac", "channels": 2})]
)
@pytest.mark.parametrize("first", ["mono", "stereo"])
def test_each_part_keeps_its_own_level_where_the_layout_changes(
    bench: Bench, tmp_path: Path, task: Task, parameters: dict[str, object], first: str
) -> None:
    mono = tone(tmp_path / "mono.mp3", "mono", 440)
    stereo = tone(tmp_path / "stereo.mp3", "stereo", 440, 1500)
    order = (mono, stereo) if first == "mono" else (stereo, mono)

    result = bench.run(task, joined(tmp_path, *order), **parameters)

    sound = read(result.outputs[0].path)
    half = len(sound) // 2
    parts = dict(zip((path.stem for path in order), (sound[: half - 4410], sound[half + 4410 :]), strict=True))
    assert [level(parts["mono"][:, side], 440) for side in (0, 1)] == pytest.approx([0.5, 0.5], rel=0.1)
    assert level(parts["stereo"][:, 0], 440) == pytest.approx(0.5, rel=0.1)
    assert level(parts["stereo"][:, 1], 1500) == pytest.approx(0.5, rel=0.1)


def test_floats_above_full_scale_are_made_quieter_before_they_could_be_cut(bench: Bench, tmp_path: Path) -> None:
    source = tone(tmp_path / "loud.wav", "stereo", 440, 440, level=2.5)
    result = bench.run(Task.TRANSCODE, source, format="flac", loudnessLufs=-20)
    sound = read(result.outputs[0].path)[4410:-4410, 0]
    assert level(sound, 440) > 100 * level(sound, 1320)  # a cut sine has its third harmonic
    again = bench.run(Task.TRANSCODE, result.outputs[0].path, format="flac", loudnessLufs=-20)
    assert again.metadata["loudness"]["beforeLufs"] == pytest.approx(-20, abs=0.2)


def square(path: Path) -> Path:
    """A square wave at full scale, whose edges rise above it at another sample rate."""
    source = "aevalsrc=if(lt(mod(t*300\\,1)\\,0.5)\\,1\\,-1):s=48000:d=2"
    ffmpeg("-f", "lavfi", "-i", source, "-c:a", "pcm_s16le", str(path))
    return path


WORK = [
    pytest.param(Task.NORMALIZE, {}, id="Normalize"),
    pytest.param(Task.TRANSCODE, {"format": "wav", "sampleRate": RATE}, id="to WAV"),
    pytest.param(Task.TRANSCODE, {"format": "flac", "sampleRate": RATE}, id="to FLAC"),
]


@pytest.mark.parametrize(("task", "parameters"), WORK)
def test_samples_that_are_cut_off_are_counted(
    bench: Bench, tmp_path: Path, task: Task, parameters: dict[str, object]
) -> None:
    source = tone(tmp_path / "loud.wav", "stereo", 440, 440, level=2)
    result = bench.run(task, source, **parameters)
    (warning,) = result.metadata["warnings"]
    assert "by up to 6.0 dB" in warning
    assert "loudnessLufs" in warning
    count = int(warning.split()[1].replace(",", ""))
    assert count == pytest.approx(np.count_nonzero(np.abs(read(source)) > 1), rel=0.01)
    over = bench.run(task, square(tmp_path / "square.wav"), **parameters)
    assert "rose above full scale" in over.metadata["warnings"][0], "by resampling"


@pytest.mark.parametrize(("task", "parameters"), WORK)
def test_nobody_is_warned_of_what_was_not_cut_off(
    bench: Bench, tmp_path: Path, task: Task, parameters: dict[str, object]
) -> None:
    full = tmp_path / "full.wav"
    soundfile.write(full, np.tile(np.array([[32767, -32768], [0, 0]], dtype=np.int16), (RATE, 1)), RATE)
    quiet = tone(tmp_path / "quiet.wav", "stereo", 440, 440, level=0.99)
    coded = tmp_path / "coded.mp3"
    ffmpeg("-i", str(tone(tmp_path / "tone.wav", "stereo", 440, 440, level=1.05)), "-b:a", "320k", str(coded))
    for source in (full, quiet, coded):
        assert not bench.run(task, source, **parameters).metadata.get("warnings"), source.name


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_the_loudness_is_that_of_what_is_written(bench: Bench, tmp_path: Path, layout: str, channels: int) -> None:
    frequencies = {"mono": (997,), "stereo": (997, 500), "5.1": (997, 500, 700, 60, 800, 900)}[layout]
    source = tone(tmp_path / "tone.wav", layout, *frequencies, level=0.1, seconds=5)
    result = bench.run(Task.TRANSCODE, source, format="flac", loudnessLufs=-20, channels=channels)
    again = bench.run(Task.TRANSCODE, result.outputs[0].path, format="flac", loudnessLufs=-20, channels=channels)
    assert again.metadata["loudness"]["beforeLufs"] == pytest.approx(-20, abs=0.2)


def test_a_title_is_no_failure_of_the_measurement(bench: Bench, tmp_path: Path) -> None:
    source = tmp_path / "titled.flac"
    loud = tone(tmp_path / "tone.wav", "stereo", 440, 440)
    ffmpeg("-i", str(loud), "-metadata", "title=Error writing trailer\nError closing file", str(source))
    assert bench.run(Task.TRANSCODE, source, format="flac", loudnessLufs=-20).metadata["loudness"]


def test_what_is_too_short_to_be_measured_is_not_called_silent(bench: Bench, tmp_path: Path) -> None:
    source = tone(tmp_path / "short.wav", "stereo", 440, 440, seconds=0.3)
    result = bench.run(Task.TRANSCODE, source, format="flac", loudnessLufs=-23)
    assert result.metadata["warnings"] == [
        "The level was left as it is: the sound is too short or too quiet to be measured."
    ]


def test_a_mix_of_many_channels_has_one_level_in_every_format(bench: Bench, tmp_path: Path) -> None:
    source = tone(tmp_path / "loud.wav", "5.1", 440, 440, 440, 60, 440, 440, level=0.9)
    peaks = {}
    for form in ("wav", "flac", "mp3", "opus", "ogg"):
        result = bench.run(Task.TRANSCODE, source, format=form, channels=2)
        plain = tmp_path / f"{form}.plain.wav"
        ffmpeg("-i", str(result.outputs[0].path), "-c:a", "pcm_f32le", str(plain))
        peaks[form] = float(np.abs(read(plain)[8820:-8820]).max())
    assert list(peaks.values()) == pytest.approx([0.9] * 5, rel=0.08), peaks


def test_fewer_channels_than_were_asked_for_are_said(bench: Bench, tmp_path: Path) -> None:
    source = tone(tmp_path / "tone.wav", "stereo", 440, 440)
    result = bench.run(Task.TRANSCODE, source, format="mp3", channels=6)
    assert result.metadata["warnings"] == ["The result has 2 channels and not 6: mp3 holds no more."]
