"""The film's subtitles: rows that fill as they are sung, title and end, a countdown. No I/O but the fonts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.karaoke.rows import Row, rows_of
from audiojob_runner.karaoke.screens import (
    LEAST_CARD_MILLISECONDS,
    Placed,
    Plan,
    Screens,
    screens_of,
    title_ends,
)
from audiojob_runner.karaoke.timed import SungLine
from audiojob_runner.lyrics.draft import counted
from audiojob_runner.lyrics.write import centiseconds
from audiojob_runner.typeset.ass import Event, Style, script, tagged
from audiojob_runner.typeset.fonts import Fonts
from audiojob_runner.typeset.wrap import wrapped
from audiojob_types.tasks.render import RenderParameters

INSTRUMENTAL: Final = "Instrumental"
# Of the frame's height: letters by the number of rows, and how far apart rows are at most, in all.
_EMS: Final = {2: 0.085, 4: 0.075, 6: 0.058}
_PITCH_EMS: Final = 1.75
_ALL_ROWS: Final = 0.76
_WIDEST: Final = 0.9  # of the frame's width; what shaping adds has its place beside it
_EDGE_EMS: Final = 0.06
_TITLE_EMS, _ARTIST_EMS = 1.5, 0.9
_CARD_ROWS: Final = 3
_FADE_MILLISECONDS: Final = 300
_COUNTS: Final = (3, 2, 1)
_END_GAP_MILLISECONDS, _END_MILLISECONDS = 500, 1_500


@dataclass(frozen=True, slots=True)
class Look:
    """The frame, how long the song is, and what is on the cards."""

    width: int
    height: int
    length: int  # milliseconds
    title: str
    artist: str
    parameters: RenderParameters

    @property
    def em(self) -> float:
        """Pixels of a letter."""
        return self.height * _EMS[self.parameters.rows] * self.parameters.text_size / 100

    @property
    def pitch(self) -> float:
        """Pixels from row to row."""
        return min(self.em * _PITCH_EMS, self.height * _ALL_ROWS / self.parameters.rows)


@dataclass(frozen=True, slots=True)
class Film:
    """Subtitles of a whole film. ``shown`` is a time at which there is something to see, in milliseconds."""

    subtitles: str
    shown: int
    warnings: tuple[str, ...]
    screens: Screens


def subtitles(lines: Sequence[SungLine], look: Look, fonts: Fonts) -> Film:
    """All that is written on the film."""
    widths = dict[str, float]()

    def measure(text: str) -> float:
        if text not in widths:
            widths[text] = fonts.width(text)
        return widths[text]

    wanted = look.parameters
    widest = look.width * _WIDEST / look.em
    rows = [(line.stanza, rows_of(line, measure, widest)) for line in lines]
    plan = Plan(wanted.rows, wanted.pause_seconds * 1_000, look.length, _title_milliseconds(look))
    screens = screens_of(rows, plan)
    events = [_row(each, look, fonts) for each in screens.placed]
    if wanted.countdown:
        events += _countdown(screens, look, fonts)
    title = list(_title(screens, look, fonts))
    events += [*title, *_end(screens, look, fonts)]
    shown = (title[0].start + title[0].end) // 2 if title else min(look.length - 1, screens.placed[0].row.start + 500)
    late = sum(each.late for each in screens.placed)
    warnings = (f"{counted(late, 'row')} shown late: too much is sung at once.",) if late else ()
    return Film(script(look.width, look.height, _styles(look), events), max(0, shown), warnings, screens)


def _styles(look: Look) -> list[Style]:
    wanted = look.parameters
    edge = look.em * _EDGE_EMS
    return [
        Style("Voice0", wanted.sung_color, wanted.text_color, edge),
        Style("Voice1", wanted.second_sung_color, wanted.second_text_color, edge),
        Style("Card", wanted.text_color, wanted.text_color, edge),
        Style("Count", wanted.sung_color, wanted.sung_color, edge),
    ]


def _title_milliseconds(look: Look) -> int:
    return look.parameters.title_seconds * 1_000 if look.title or look.artist else 0


def _y(place: float, look: Look) -> float:
    """The middle of a row."""
    return look.height / 2 + (place - (look.parameters.rows - 1) / 2) * look.pitch


def _row(placed: Placed, look: Look, fonts: Fonts) -> Event:
    row = placed.row
    text = _words(row, placed.show, look.em, fonts)
    return Event(placed.show, placed.hide, f"Voice{row.voice}", look.width / 2, _y(placed.place, look), text)


def _words(row: Row, show: int, em: float, fonts: Fonts) -> str:
    """Each word fills in its time; letters that are read from the right change at once, for players fill them from
    the wrong end."""
    tag = "k" if row.to_left else "kf"
    at, parts = centiseconds(show), list[str]()
    for number, word in enumerate(row.words):
        runs = fonts.runs(word.text)
        start, end = max(at, centiseconds(word.start)), max(at, centiseconds(word.end))
        if number and not word.joined:
            parts.append(f"{{\\k{start - at}}}{tagged(fonts.runs(' '), em)}")
        elif start > at:
            parts.append(f"{{\\k{start - at}}}")
        if runs:
            parts.append(f"{{\\{tag}{end - start}}}{tagged(runs, em)}")
            at = end
        else:
            at = start
    return "".join(parts)


def _countdown(screens: Screens, look: Look, fonts: Fonts) -> Iterator[Event]:
    y = max(_y(-1.0, look), look.em)
    for entry, show in screens.entries:
        for count in _COUNTS:
            start = entry - count * 1_000
            if start >= show:
                text = tagged(fonts.runs(str(count)), look.em)
                yield Event(start, start + 1_000, "Count", look.width / 2, y, text)


def _title(screens: Screens, look: Look, fonts: Fonts) -> Iterator[Event]:
    """As long as wanted, and nobody sings; without words, from beginning to end."""
    if not screens.placed:
        yield from _card(look.title or INSTRUMENTAL, look.artist, (0, look.length), look, fonts)
        return
    entry = min(each.row.start for each in screens.placed)
    end = title_ends(entry, _title_milliseconds(look))
    if end:
        yield from _card(look.title, look.artist, (0, end), look, fonts)


def _end(screens: Screens, look: Look, fonts: Fonts) -> Iterator[Event]:
    start = screens.ends + _END_GAP_MILLISECONDS
    if not screens.placed or look.length - start < _END_MILLISECONDS:
        return
    text = look.parameters.end_text
    title, artist = (look.title, look.artist) if text is None else (text, "")
    yield from _card(title, artist, (start, look.length), look, fonts)


def _card(title: str, artist: str, times: tuple[int, int], look: Look, fonts: Fonts) -> Iterator[Event]:
    """Large above small, around the middle of the frame."""
    rows = [(text, _TITLE_EMS) for text in _card_rows(title, _TITLE_EMS, look, fonts)]
    rows += [(text, _ARTIST_EMS) for text in _card_rows(artist, _ARTIST_EMS, look, fonts)]
    heights = [size * look.em * _PITCH_EMS * 0.8 for _, size in rows]
    y = (look.height - sum(heights)) / 2
    fade = _FADE_MILLISECONDS if times[1] - times[0] >= LEAST_CARD_MILLISECONDS else 0
    for (text, size), height in zip(rows, heights, strict=True):
        runs = fonts.runs(text)
        yield Event(*times, "Card", look.width / 2, y + height / 2, tagged(runs, look.em * size), fade)
        y += height


def _card_rows(text: str, size: float, look: Look, fonts: Fonts) -> list[str]:
    """The text in rows that fit; what would be a row too many is cut off."""
    kept = wrapped(text, look.width * _WIDEST / (look.em * size), fonts)
    return kept if len(kept) <= _CARD_ROWS else [*kept[: _CARD_ROWS - 1], f"{kept[_CARD_ROWS - 1]}…"]
