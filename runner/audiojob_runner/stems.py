"""Which stems a user gets from which sources of a model, and how they are written: exact to the sample, in blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiojob_types.parameters.separate import StemFormat, Stems

VOCALS: Final = "vocals"
BLOCK_SAMPLES: Final = 1 << 19  # 12 s; 4 MiB of stereo float32
MEDIA_TYPES: Final[dict[StemFormat, str]] = {"flac": "audio/flac", "wav": "audio/wav"}
# A RIFF header counts bytes in 32 bits; RF64 is the same file with a longer header.
MAX_RIFF_BYTES: Final = 4 * 10**9

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stem:
    """One output: its name, and the model's sources that are added up for it."""

    name: str
    sources: tuple[str, ...]


def plan_stems(stems: Stems, sources: Sequence[str]) -> list[Stem]:
    """The stems to write from a model with these sources, vocals first. Together they hold every source once.

    Raises ``ValueError`` when the model cannot give them.
    """
    if VOCALS not in sources:
        raise ValueError("the model has no vocals")
    others = tuple(source for source in sources if source != VOCALS)
    if stems == "TwoStems":
        return [Stem(VOCALS, (VOCALS,)), Stem("accompaniment", others)]
    if stems == "SixStems":
        if len(sources) != 6:
            raise ValueError(f"the model has {len(sources)} stems, not six")
        return [Stem(source, (source,)) for source in (VOCALS, *others)]
    named = [source for source in ("drums", "bass") if source in others]
    rest = tuple(source for source in others if source not in named)
    return [Stem(VOCALS, (VOCALS,)), *(Stem(source, (source,)) for source in named), Stem("other", rest)]


@dataclass(frozen=True, slots=True)
class WrittenStem:
    """What was written. ``peak`` may exceed 1; FLAC holds such samples at full scale and counts them as clipped."""

    path: Path
    samples: int
    peak: float
    clipped: int

    def metadata(self, sample_rate: int, channels: int) -> dict[str, Any]:
        """For the manifest."""
        return {
            "durationSeconds": round(self.samples / sample_rate, 6),
            "samples": self.samples,
            "sampleRate": sample_rate,
            "channels": channels,
            "peak": round(self.peak, 6),
            "clippedSamples": self.clipped,
        }


def write_stem(
    path: Path, read: Callable[[int, int], Samples], samples: int, sample_rate: int, stem_format: StemFormat
) -> WrittenStem:
    """Write ``samples`` frames of stereo, taken from ``read(start, stop)`` as arrays of shape (frames, 2).

    FLAC is 24-bit, WAV is 32-bit float. Raises ``OSError`` when the file is not whole afterwards.
    """
    container, subtype = _container(stem_format, samples)
    peak, clipped = 0.0, 0
    with soundfile.SoundFile(path, "w", samplerate=sample_rate, channels=2, format=container, subtype=subtype) as file:
        for start in range(0, samples, BLOCK_SAMPLES):
            block = read(start, min(start + BLOCK_SAMPLES, samples))
            size = np.abs(block)
            peak = max(peak, float(size.max(initial=0.0)))
            clipped += int(np.count_nonzero(size > 1.0)) if stem_format == "flac" else 0
            file.write(block)
    written = soundfile.info(path).frames
    if written != samples:
        raise OSError(f"{path.name} has {written} samples, not {samples}")
    return WrittenStem(path=path, samples=samples, peak=peak, clipped=clipped)


def _container(stem_format: StemFormat, samples: int) -> tuple[str, str]:
    if stem_format == "flac":
        return "FLAC", "PCM_24"
    return ("RF64" if samples * 8 > MAX_RIFF_BYTES else "WAV"), "FLOAT"
