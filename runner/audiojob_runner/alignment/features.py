"""What a voice sounds like every 10 ms: 13 mel-frequency cepstral coefficients and the energy."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

FRAMES_PER_SECOND: Final = 100
_WINDOWS_PER_SECOND: Final = 40  # 25 ms each
_BANDS: Final = 26
_COEFFICIENTS: Final = 13
_LOWEST, _HIGHEST = 80.0, 6_200.0  # times the highest scale, less than half of all rates
_FLOOR: Final = 1e-6  # far below one step of 16 bits

Samples = NDArray[np.float32]
Frames = NDArray[np.float32]


def frames_of(samples: Samples, rate: int, scale: float = 1.0) -> Frames:
    """Shape (frames, 14): the coefficients, then the energy in log10. Frame n is about sample ``n * rate // 100``.

    ``scale`` is by how much the throat is shorter than a man's: what sounds higher by it gives the same frames.
    """
    hop, width = rate // FRAMES_PER_SECOND, rate // _WINDOWS_PER_SECOND
    count = len(samples) // hop
    if count == 0:
        return np.zeros((0, _COEFFICIENTS + 1), dtype=np.float32)
    padded = np.pad(samples.astype(np.float32), (width // 2, width + hop))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[::hop][:count]
    emphasized = windows - 0.97 * np.pad(windows[:, :-1], ((0, 0), (1, 0)), mode="edge")
    spectrum = np.abs(np.fft.rfft(emphasized * np.hamming(width), _transform(width))) ** 2
    bands = np.log(spectrum @ _mel_filters(rate, scale).T + _FLOOR)
    energy = np.log10(np.mean(windows**2, axis=1) + _FLOOR)
    return np.concatenate([bands @ _cosines().T, energy[:, None]], axis=1).astype(np.float32)


def normalised(frames: Frames, by: Frames) -> Frames:
    """Each column as if it had mean 0 and deviation 1 in the frames ``by``: what a room, a microphone or a level does
    to it is gone."""
    return np.asarray((frames - by.mean(axis=0)) / (by.std(axis=0) + 1e-3), dtype=np.float32)


def _transform(width: int) -> int:
    """The next power of two."""
    return 1 << (width - 1).bit_length()


@cache
def _mel_filters(rate: int, scale: float) -> NDArray[np.float64]:
    """Triangles that are equally wide to the ear: shape (bands, bins)."""
    edges = scale * 700 * (10 ** (np.linspace(_mel(_LOWEST), _mel(_HIGHEST), _BANDS + 2) / 2_595) - 1)
    size = _transform(rate // _WINDOWS_PER_SECOND)
    bins = np.arange(size // 2 + 1) * rate / size
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0.0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))


@cache
def _cosines() -> NDArray[np.float64]:
    """The cosine transform, without its constant, which the energy says: shape (coefficients, bands)."""
    band = np.arange(_BANDS) + 0.5
    return np.cos(np.pi / _BANDS * np.arange(1, _COEFFICIENTS + 1)[:, None] * band)


def _mel(hertz: float) -> float:
    return 2_595 * float(np.log10(1 + hertz / 700))
