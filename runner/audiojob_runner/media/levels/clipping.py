"""Samples that were cut off: decoded, resampled or mixed sound can rise above full scale, and integers cannot."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from audiojob_runner.media.probe import MediaInfo

LOSSY_OVERSHOOT_DECIBELS: Final = 3.0
"""Loud music comes out of lossy codings a little above full scale, nearly always; of that much nobody is warned."""

_LOSSLESS: Final = frozenset({"flac", "alac", "wavpack", "ape", "tta", "mlp", "truehd"})
_BITS: Final = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_BLOCK_FRAMES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Clipping:
    """How many samples of the result stand at full scale, and how far the sound rose above it, in decibels."""

    samples: int
    decibels: float

    @property
    def warning(self) -> str:
        """A sentence for the user."""
        above = f"by up to {self.decibels:.1f} dB" if math.isfinite(self.decibels) else "some infinitely"
        return (
            f"About {self.samples:,} samples rose above full scale, {above}, and were cut off. "
            "Transcode with loudnessLufs makes the sound quieter instead."
        )


def find_clipping(
    result: Path, source: MediaInfo, rate: int, channels: int, peak: Callable[[], float]
) -> Clipping | None:
    """What was cut off in a WAV or FLAC file that was made of ``source``; None for nothing to tell.

    ``peak()`` decodes the source once more and gives its highest sample in dB of full scale, in the result's ``rate``
    and ``channels``. It is asked only where something may have been cut off.
    """
    if not _may_rise(source, rate, channels) or not (samples := full_scale_samples(result)):
        return None
    decibels = peak()
    if not decibels > (0.0 if _is_lossless(source.codec) else LOSSY_OVERSHOOT_DECIBELS):
        return None
    return Clipping(samples, decibels)


def full_scale_samples(path: Path) -> int:
    """How many samples of all channels are as high or low as the file's integers go; 0 for other files."""
    try:
        with soundfile.SoundFile(path) as sound:
            bits = _BITS.get(sound.subtype)
            if bits is None:
                return 0
            low = -(1 << 31)
            high = -low - (1 << (32 - bits))
            return sum(
                int(np.count_nonzero((block >= high) | (block == low)))
                for block in sound.blocks(_BLOCK_FRAMES, dtype="int32")
            )
    except soundfile.LibsndfileError:
        return 0


def _may_rise(source: MediaInfo, rate: int, channels: int) -> bool:
    """Integers of the same rate, on no fewer channels, stay as high as they are."""
    integers = _is_lossless(source.codec) and not source.codec.startswith("pcm_f")
    return not integers or source.sample_rate != rate or source.channels > channels


def _is_lossless(codec: str) -> bool:
    return codec in _LOSSLESS or codec.startswith("pcm_")
