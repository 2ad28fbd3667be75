"""Where the bars begin: by accents, low basses, and basses that change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from audiojob_runner.score.model import Time
from audiojob_runner.score.rhythm.onsets import FloatArray, IntArray, Onsets

_BEATS: Final = (2, 3, 4)
_PRIOR: Final = {2: 0.0, 3: 0.0, 4: 0.0}
_NEAR: Final = 0.15
_CHANGE, _LOW, _ACCENT, _HARMONY = 0.5, 0.5, 0.6, 1.5
_AROUND: Final = 2  # beats before and after, whose pitch classes are compared
_CLASSES: Final = 12
_NO_KEY: Final = 128


@dataclass(frozen=True, slots=True)
class Bars:
    """The time signature, and the number of the beat on which a first full bar begins."""

    time: Time
    downbeat: int


def bars_of(onsets: Onsets, places: FloatArray, division: int, given: Time | None = None) -> Bars:
    """``places``: of the onsets, in beats."""
    strength = beat_strengths(onsets, places)
    first = int(np.floor(places.min() + _NEAR))
    lengths = [each for each in _BEATS if division == 2 or each == 2]
    if given is not None:
        lengths = [int(given.quarters / given.beat)]
    scores = {
        (length, shift): _contrast(strength, first, length, shift) + _PRIOR.get(length, 0.0)
        for length in lengths
        for shift in range(length)
    }
    length, shift = max(scores, key=lambda each: scores[each])
    time = given or (Time(3 * length, 8) if division == 3 else Time(length, 4))
    return Bars(time, first + (shift - first) % length)


def beat_strengths(onsets: Onsets, places: FloatArray) -> FloatArray:
    """How much each beat seems to begin something. Beats are counted from ``floor(first)``."""
    first = int(np.floor(places.min() + _NEAR))
    numbers = np.rint(places).astype(np.int64) - first
    on = (np.abs(places - np.rint(places)) < _NEAR) & (numbers >= 0)
    count = int(np.floor(places.max() + _NEAR)) - first + 1
    accent = np.sqrt(np.bincount(numbers[on], onsets.weights[on], count)[:count])
    low = np.full(count, _NO_KEY, dtype=np.int64)
    tones = on & (onsets.keys >= 0)
    np.minimum.at(low, numbers[tones], onsets.keys[tones])
    within = np.floor(places + _NEAR).astype(np.int64) - first
    return (
        _ACCENT * _even(accent)
        + _LOW * _even(_lowness(low))
        + _CHANGE * _even(_changes(low))
        + _HARMONY * _even(_novelty(onsets, within, count))
    )


def _novelty(onsets: Onsets, beats: IntArray, count: int) -> FloatArray:
    """How other the pitch classes of the two beats from each one on are than those of the two before."""
    tones = (onsets.keys >= 0) & (beats >= 0) & (beats < count)
    chroma = np.zeros((count + 2 * _AROUND, _CLASSES))
    np.add.at(chroma, (beats[tones] + _AROUND, onsets.keys[tones] % _CLASSES), onsets.weights[tones])
    sums = np.cumsum(np.vstack([np.zeros(_CLASSES), chroma]), axis=0)
    windows = sums[_AROUND:] - sums[:-_AROUND]
    before, after = windows[:count], windows[_AROUND : count + _AROUND]
    sizes = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    found: FloatArray = np.where(sizes > 0, 1 - (before * after).sum(axis=1) / np.maximum(sizes, 1e-9), 0.0)
    return found


def _lowness(low: IntArray) -> FloatArray:
    """How far below the usual lowest key, in octaves; nothing where no key is."""
    known = low < _NO_KEY
    if not known.any():
        return np.zeros(len(low))
    return np.where(known, np.clip((np.median(low[known]) - low) / 12 + 1, 0, 2), 0.0)


def _changes(low: IntArray) -> FloatArray:
    """Whether the lowest key is another one than the one before."""
    found = np.zeros(len(low))
    before = -1
    for number, key in enumerate(low.tolist()):
        if key < _NO_KEY:
            found[number] = float(key != before)
            before = key
    return found


def _even(values: FloatArray) -> FloatArray:
    mean = values.mean()
    return values / mean if mean > 0 else values


def _contrast(strength: FloatArray, first: int, length: int, shift: int) -> float:
    """How much stronger the beats are that would begin a bar."""
    start = (shift - first) % length
    chosen = strength[start::length]
    if not len(chosen) or len(strength) <= length:
        return 0.0
    others = (strength.sum() - chosen.sum()) / max(len(strength) - len(chosen), 1)
    return float(chosen.mean() - others)
