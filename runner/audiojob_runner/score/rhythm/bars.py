"""Where the bars begin: by accents, low basses, and basses that change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from audiojob_runner.score.model import Time
from audiojob_runner.score.rhythm.beats import Beats
from audiojob_runner.score.rhythm.onsets import FloatArray, IntArray, Onsets
from audiojob_runner.score.rhythm.tactus import Tactus

_BEATS: Final = (2, 3, 4)
_PRIOR: Final = {2: 0.0, 3: 0.0, 4: 0.0}
_NEAR: Final = 0.15
_CHANGE, _LOW, _ACCENT, _HARMONY = 1.0, 1.0, 0.4, 1.2
_AROUND: Final = 2  # beats before and after, whose pitch classes are compared
_CLASSES: Final = 12
_LOW_KEY, _LOW_COUNTS = 50, 1.8
_LONGEST: Final = 8  # beats that a note is followed for
_LASTS, _SHORTEST = 0.2, 0.1  # beats
_NO_KEY: Final = 128


@dataclass(frozen=True, slots=True)
class Bars:
    """The time signature, and the number of the beat on which a first full bar begins."""

    time: Time
    downbeat: int


def bars_of(onsets: Onsets, tactus: Tactus, beats: Beats, given: Time | None = None) -> Bars:
    """``beats`` are the pulses that the tactus is counted in."""
    places, ends = tactus.places(beats.places(onsets.times)), tactus.places(beats.places(onsets.ends))
    division = tactus.division
    strength = beat_strengths(onsets, places, ends)
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


def beat_strengths(onsets: Onsets, places: FloatArray, ends: FloatArray) -> FloatArray:
    """How much each beat seems to begin something. Beats are counted from ``floor(first)``."""
    first = int(np.floor(places.min() + _NEAR))
    numbers = np.rint(places).astype(np.int64) - first
    on = (np.abs(places - np.rint(places)) < _NEAR) & (numbers >= 0)
    count = int(np.floor(places.max() + _NEAR)) - first + 1
    accent = np.sqrt(np.bincount(numbers[on], onsets.weights[on], count)[:count])
    begun = np.full(count, _NO_KEY, dtype=np.int64)
    tones = on & (onsets.keys >= 0)
    np.minimum.at(begun, numbers[tones], onsets.keys[tones])
    chroma, low = _sounding(onsets, places - first, ends - first, count)
    return (
        _ACCENT * _even(accent)
        + _LOW * _even(_lowness(begun))
        + _CHANGE * _even(_changes(low))
        + _HARMONY * _even(_novelty(chroma))
    )


def _sounding(onsets: Onsets, places: FloatArray, ends: FloatArray, count: int) -> tuple[FloatArray, IntArray]:
    """For each beat how much of each pitch class sounds, and the lowest key."""
    chroma, low = np.zeros((count, _CLASSES)), np.full(count, _NO_KEY, dtype=np.int64)
    tones = onsets.keys >= 0
    begins, keys = np.maximum(np.floor(places[tones] + _NEAR), 0).astype(np.int64), onsets.keys[tones]
    until, weights = ends[tones], np.where(keys < _LOW_KEY, _LOW_COUNTS, 1.0)
    for later in range(_LONGEST):
        beats = begins + later
        still = (beats < count) & ((until > beats + _LASTS) | (later == 0))
        shares = np.minimum(until - np.maximum(places[tones], beats), 1.0)
        np.add.at(chroma, (beats[still], keys[still] % _CLASSES), (weights * np.maximum(shares, _SHORTEST))[still])
        np.minimum.at(low, beats[still], keys[still])
    return chroma, low


def _novelty(chroma: FloatArray) -> FloatArray:
    """How other the pitch classes of the two beats from each one on are than those of the two before."""
    count = len(chroma)
    wide = np.vstack([np.zeros((_AROUND + 1, _CLASSES)), chroma, np.zeros((_AROUND, _CLASSES))])
    sums = np.cumsum(wide, axis=0)
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
