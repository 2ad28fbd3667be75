"""From seconds to places in bars: the beat, the time signature, where bars begin, and how steady it all is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from audiojob_runner.score.heard import Options
from audiojob_runner.score.model import Time, Timeline
from audiojob_runner.score.rhythm.bars import Bars, bars_of
from audiojob_runner.score.rhythm.beats import Beats, beats_of
from audiojob_runner.score.rhythm.onsets import FloatArray, Onsets, groups_of
from audiojob_runner.score.rhythm.tactus import Tactus, tactus_of

PLAIN: Final = Time(4, 4)
PLAIN_TEMPO: Final = 120.0
TICKS: Final = 24
"""In a quarter: sixteenths, thirty-seconds, triplets and sextuplets are whole ones."""


@dataclass(frozen=True)
class Metre:
    """What time it is, all along. Place 0 is a barline, perhaps in the middle of what is heard."""

    time: Time
    timeline: Timeline
    steady: bool
    found: bool  # what is heard keeps to a beat; otherwise bars are only a ruler

    def ticks(self, seconds: FloatArray) -> FloatArray:
        """Places in ticks."""
        quarters = np.array([float(place) for place in self.timeline.places])
        times = np.array(self.timeline.seconds)
        found: FloatArray = np.interp(seconds, times, quarters)
        return found * TICKS

    @property
    def beat(self) -> int:
        """Ticks of a counted beat."""
        return int(self.time.beat * TICKS)

    @property
    def bar(self) -> int:
        """Ticks of a full bar."""
        return int(self.time.quarters * TICKS)


def metre_of(onsets: Onsets, options: Options) -> Metre:
    """The metre of what is heard. A tempo or time signature that the user gave is taken."""
    given = options.time
    beats_given = _given(options)
    beats = beats_of(onsets, next(iter(beats_given.values()), None))
    if beats.free:
        return _ruler(onsets, given or PLAIN, options.quarters_per_minute or PLAIN_TEMPO)
    groups = groups_of(onsets, beats.places(onsets.times))
    tactus = tactus_of(groups, beats.per_minute, beats_given)
    bars = bars_of(onsets, tactus, beats, given)
    return Metre(bars.time, _timeline(beats, tactus, bars), beats.steady, found=True)


def _given(options: Options) -> dict[int, float]:
    """By how beats are divided, how many there are in a minute: nothing where the user did not say the tempo."""
    quarters, time = options.quarters_per_minute, options.time
    if quarters is None:
        return {}
    if time is None:
        return {2: quarters, 3: quarters / 1.5}
    return {3 if time.compound else 2: quarters / float(time.beat)}


def _timeline(beats: Beats, tactus: Tactus, bars: Bars) -> Timeline:
    numbers = (0, len(beats.times) - 1) if beats.steady else range(len(beats.times))
    places = [(number * tactus.ratio - tactus.offset - bars.downbeat) * bars.time.beat for number in numbers]
    return Timeline(tuple(places), tuple(float(beats.times[number]) for number in numbers))


def _ruler(onsets: Onsets, time: Time, per_minute: float) -> Metre:
    """Bars of one length from the first note on."""
    length = max(onsets.ends_here - onsets.starts_here, 1.0)
    places = (Fraction(0), Fraction(length * per_minute / 60).limit_denominator(TICKS))
    return Metre(
        time,
        Timeline(places, (onsets.starts_here, onsets.starts_here + float(places[1]) * 60 / per_minute)),
        steady=False,
        found=False,
    )
