"""All packets of a song, in time. Pure.

What is sung changes its colour column by column, exactly then; rows that come next are drawn in between. Where the
words come faster than 300 packets a second can tell, rows are left out or coloured late, and counted.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from audiojob_runner.cdg.bitmap import BLANK_TILE, Bits, extent, tiles
from audiojob_runner.cdg.packets import (
    NOTHING,
    TILE_WIDTH,
    Colour,
    clear,
    colour_tables,
    packet_at,
    tile,
    tile_xor,
)
from audiojob_runner.cdg.rows import ScreenRow, SungPart
from audiojob_runner.cdg.screens import ROWS_OF_HALF, STAY_MILLISECONDS, Half

VOICES: Final = 4
BACKGROUND: Final = 0
TITLE_COLOURS: Final = (9, 10)
# Background; for each voice before and after it has sung; the title, and who made it; the rest is black.
PALETTE: Final[tuple[Colour, ...]] = (
    (0, 0, 2), (15, 15, 15), (4, 11, 15), (15, 13, 9), (15, 7, 2), (12, 15, 11), (4, 13, 5), (15, 12, 15), (13, 5, 13),
    (15, 15, 15), (10, 12, 15), *[(0, 0, 0)] * 5,
)  # fmt: skip
# A column that would change later than this does not change any more.
LATEST_PACKETS: Final = 150
# The first tile of a row of text, and from one row to the next, in tiles of the screen.
_FIRST_ROW, _ROW_STEP, _FIRST_COLUMN = 1, 4, 1
TITLE_ROWS: Final = 4
_CHUNK_PACKETS: Final = 18_000


@dataclass(frozen=True, slots=True)
class Title:
    """Rows that are shown until ``end`` (milliseconds), each with its colour."""

    rows: tuple[tuple[ScreenRow, int], ...]
    end: float


@dataclass(slots=True)
class Losses:
    """What could not be shown as it should be."""

    left_out: int = 0  # rows that were over before they could be drawn
    late: int = 0  # rows whose colour is late, or stays


@dataclass(slots=True)
class Songbook:
    """What is to be shown. ``delay`` and ``length`` are in milliseconds; losses are counted while packets are made."""

    halves: Sequence[Half]
    title: Title
    length: float
    delay: float = 0.0
    losses: Losses = field(default_factory=Losses)


def before(voice: int) -> int:
    """The colour of words that a voice has not sung yet."""
    return 1 + 2 * (voice % VOICES)


def after(voice: int) -> int:
    """The colour of words that it has sung."""
    return 2 + 2 * (voice % VOICES)


def packets(song: Songbook) -> Iterator[bytes]:
    """The stream in pieces of whole packets, exactly as long as the song and its delay."""
    return _Player(song).play()


@dataclass(frozen=True, slots=True)
class _Wipe:
    """A tile that changes its colour. ``row`` and ``column`` are the screen's."""

    row: int
    column: int
    bits: Bits
    difference: int


@dataclass(slots=True)
class _Shown:
    """A half that was drawn: whether others are in its place by now, and which of its rows are late."""

    gone: bool = False
    late: set[int] = field(default_factory=set)


