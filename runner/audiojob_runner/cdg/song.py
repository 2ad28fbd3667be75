"""From the words of a song to CD+G: rows, halves, packets, and sentences on what could not be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.cdg.rows import Draw, ScreenRow, rows_of
from audiojob_runner.cdg.screens import Stanza, halves_of, title_end
from audiojob_runner.cdg.stream import TITLE_COLOURS, TITLE_ROWS, Songbook, Title, packets
from audiojob_runner.karaoke.timed import Sung, SungLine
from audiojob_runner.lyrics.draft import counted
from audiojob_runner.lyrics.scripts import direction_of
from audiojob_types.documents.lyrics import Direction

# More than anybody reads in a song of a day; each is kept while the stream is made.
MAX_ROWS: Final = 20_000
_ARTIST_ROWS: Final = 2


@dataclass(frozen=True, slots=True)
class About:
    """What the title says, and how long the song is, in milliseconds. ``delay`` moves all of it behind the sound."""

    length: float
    title: str = ""
    artist: str = ""
    delay: float = 0.0


@dataclass(slots=True)
class Graphics:
    """The stream of a song. ``left_out`` are lines beyond MAX_ROWS; other losses are known when it has been read."""

    song: Songbook
    rows: int
    left_out: int = 0

    def packets(self) -> Iterator[bytes]:
        """Pieces of whole packets; it can be read once."""
        return packets(self.song)

    def warnings(self) -> list[str]:
        """What was left out, once the stream was read."""
        losses = self.song.losses
        counts = (
            (self.left_out, "line", f"left out: there is room for {MAX_ROWS:,} rows."),
            (losses.left_out, "row", "left out: sung faster than it can be drawn."),
            (losses.late, "row", "coloured late or in part: sung faster than it can be drawn."),
        )
        return [f"CD+G: {counted(count, what)} {why}" for count, what, why in counts if count]


def graphics_of(
    lines: Sequence[SungLine], about: About, draw: Draw, drawn: Callable[[float], None] = lambda share: None
) -> Graphics:
    """The stream for a song's words. Without words it is the title alone.

    Thousands of lines take a while: ``drawn`` is told which share of them is done, and may raise.
    """
    stanzas = list[Stanza]()
    rows = left_out = 0
    for number, line in enumerate(lines):
        drawn(number / len(lines))
        if rows >= MAX_ROWS:
            left_out += 1
            continue
        made = tuple(rows_of(line, draw))
        rows += len(made)
        stanzas.append(Stanza(made, line.stanza))
    first = min((stanza.rows[0].start for stanza in stanzas if stanza.rows), default=None)
    shown = _title(about, draw)
    end = title_end(first, about.length) if shown else 0.0
    title = Title(shown if end else (), end)
    return Graphics(Songbook(halves_of(stanzas, end), title, about.length, about.delay), rows, left_out)


def _title(about: About, draw: Draw) -> tuple[tuple[ScreenRow, int], ...]:
    title, artist = (
        [(row, colour) for row in (rows_of(_still(text), draw) if text.split() else ())]
        for text, colour in zip((about.title, about.artist), TITLE_COLOURS, strict=True)
    )
    artist = artist[:_ARTIST_ROWS]
    return (*title[: TITLE_ROWS - len(artist)], *artist)


def _still(text: str) -> SungLine:
    words = tuple(Sung(word, False, 0, 0) for word in text.split())
    return SungLine(words, to_left=direction_of(text) is Direction.RIGHT_TO_LEFT)
