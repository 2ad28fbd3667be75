"""Where the beats are: the cheapest way through what begins, at the tempo that was found, then made even."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from audiojob_runner.score.rhythm.onsets import FloatArray, Onsets
from audiojob_runner.score.rhythm.tempo import FRAMES_PER_SECOND, Tempos, accents, tempos_of

_BLUR_SECONDS: Final = 0.02
_TIGHT: Final = 60.0  # what a beat of another length than the tempo's costs, by the square of the logarithm
_NEIGHBOURS, _NEIGHBOURS_UNSTEADY = 8, 3  # beats to each side that a beat is made even with
_ON_THE_BEAT: Final = 0.15  # of a beat
_UNHEARD: Final = 0.02  # the weight of a beat that nothing is heard on
_FEWEST: Final = 3
_ROUNDS: Final = 3
_STEADY_SECONDS, _STEADY_SHARE = 0.02, 0.85
_KEPT: Final = 0.4  # what is above it keeps to the beat: music is at 0.8 and above, chance at 0.3 and below
_FEWEST_ONSETS: Final = 4
_TOGETHER_SECONDS: Final = 0.03


@dataclass(frozen=True)
class Beats:
    """Times of the beats, one before all that is heard at least and one after it."""

    times: FloatArray
    steady: bool  # one tempo holds throughout
    free: bool  # what is heard keeps to no beat: these are only evenly spaced

    @property
    def per_minute(self) -> float:
        """The mean tempo."""
        return 60 * (len(self.times) - 1) / float(self.times[-1] - self.times[0])

    def places(self, times: FloatArray) -> FloatArray:
        """At which beat, in beats from the first one, each time is."""
        found: FloatArray = np.interp(times, self.times, np.arange(len(self.times), dtype=np.float64))
        return found


def beats_of(onsets: Onsets, given: float | None = None) -> Beats:
    """The beats of what is heard. ``given``: beats a minute that are known."""
    tempos = tempos_of(onsets, given)
    found = _cheapest(onsets, tempos)
    if len(found) < _FEWEST:
        return _ruled(onsets, tempos)
    times = _even(_extended(found, onsets), onsets)
    line, steady = _line(times, onsets)
    times = _extended(line if steady else _even(times, onsets, _NEIGHBOURS_UNSTEADY), onsets)
    return Beats(times, steady, free=given is None and not _kept(times, onsets))


def _kept(times: FloatArray, onsets: Onsets) -> bool:
    """Whether onsets keep to the beats, or to their halves, thirds or quarters. Few of them seem to by chance."""
    places = np.interp(onsets.times, times, np.arange(len(times), dtype=np.float64))
    weights = np.sqrt(onsets.weights)
    count = 1 + int((np.diff(onsets.times) > _TOGETHER_SECONDS).sum())
    if count < _FEWEST_ONSETS:
        return False
    strongest = max(abs(np.exp(2j * np.pi * parts * places) @ weights) / weights.sum() for parts in (1, 2, 3, 4))
    return bool(strongest > _KEPT + count**-0.5)


def _ruled(onsets: Onsets, tempos: Tempos) -> Beats:
    """Evenly spaced beats from the first onset on, for what has too few of them."""
    period = float(np.median(tempos.periods))
    count = int((onsets.ends_here - onsets.starts_here) / period) + 2
    times = onsets.starts_here + period * np.arange(count + 1, dtype=np.float64)
    return Beats(times.astype(np.float64), steady=True, free=True)


def _cheapest(onsets: Onsets, tempos: Tempos) -> FloatArray:
    """Beats by dynamic programming over frames of 10 ms."""
    signal = _blurred(accents(onsets))
    period = np.median(tempos.periods)
    signal = signal / (signal.sum() / max(len(signal) / FRAMES_PER_SECOND / period, 1) + 1e-9)
    periods = tempos.at(np.arange(len(signal)) / FRAMES_PER_SECOND) * FRAMES_PER_SECOND
    best, came = signal.copy(), np.full(len(signal), -1, dtype=np.int64)
    begin = int(onsets.starts_here * FRAMES_PER_SECOND)
    for frame in range(begin, len(signal)):
        expected = periods[frame]
        first, last = max(int(expected * 0.6), 1), int(expected * 1.6) + 1
        left = max(frame - last, 0)
        if frame - first < left:
            continue
        gaps = np.arange(frame - left, first - 1, -1)
        scores = best[left : frame - first + 1] - _TIGHT * np.log(gaps / expected) ** 2
        chosen = int(np.argmax(scores))
        if scores[chosen] > 0:
            best[frame] += scores[chosen]
            came[frame] = left + chosen
    tail = max(len(signal) - int(periods[-1]), begin)
    frame = tail + int(np.argmax(best[tail:]))
    found = list[int]()
    while frame >= 0:
        found.append(frame)
        frame = int(came[frame])
    return np.array(found[::-1]) / FRAMES_PER_SECOND


def _blurred(signal: FloatArray) -> FloatArray:
    reach = int(3 * _BLUR_SECONDS * FRAMES_PER_SECOND)
    shape = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (_BLUR_SECONDS * FRAMES_PER_SECOND)) ** 2)
    found: FloatArray = np.convolve(signal, shape, mode="same")
    return found


def _extended(times: FloatArray, onsets: Onsets) -> FloatArray:
    """With beats before the first onset and after the last end, as far apart as those beside them."""
    first, last = times[1] - times[0], times[-1] - times[-2]
    before = max(int(np.ceil((times[0] - onsets.starts_here) / first)), 0) + 1
    after = max(int(np.ceil((onsets.ends_here - times[-1]) / last)), 0) + 1
    return np.concatenate(
        [times[0] - first * np.arange(before, 0, -1), times, times[-1] + last * np.arange(1, after + 1)]
    )


def _observed(times: FloatArray, onsets: Onsets) -> tuple[FloatArray, FloatArray]:
    """For each beat the mean time of the onsets that seem to be on it, and their weight."""
    places = np.interp(onsets.times, times, np.arange(len(times), dtype=np.float64))
    nearest = np.rint(places).astype(np.int64)
    on = np.abs(places - nearest) < _ON_THE_BEAT
    weights = np.bincount(nearest[on], onsets.weights[on], len(times)).astype(np.float64)
    sums = np.bincount(nearest[on], onsets.weights[on] * onsets.times[on], len(times))
    return np.where(weights > 0, sums / np.maximum(weights, 1e-9), times), weights


def _even(times: FloatArray, onsets: Onsets, neighbours: int = _NEIGHBOURS) -> FloatArray:
    """Each beat from a line through what was heard on its neighbours."""
    numbers = np.arange(len(times), dtype=np.float64)
    for _ in range(_ROUNDS):
        heard, weights = _observed(times, onsets)
        weights = np.minimum(weights, 2 * float(np.median(weights[weights > 0])) if weights.any() else 1.0) + _UNHEARD
        offsets = heard - times  # small numbers: sums of squares of times would lose digits
        sums = [_around(each, neighbours) for each in (weights, weights * numbers, weights * numbers**2)]
        right = [_around(each, neighbours) for each in (weights * offsets, weights * offsets * numbers)]
        mean, other = sums[1] / sums[0], right[0] / sums[0]
        slope = (right[1] - right[0] * mean) / np.maximum(sums[2] - sums[1] * mean, 1e-9)
        times = times + other + slope * (numbers - mean)
    return times


def _around(values: FloatArray, reach: int) -> FloatArray:
    """Sums over each one's neighbours."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    found: FloatArray = total[np.minimum(places + reach + 1, len(values))] - total[np.maximum(places - reach, 0)]
    return found


def _line(times: FloatArray, onsets: Onsets) -> tuple[FloatArray, bool]:
    """The same beats on one straight line, and whether what was heard is on it."""
    heard, weights = _observed(times, onsets)
    numbers = np.arange(len(times), dtype=np.float64)
    on = weights > 0
    if on.sum() < _FEWEST:
        return times, True
    slope, start = np.polyfit(numbers[on], times[on], 1)
    for _ in range(_ROUNDS):
        errors = np.abs(heard - (start + slope * numbers))
        near = on & (errors < max(3 * float(np.median(errors[on])), _STEADY_SECONDS))
        slope, start = np.polyfit(numbers[near], heard[near], 1, w=np.sqrt(weights[near]))
    line = start + slope * numbers
    drift = np.abs(line - times)[on]
    steady = (
        float(np.median(drift)) <= _STEADY_SECONDS and float((drift <= 2 * _STEADY_SECONDS).mean()) >= _STEADY_SHARE
    )
    return line, steady
