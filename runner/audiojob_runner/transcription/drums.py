"""Strokes on a drum kit, by three bands of the spectrum: kick, snare, and hi-hat with other cymbals.

No network is behind it: a stroke is a sudden rise in its band. Toms count as what they are nearest to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiojob_runner.transcription.network.windows import RATE
from audiojob_types.documents.notes import Drum

Matrix = NDArray[np.float32]

SIZE: Final = 1_024
HOP: Final = 256
HOPS_A_SECOND: Final = RATE / HOP
# Hz. Of a snare the rattle counts: its tone is where toms and kicks are.
_BANDS: Final = {Drum.KICK: (30.0, 120.0), Drum.SNARE: (1_000.0, 5_000.0), Drum.HAT: (6_500.0, 10_500.0)}
DRUMS: Final = tuple(_BANDS)
_WINDOW: Final = np.hanning(SIZE).astype(np.float32)
_AROUND: Final = 43  # hops: half a second on each side, which a rise is held against
_AFTER: Final = 6  # hops after a stroke in which its drum still sounds, and the click of another does not
_LEAST_RISE: Final = 1.2  # of the strongest strokes, as a logarithm: less is no stroke
_LEAST_SHARE: Final = 0.3  # of the loud strokes of a drum
_TOGETHER: Final = 3  # hops
_APART: Final = 5  # hops between two strokes of one drum
SENSITIVITIES: Final = {"Low": 0.7, "Normal": 1.0, "High": 1.4}


@dataclass(frozen=True, slots=True)
class Stroke:
    """One stroke: when, in seconds, and how much its band rises against the strongest rises."""

    time: float
    drum: Drum
    strength: float


def band_levels(samples: Matrix, first: int, count: int) -> Matrix:
    """The level of each band for ``count`` hops, as hops by drums; the first hop is centred on the sample ``first``."""
    begin, end = first - SIZE // 2, first + (count - 1) * HOP + SIZE // 2
    padded = np.pad(samples[max(0, begin) : max(0, end)], (max(0, -begin), max(0, end - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP]
    spectrum = np.abs(np.fft.rfft(frames * _WINDOW, axis=1)).astype(np.float32)
    edges = [tuple(int(edge * SIZE / RATE) for edge in band) for band in _BANDS.values()]
    return np.stack([spectrum[:, low : max(low + 1, high)].mean(axis=1) for low, high in edges], axis=1)


def strokes(levels: Matrix, sensitivity: float = 1.0) -> list[Stroke]:
    """Strokes by the levels of all bands, in order of time. ``sensitivity`` above 1 finds fainter ones."""
    compressed = np.log1p(50 * levels / np.maximum(levels.max(axis=0, initial=0.0), 1e-9))
    before = np.pad(compressed, ((2, 0), (0, 0)), mode="edge")[: len(compressed)]
    rise = np.maximum(0, compressed - before)
    rises = {drum: _rises(rise[:, row], sensitivity) for row, drum in enumerate(DRUMS)}
    return sorted(_told_apart(rises, levels, sensitivity), key=lambda stroke: (stroke.time, stroke.drum))


def _rises(rise: Matrix, sensitivity: float) -> list[int]:
    """The hops in which a band rises suddenly."""
    strongest = float(np.quantile(rise[rise > 0], 0.98)) if (rise > 0).any() else 0.0
    if len(rise) < 3 or strongest < _LEAST_RISE:
        return []
    padded = np.pad(rise, _AROUND, mode="reflect" if len(rise) > _AROUND else "edge")
    mean = np.convolve(padded, np.ones(2 * _AROUND + 1) / (2 * _AROUND + 1), mode="valid")
    floor = (mean + 0.25 * strongest) / sensitivity
    inner = rise[1:-1]
    found: list[int] = []
    for hop in (1 + np.flatnonzero((inner > rise[:-2]) & (inner >= rise[2:]) & (inner > floor[1:-1]))).tolist():
        if found and hop - found[-1] < _APART:
            found[-1] = max(found[-1], hop, key=lambda each: float(rise[each]))
        else:
            found.append(hop)
    return found


def _told_apart(rises: dict[Drum, list[int]], levels: Matrix, sensitivity: float) -> list[Stroke]:
    """Without what one drum leaves in the others' bands, by how loud each band is just after the stroke."""
    kicks, snares, hats = (_loud(rises[drum], levels[:, row]) for row, drum in enumerate(DRUMS))
    struck = {Drum.KICK: _kept(kicks, sensitivity), Drum.SNARE: _kept(snares, sensitivity)}
    rattle = np.array(list(struck[Drum.SNARE]), dtype=np.int64)  # reaches as high as a hi-hat
    hats = {hop: level for hop, level in hats.items() if not (np.abs(rattle - hop) <= _TOGETHER).any()}
    struck[Drum.HAT] = _kept(hats, sensitivity)
    return [
        Stroke((hop + 0.5) / HOPS_A_SECOND, drum, strength)
        for drum, found in struck.items()
        for hop, strength in found.items()
    ]


def _loud(hops: list[int], level: Matrix) -> dict[int, float]:
    return {hop: float(level[hop + 1 : hop + 1 + _AFTER].mean()) for hop in hops if hop + 1 < len(level)}


def _kept(found: dict[int, float], sensitivity: float) -> dict[int, float]:
    """Strokes that are no faint trace of something else, by their strength, 0 to 1."""
    if not found:
        return {}
    loud = float(np.quantile(list(found.values()), 0.9))
    least = _LEAST_SHARE * loud / sensitivity
    return {hop: min(1.0, level / loud) for hop, level in found.items() if level >= least > 0}
