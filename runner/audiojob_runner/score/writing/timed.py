"""Notes at their written places, and chords of a line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timed:
    """A note that begins at a written place. It ends where it was heard to end, which is no written place yet."""

    start: int  # ticks
    end: float
    key: int
    velocity: int
    seconds: float  # when it was heard to begin


@dataclass(frozen=True, slots=True)
class Chord:
    """Notes of a line that begin and end together, at written places."""

    start: int
    end: int
    notes: tuple[Timed, ...]  # from low to high


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the bars are, in ticks."""

    first: int  # where the score begins: place 0
    downbeat: int  # where the first full bar begins
    bar: int
    beat: int
    count: int  # of bars, with the pickup

    @property
    def end(self) -> int:
        """Where the last bar ends."""
        full = self.count - (self.first < self.downbeat)
        return self.downbeat + full * self.bar

    def barline_after(self, tick: int) -> int:
        """Where the bar that a tick is in ends."""
        return self.downbeat + ((tick - self.downbeat) // self.bar + 1) * self.bar
