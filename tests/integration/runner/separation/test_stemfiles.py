from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiojob_runner.separation.stemfiles import FileKind, Samples, StemFile, StemWriter, WrittenStem
from audiojob_types.tasks.separate import BitDepth, StemFormat

RATE = 44_100


def noise(samples: int, level: float = 1.0) -> Samples:
    return np.random.default_rng(1).uniform(-level, level, (2, samples)).astype(np.float32)


def write(path: Path, sound: Samples, kind: FileKind, block: int = 50_000) -> WrittenStem:
    """The sound, handed over in blocks."""
    with StemWriter([StemFile(path, kind, sound.shape[1])]) as writer:
        for start in range(0, sound.shape[1], block):
            writer.put([sound[:, start : start + block]])
        return writer.finish()[0]


@pytest.mark.parametrize("samples", [1, 49_999, 50_000, 50_001])
@pytest.mark.parametrize(
    ("stem_format", "bit_depth", "step"),
    [
        pytest.param("wav", "Float32", 0.0, id="32-bit float WAV"),
        pytest.param("wav", "Int24", 2**-22, id="24-bit WAV"),
        pytest.param("wav", "Int16", 2**-14, id="16-bit WAV"),
        pytest.param("flac", "Int24", 2**-22, id="24-bit FLAC"),
        pytest.param("flac", "Int16", 2**-14, id="16-bit FLAC"),
    ],
)
def test_stems_are_exact_to_the_sample(
    tmp_path: Path, samples: int, stem_format: StemFormat, bit_depth: BitDepth, step: float
) -> None:
    sound = noise(samples)
    written = write(tmp_path / "stem", sound, FileKind(stem_format, bit_depth, RATE))
    back, rate = soundfile.read(written.path, dtype="float32")
    assert (rate, back.shape) == (RATE, (samples, 2))
    assert np.abs(back - sound.T).max() <= step
    assert written.peak == pytest.approx(float(np.abs(sound).max()))
    assert (written.clipped, written.metadata()["bitDepth"]) == (0, bit_depth)


@pytest.mark.parametrize(
    ("stem_format", "bit_depth", "clipped", "top"),
    [("flac", "Int24", 2, 1.0), ("wav", "Int16", 2, 1.0), ("wav", "Float32", 0, 1.5)],
)
def test_loud_samples_are_kept_in_float_and_counted_elsewhere(
    tmp_path: Path, stem_format: StemFormat, bit_depth: BitDepth, clipped: int, top: float
) -> None:
    sound = np.array([[1.5, 0.5], [0.0, -1.25]], dtype=np.float32)
    written = write(tmp_path / "stem", sound, FileKind(stem_format, bit_depth, RATE))
    assert (written.clipped, written.peak) == (clipped, 1.5)
    back, _ = soundfile.read(written.path)
    assert np.abs(back).max() == pytest.approx(top, abs=1e-4)


@pytest.mark.parametrize("rate", [16_000, 22_050, RATE, 48_000])
@pytest.mark.parametrize(("stem_format", "subtype"), [("mp3", "MPEG_LAYER_III"), ("ogg", "VORBIS")])
def test_lossy_stems_sound_alike_and_are_not_late(
    tmp_path: Path, rate: int, stem_format: StemFormat, subtype: str
) -> None:
    time = np.arange(3 * RATE) / RATE
    sound = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 660 * time)]).astype(np.float32) * 0.5
    written = write(tmp_path / f"stem.{stem_format}", sound, FileKind(stem_format, None, rate))
    info = soundfile.info(written.path)
    assert (info.subtype, info.samplerate) == (subtype, rate)
    assert 0 <= info.frames - 3 * rate <= 3 * 1_152
    back, _ = soundfile.read(written.path, dtype="float32")
    at = np.arange(rate, 2 * rate) / rate
    want = np.stack([np.sin(2 * np.pi * 440 * at), np.sin(2 * np.pi * 660 * at)], axis=1) * 0.5
    assert np.sqrt(np.mean((back[rate : 2 * rate] - want) ** 2)) < 0.02
    assert "bitDepth" not in written.metadata()


def test_a_file_beyond_the_limit_of_riff_has_the_long_header() -> None:
    kind = FileKind("wav", "Float32", RATE)
    assert kind.options(500_000_000)["format"] == "WAV"
    assert kind.options(500_000_001)["format"] == "RF64"


def test_a_file_that_is_not_whole_is_no_result(tmp_path: Path) -> None:
    def write_half() -> None:
        with StemWriter([StemFile(tmp_path / "stem.flac", FileKind("flac", "Int24", RATE), 20)]) as writer:
            writer.put([noise(10)])
            writer.finish()

    with pytest.raises(OSError, match=r"stem\.flac has 10 samples, not 20"):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_encoder_reaches_the_one_who_writes(tmp_path: Path) -> None:
    file = StemFile(tmp_path / "stem.wav", FileKind("wav", "Int16", RATE), 20)
    file.discard()
    writer = StemWriter([file])
    writer.put([noise(20)])
    with pytest.raises(soundfile.SoundFileRuntimeError):
        writer.finish()


def test_a_full_disk_is_told_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing, a tmpfs of 1 MiB, is in tests/integration/runner/tasks/separate/test_rows.py."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = StemFile(tmp_path / "stem.wav", FileKind("wav", "Int16", RATE), 20)
    monkeypatch.setattr(Path, "write_bytes", full)
    file.write(noise(10))
    with pytest.raises(OSError, match="No space left on device"):
        file.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["stem.wav"]