class _Player:
    """The channel: one packet at a time, and what the screen shows after it."""

    def __init__(self, song: Songbook) -> None:
        self._song = song
        self._length = packet_at(song.length + song.delay)
        self._now = 0
        self._pending = bytearray()
        self._screen = dict[tuple[int, int], tuple[Bits, int]]()
        self._wipes = list[tuple[int, int, _Shown, int, _Wipe]]()
        self._order = count()
        self._places: list[_Shown | None] = [None, None]

    def play(self) -> Iterator[bytes]:
        yield from self._send([*colour_tables(PALETTE), *clear(BACKGROUND)])
        for number, (row, colour) in enumerate(self._song.title.rows[:TITLE_ROWS]):
            yield from self._send(self._changes(number, row, colour))
        yield from self._sing()
        if self._now < self._length:
            yield from self._wait(self._length)
        yield bytes(self._pending)

    def _sing(self) -> Iterator[bytes]:
        halves = self._song.halves
        for number, half in enumerate(halves):
            ended = max((each.end for each in halves[max(0, number - 2) : number]), default=self._song.title.end)
            if half.fresh:
                stays = STAY_MILLISECONDS if number else 0
                yield from self._until(self._at(ended + stays))
                yield from self._clear()
            yield from self._until(self._at(half.release))
            if self._now >= self._length:
                return
            yield from self._begin(half)
        if halves:
            yield from self._until(self._at(max(half.end for half in halves[-2:]) + STAY_MILLISECONDS))
            yield from self._clear()

    def _at(self, milliseconds: float) -> int:
        return packet_at(milliseconds + self._song.delay)

    def _begin(self, half: Half) -> Iterator[bytes]:
        """Draw the rows of a half, unless they are over."""
        if self._now > self._at(half.end):
            self._song.losses.left_out += len(half.rows)
            return
        if (old := self._places[half.place]) is not None:
            old.gone = True
        drawn = list(colour_tables(PALETTE))
        for number in range(ROWS_OF_HALF):
            row_or_none = half.rows[number] if number < len(half.rows) else None
            voice = row_or_none.voice if row_or_none is not None else 0
            drawn += self._changes(half.place * ROWS_OF_HALF + number, row_or_none, before(voice))
        for packet in drawn:
            while (wipe_packet := self._due()) is not None:
                yield from self._send([wipe_packet])
            yield from self._send([packet])
        shown = self._places[half.place] = _Shown()
        for number, row in enumerate(half.rows):
            for wipe_at, wipe in _wipes_of(half.place * ROWS_OF_HALF + number, row):
                heapq.heappush(self._wipes, (self._at(wipe_at), next(self._order), shown, number, wipe))

    def _until(self, end: int) -> Iterator[bytes]:
        """Sing until that packet. The screen stays as it is but for colours."""
        end = min(end, self._length)
        while self._now < end:
            packet = self._due()
            if packet is not None:
                yield from self._send([packet])
            else:
                yield from self._wait(min(end, self._wipes[0][0]) if self._wipes else end)

    def _due(self) -> bytes | None:
        """The next change of colour whose time has come."""
        while self._wipes and self._wipes[0][0] <= self._now:
            due, _, shown, number, wipe = self._wipes[0]
            heapq.heappop(self._wipes)
            lateness = self._now - due
            if (shown.gone or lateness > LATEST_PACKETS) and number not in shown.late:
                shown.late.add(number)
                self._song.losses.late += 1
            if not shown.gone and lateness <= LATEST_PACKETS:
                return tile_xor(wipe.row, wipe.column, wipe.bits, wipe.difference)
        return None

    def _changes(self, slot: int, row: ScreenRow | None, colour: int) -> list[bytes]:
        """Packets that turn what is in a slot into the row."""
        wanted = dict[tuple[int, int], Bits]()
        if row is not None:
            for place, column, bits in tiles(row.mask):
                wanted[_FIRST_ROW + _ROW_STEP * slot + place, _FIRST_COLUMN + column] = bits
        found = list[bytes]()
        slot_rows = range(_FIRST_ROW + _ROW_STEP * slot, _FIRST_ROW + _ROW_STEP * slot + _ROW_STEP)
        for key in [key for key in self._screen if key[0] in slot_rows and key not in wanted]:
            del self._screen[key]
            found.append(tile(*key, BLANK_TILE, BACKGROUND, BACKGROUND))
        for key, bits in wanted.items():
            self._screen[key] = (bits, colour)
            found.append(tile(*key, bits, colour, BACKGROUND))
        return found

    def _clear(self) -> Iterator[bytes]:
        self._screen.clear()
        for shown in self._places:
            if shown is not None:
                shown.gone = True
        self._places = [None, None]
        yield from self._send([*colour_tables(PALETTE), *clear(BACKGROUND)])

    def _send(self, sent: Sequence[bytes]) -> Iterator[bytes]:
        for packet in sent[: max(0, self._length - self._now)]:
            self._pending += packet
            self._now += 1
        yield from self._full()

    def _wait(self, end: int) -> Iterator[bytes]:
        while self._now < end:
            step = min(end, self._length, self._now + _CHUNK_PACKETS) - self._now
            if step <= 0:
                return
            self._pending += NOTHING * step
            self._now += step
            yield from self._full()

    def _full(self) -> Iterator[bytes]:
        if len(self._pending) >= _CHUNK_PACKETS * len(NOTHING):
            yield bytes(self._pending)
            self._pending.clear()


def _wipes_of(slot: int, row: ScreenRow) -> Iterator[tuple[float, _Wipe]]:
    """Each tile of each part, with the time at which it changes."""
    difference = before(row.voice) ^ after(row.voice)
    for part in row.parts:
        edges = extent(part.mask)
        if edges is None:
            continue
        for place, column, bits in tiles(part.mask):
            at = _moment(part, edges, column)
            yield at, _Wipe(_FIRST_ROW + _ROW_STEP * slot + place, _FIRST_COLUMN + column, bits, difference)


def _moment(part: SungPart, edges: tuple[int, int], column: int) -> float:
    """When the middle of what a column has of a part is sung."""
    left, right = max(edges[0], column * TILE_WIDTH), min(edges[1], (column + 1) * TILE_WIDTH)
    share = ((left + right) / 2 - edges[0]) / (edges[1] - edges[0])
    return part.start + (part.end - part.start) * (1 - share if part.from_right else share)
