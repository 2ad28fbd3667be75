"""When each row is on the screen, and where: while one half of the screen is sung, the other is there to be read.

Rows are taken in groups of half a screen. A group is replaced when it is sung, so that the next one is always seen
before its time. Where nobody sings for long, the screen is cleared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.karaoke.rows import Row

# How long before the first word a cleared screen fills, and how long the last word stays.
LEAD_MILLISECONDS: Final = 4_000
HOLD_MILLISECONDS: Final = 1_000
# A group stays so long after its last word, where the next one can wait.
_STAY_MILLISECONDS: Final = 300
# A title goes so long before the first word at the latest, and is shown so long at least.
READY_MILLISECONDS: Final = 1_500
LEAST_CARD_MILLISECONDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What the screens are made by. ``title`` is how long a title would be shown, in milliseconds."""

    rows: int
    pause: int
    length: int
    title: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """A row from and to milliseconds, in one of the places of the screen, counted from above."""

    row: Row
    show: int
    hide: int
    place: int

    @property
    def late(self) -> bool:
        """Whether it is sung before it is seen."""
        return self.row.start < self.show


@dataclass(frozen=True, slots=True)
class Screens:
    """All rows in their places; ``entries`` are times of first words after a pause, with the time of being shown."""

    placed: tuple[Placed, ...] = ()
    entries: tuple[tuple[int, int], ...] = ()

    @property
    def begins(self) -> int | None:
        """When the first rows are shown."""
        return min((each.show for each in self.placed), default=None)

    @property
    def ends(self) -> int:
        """When the last rows are gone."""
        return max((each.hide for each in self.placed), default=0)


@dataclass(frozen=True, slots=True)
class _Group:
    rows: tuple[Row, ...]

    @property
    def start(self) -> int:
        return min(row.start for row in self.rows)

    @property
    def end(self) -> int:
        return max(row.end for row in self.rows)


def screens_of(lines: Sequence[tuple[bool, Sequence[Row]]], plan: Plan) -> Screens:
    """Lines as rows, each with whether a stanza begins with it, to their places."""
    placed, entries = list[Placed](), list[tuple[int, int]]()
    blocks = list(_blocks(list(_groups(lines, plan)), plan.pause))
    ended = 0
    for number, block in enumerate(blocks):
        entry, sung = min(group.start for group in block), max(group.end for group in block)
        show = max(ended, entry - LEAD_MILLISECONDS, 0)
        if number == 0:
            show = max(show, title_ends(entry, plan.title))
        follows = blocks[number + 1][0].start if number + 1 < len(blocks) else plan.length
        hide = min(sung + HOLD_MILLISECONDS, max(sung, follows - LEAD_MILLISECONDS), max(sung, plan.length))
        placed += _place(block, show, hide, plan.rows // 2)
        if entry - ended >= plan.pause:
            entries.append((entry, show))
        ended = hide
    return Screens(tuple(placed), tuple(entries))


def title_ends(entry: int, wanted: int) -> int:
    """When the title is gone that is followed by words; 0 where there is no time for one."""
    most = min(wanted, entry - READY_MILLISECONDS)
    return most if most >= LEAST_CARD_MILLISECONDS else 0


def _groups(lines: Sequence[tuple[bool, Sequence[Row]]], plan: Plan) -> Iterator[_Group]:
    """Half a screen each: lines stay whole where they can, stanzas and pauses begin a new one."""
    half = plan.rows // 2
    group, ended = list[Row](), 0
    for stanza, rows in lines:
        apart = stanza or rows[0].start - ended >= plan.pause or len(group) + len(rows) > half
        if group and apart:
            yield _Group(tuple(group))
            group = []
        for row in rows:
            if len(group) == half:
                yield _Group(tuple(group))
                group = []
            group.append(row)
            ended = max(ended, row.end)
    if group:
        yield _Group(tuple(group))


def _blocks(groups: Sequence[_Group], pause: int) -> Iterator[list[_Group]]:
    """Groups between which the screen is not cleared."""
    block, ended = list[_Group](), 0
    for group in groups:
        if block and group.start - ended >= pause:
            yield block
            block = []
        block.append(group)
        ended = max(ended, group.end)
    if block:
        yield block


def _place(block: Sequence[_Group], show: int, hide: int, half: int) -> Iterator[Placed]:
    free = [show, show]  # when each half of the screen may be filled again
    for number, group in enumerate(block):
        upper = number % 2
        begin, end = free[upper], hide
        if number + 2 < len(block):
            end = group.end + max(0, min(_STAY_MILLISECONDS, (block[number + 2].start - group.end) // 2))
        end = max(begin, end)
        free[upper] = end
        # What is less than half a screen is in its middle.
        first = half if upper else half - len(group.rows)
        for place, row in enumerate(group.rows, first):
            yield Placed(row, begin, end, place)
