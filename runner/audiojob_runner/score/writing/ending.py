"""Where a score ends: behind the last bar in which anything is played. What only fades begins no bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from audiojob_runner.score.model import Bar, Measure, Part


def played_bars(parts: Sequence[Part]) -> int:
    """How many bars there are until the last one with a note; at least one."""
    measures = [staff.measures for part in parts for staff in part.staves]
    return max(
        (number for each in measures for number, measure in enumerate(each, 1) if _is_played(measure)), default=1
    )


def ended(part: Part, bars: Sequence[Bar]) -> Part:
    """The part with so many measures as there are bars."""
    end = bars[-1].place + bars[-1].length
    staves = tuple(replace(staff, measures=staff.measures[: len(bars)]) for staff in part.staves)
    return replace(part, staves=staves, chords=tuple(chord for chord in part.chords if chord.place < end))


def _is_played(measure: Measure) -> bool:
    return any(event.notes for voice in measure.voices for event in voice.events)
