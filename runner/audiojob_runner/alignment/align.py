"""Times for words that have none: within lines by a synthesizer's voice, else by shares of what is sung."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.alignment.activity import Activity
from audiojob_runner.alignment.belief import believed
from audiojob_runner.alignment.listen import Listener, listen
from audiojob_runner.alignment.plan import filled, gaps_of, kept, spread
from audiojob_types.documents.lyrics import Line

# Of words that were not heard, but whose line's time is known.
SPREAD_CONFIDENCE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Aligned:
    """The lines, and how many of their words were found by their sound, spread by letters, or had times."""

    lines: tuple[Line, ...]
    found: int = 0
    spread: int = 0
    given: int = 0


def align_lines(
    lines: Sequence[Line], listener: Listener, activity: Activity, on_line: Callable[[int], None]
) -> Aligned:
    """Words of lines whose times are known. ``on_line`` is told which line comes next; it may raise to stop."""
    gaps = [gap for number, line in enumerate(lines) for gap in gaps_of(number, line)]
    matches = list(listen(gaps, lines, listener, on_line))
    margins = [match.margin for match in matches if match is not None]
    usual = sum(margins) / len(margins) if margins else 0.0
    done = [kept(line) for line in lines]
    found = shared = 0
    for gap, match in zip(gaps, matches, strict=True):
        placed = None if match is None else believed(match, usual, gap.start, gap.end)
        if placed is None:
            shared += gap.last - gap.first
            times = activity.between(gap.start, gap.end)
            placed = spread(gap.of(lines), times, SPREAD_CONFIDENCE)
        else:
            found += len(placed)
        done[gap.line] = filled(done[gap.line], gap, placed)
    words = sum(len(line.words) for line in lines)
    return Aligned(tuple(done), found, shared, words - found - shared)
