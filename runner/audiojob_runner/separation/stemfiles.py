"""Writes stems as they are made, in a thread beside the network: WAV, FLAC, MP3 or Ogg, by libsndfile."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiojob_runner.separation.mixfile import CHANNELS, SAMPLE_RATE
from audiojob_runner.separation.resampling import StreamResampler, resampled_length
from audiojob_types.tasks.separate import BitDepth, StemFormat

MEDIA_TYPES: Final[dict[StemFormat, str]] = {
    "flac": "audio/flac",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
}
# A RIFF header counts bytes in 32 bits; RF64 is the same file with a longer header.
MAX_RIFF_BYTES: Final = 4 * 10**9
# libsndfile's Vorbis encoder puts what it is given on the stack.
_WRITE_SAMPLES: Final = 1 << 16
# An MP3 is made of frames of this many samples, and the encoder starts late.
_MP3_SLACK: Final = 3 * 1_152
_PENDING_BLOCKS: Final = 2

Samples = NDArray[np.float32]

_SUBTYPES: Final[dict[BitDepth, str]] = {"Int16": "PCM_16", "Int24": "PCM_24", "Float32": "FLOAT"}
_BYTES: Final[dict[BitDepth, int]] = {"Int16": 2, "Int24": 3, "Float32": 4}
# The highest constant bit rate of MP3 (320 kbit/s), and a Vorbis quality that few can tell from the original.
_LOSSY: Final[dict[StemFormat, dict[str, Any]]] = {
    "mp3": {
        "format": "MP3",
        "subtype": "MPEG_LAYER_III",
        "compression_level": 0.0,
        "bitrate_mode": "CONSTANT",
    },
    "ogg": {"format": "OGG", "subtype": "VORBIS", "compression_level": 0.2},
}


@dataclass(frozen=True, slots=True)
class FileKind:
    """How stems are stored. ``bit_depth`` is None for the formats that have none."""

    stem_format: StemFormat
    bit_depth: BitDepth | None
    sample_rate: int

    def options(self, samples: int) -> dict[str, Any]:
        """What libsndfile is told for a file of so many samples."""
        if self.bit_depth is None:
            return _LOSSY[self.stem_format]
        size = samples * CHANNELS * _BYTES[self.bit_depth]
        container = "FLAC" if self.stem_format == "flac" else "RF64" if size > MAX_RIFF_BYTES else "WAV"
        return {"format": container, "subtype": _SUBTYPES[self.bit_depth]}


@dataclass(frozen=True, slots=True)
class WrittenStem:
    """What was written. ``peak`` may exceed 1; only 32-bit float holds such samples, others count them as clipped."""

    path: Path
    samples: int
    kind: FileKind
    peak: float
    clipped: int

    def metadata(self) -> dict[str, Any]:
        """For the manifest."""
        record: dict[str, Any] = {
            "durationSeconds": round(self.samples / self.kind.sample_rate, 6),
            "samples": self.samples,
            "sampleRate": self.kind.sample_rate,
            "channels": CHANNELS,
            "peak": round(self.peak, 6),
            "clippedSamples": self.clipped,
        }
        if self.kind.bit_depth is not None:
            record["bitDepth"] = self.kind.bit_depth
        return record


class StemFile:
    """One file being written. What arrives is stereo at 44.1 kHz, ``samples`` frames in all."""

    def __init__(self, path: Path, kind: FileKind, samples: int) -> None:
        self.path = path
        self._kind = kind
        self._samples = resampled_length(samples, SAMPLE_RATE, kind.sample_rate)
        self._resampler = StreamResampler(SAMPLE_RATE, kind.sample_rate, samples)
        self._peak, self._clipped = 0.0, 0
        self._file = soundfile.SoundFile(
            path, "w", samplerate=kind.sample_rate, channels=CHANNELS, **kind.options(self._samples)
        )

    def write(self, block: Samples) -> None:
        """Add samples of shape (2, n). Raises ``OSError`` with its number when the disk is full."""
        ready = self._resampler.feed(block)
        peak = max(float(ready.max(initial=0.0)), -float(ready.min(initial=0.0)))
        self._peak = max(self._peak, peak)
        if peak > 1 and self._kind.bit_depth != "Float32":
            self._clipped += int(np.count_nonzero(np.abs(ready) > 1.0))
        frames = np.ascontiguousarray(ready.T)
        try:
            for start in range(0, len(frames), _WRITE_SAMPLES):
                self._file.write(frames[start : start + _WRITE_SAMPLES])
        except soundfile.LibsndfileError:
            _check_disk(self.path.parent)
            raise

    def finish(self) -> WrittenStem:
        """Close the file. Raises ``OSError`` when it is not whole."""
        self._file.close()
        written = int(soundfile.info(self.path).frames)
        slack = _MP3_SLACK if self._kind.stem_format == "mp3" else 0
        if not self._samples <= written <= self._samples + slack:
            _check_disk(self.path.parent)
            raise OSError(f"{self.path.name} has {written} samples, not {self._samples}")
        return WrittenStem(self.path, written, self._kind, self._peak, self._clipped)

    def discard(self) -> None:
        """Close and remove the file."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def _check_disk(folder: Path) -> None:
    """Raise what the system says to one more MiB: libsndfile calls every trouble of a file "System error"."""
    probe = folder / "probe"
    try:
        probe.write_bytes(bytes(1 << 20))
    finally:
        probe.unlink(missing_ok=True)


class StemWriter:
    """Writes blocks of all stems in a thread of its own, so that encoding and the network overlap.

    As a context manager, it leaves no file behind when the block ends with an exception.
    """

    def __init__(self, files: Sequence[StemFile]) -> None:
        self._files = files
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stems")
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if error is not None:
            for file in self._files:
                file.discard()

    def put(self, blocks: Sequence[Samples]) -> None:
        """Hand over one block for each file. Waits while too many are pending; raises what an earlier one raised."""
        self._pending.append(self._pool.submit(self._write, blocks))
        while len(self._pending) > _PENDING_BLOCKS:
            self._pending.popleft().result()

    def finish(self) -> list[WrittenStem]:
        """Wait for all blocks and close the files. Raises ``OSError`` when one is not whole."""
        while self._pending:
            self._pending.popleft().result()
        return [file.finish() for file in self._files]

    def _write(self, blocks: Sequence[Samples]) -> None:
        for file, block in zip(self._files, blocks, strict=True):
            file.write(block)
