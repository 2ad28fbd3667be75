"""When each row of text is on the screen. Pure.

The screen has two halves of two rows. While one is sung the other gets the rows that follow, so that whoever sings can
always read on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.cdg.rows import ScreenRow

HALVES, ROWS_OF_HALF = 2, 2
# So long before they are sung the first rows appear, after a silence of more than BREAK.
LEAD_MILLISECONDS: Final = 5_000
BREAK_MILLISECONDS: Final = 12_000
# Within a verse such a pause begins another half.
PAUSE_MILLISECONDS: Final = 4_000
# So long after the last word before a break the screen is empty.
STAY_MILLISECONDS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Stanza:
    """The rows of one line; ``first``: a stanza begins with it."""

    rows: tuple[ScreenRow, ...]
    first: bool = False


@dataclass(frozen=True, slots=True)
class Half:
    """Rows that appear together: ``place`` is 0 above and 1 below, ``release`` when they may appear, in milliseconds.

    ``fresh``: nothing else is on the screen then.
    """

    rows: tuple[ScreenRow, ...]
    place: int
    release: float
    fresh: bool = False

    @property
    def start(self) -> float:
        """When the first word is sung."""
        return min(row.start for row in self.rows)

    @property
    def end(self) -> float:
        """When the last one was."""
        return max(row.end for row in self.rows)


def halves_of(lines: Iterable[Stanza], title_ends: float) -> list[Half]:
    """All halves, in the order in which they are sung. ``title_ends``: until then the screen is the title's."""
    found = list[Half]()
    ended: float | None = None  # when all that came before is sung
    for rows in _grouped(lines):
        start = min(row.start for row in rows)
        before, ended = ended, max(row.end for row in rows) if ended is None else max(ended, *(r.end for r in rows))
        if before is None or start - before > BREAK_MILLISECONDS:
            earliest = title_ends if before is None else before + STAY_MILLISECONDS
            found.append(Half(rows, 0, max(earliest, start - LEAD_MILLISECONDS), fresh=True))
            continue
        last = found[-1]
        release = last.release if last.fresh else max(found[-HALVES].end, last.start, last.release)
        found.append(Half(rows, 1 - last.place, release))
    return found


def title_end(first: float | None, length: float, longest: float = 6_000, shortest: float = 1_500) -> float:
    """Until when the title is shown: some seconds, but not when the first rows are to appear. 0: not at all."""
    if first is None:
        return length
    end = min(longest, first - LEAD_MILLISECONDS / 2)
    return end if end >= shortest else 0.0


def _grouped(lines: Iterable[Stanza]) -> list[tuple[ScreenRow, ...]]:
    """Rows by halves. A line is not torn apart where it need not be."""
    found = list[list[ScreenRow]]()
    for line in sorted((line for line in lines if line.rows), key=lambda line: line.rows[0].start):
        for number, row in enumerate(line.rows):
            room = bool(found) and len(found[-1]) < ROWS_OF_HALF
            together = number > 0 or (not line.first and _follows(found, line.rows))
            if room and together:
                found[-1].append(row)
            else:
                found.append([row])
    return [tuple(rows) for rows in found]


def _follows(found: Sequence[Sequence[ScreenRow]], rows: Sequence[ScreenRow]) -> bool:
    """Whether all rows of a line have room behind the last one, and are sung soon after it."""
    if not found:
        return False
    pause = rows[0].start - max(row.end for row in found[-1])
    return len(found[-1]) + len(rows) <= ROWS_OF_HALF and pause <= PAUSE_MILLISECONDS
