"""Texts on the picture, as subtitles of our own: rows that fit, each in fonts that have its letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.compose.frame import Frame
from audiojob_runner.lyrics.clean import Removed, clean
from audiojob_runner.typeset.ass import Event, Style, script, tagged
from audiojob_runner.typeset.fonts import Fonts
from audiojob_runner.typeset.wrap import wrapped
from audiojob_types.documents.scenes import Look, Overlay, Position, TextSize

# Shares of the frame's shorter side, its width and its height.
_EMS: Final = {TextSize.SMALL: 0.05, TextSize.MEDIUM: 0.07, TextSize.LARGE: 0.12}
_WIDTH: Final = 0.86
_MARGIN: Final = 0.08
_ROWS: Final = {Look.OUTLINE: 1.4, Look.BOX: 1.8}
_GAP: Final = 0.4
# Long texts get smaller before they leave the frame.
_SMALLER: Final = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.22, 0.16)
_FOR_EVER: Final = 36_000_000


@dataclass(frozen=True, slots=True)
class _Box(Style):
    """Letters on a dark box behind the whole row."""

    @property
    def line(self) -> str:
        # Border style 4 is one box for a row, of the colour of shadows; what would be the shadow is its margin.
        plain = Style.line.__get__(self)
        head, _, tail = plain.partition(",1,")
        margin = tail.split(",", 2)[2]
        return f"{head},4,0,{self.edge:.1f},{margin}"


@dataclass(frozen=True, slots=True)
class _Row:
    text: str
    overlay: Overlay
    em: float
    gap: float  # before it

    @property
    def height(self) -> float:
        """Of the row itself."""
        return self.em * _ROWS[self.overlay.look]


def overlay_script(overlays: Sequence[Overlay], frame: Frame, fonts: Fonts) -> str | None:
    """The subtitles of a scene; None where there is nothing to show."""
    styles = dict[str, Style]()
    events = list[Event]()
    for position in Position:
        wanted = [each for each in overlays if each.position is position]
        found = _fitting(wanted, frame, fonts)
        height = sum(row.height + row.gap for row in found)
        y = _top(position, height, frame)
        for row in found:
            style = _style(row, f"S{len(styles)}")
            known = next((each for each in styles.values() if _same(each, style)), None)
            style = known or style
            styles[style.name] = style
            y += row.gap + row.height / 2
            text = tagged(fonts.runs(row.text), row.em)
            events.append(Event(0, _FOR_EVER, style.name, frame.width / 2, y, text))
            y += row.height / 2
    return script(frame.width, frame.height, tuple(styles.values()), events) if events else None


def shown_texts(overlays: Iterable[Overlay], removed: Removed) -> list[str]:
    """The texts as they are shown, free of what could not be. What is left out is counted."""
    return [line for each in overlays for line in _lines(each, removed)]


def _fitting(overlays: Sequence[Overlay], frame: Frame, fonts: Fonts) -> list[_Row]:
    """The rows at the largest size at which they do."""
    found = list[_Row]()
    for share in _SMALLER:
        found = list(_rows(overlays, frame, fonts, share))
        if sum(row.height + row.gap for row in found) <= frame.height * (1 - 2 * _MARGIN):
            break
    return found


def _rows(overlays: Sequence[Overlay], frame: Frame, fonts: Fonts, share: float) -> Iterator[_Row]:
    for number, overlay in enumerate(overlays):
        em = _EMS[overlay.size] * min(frame.width, frame.height) * share
        gap = em * _GAP if number else 0.0
        for line in _lines(overlay, Removed()):
            for text in wrapped(line, frame.width * _WIDTH / em, fonts):
                yield _Row(text, overlay, em, gap)
                gap = 0.0


def _lines(overlay: Overlay, removed: Removed) -> list[str]:
    lines = (clean(line, removed).strip() for line in overlay.content.splitlines())
    return [line for line in lines if line]


def _top(position: Position, height: float, frame: Frame) -> float:
    margin = frame.height * _MARGIN
    if position is Position.TOP:
        return margin
    return frame.height - margin - height if position is Position.BOTTOM else (frame.height - height) / 2


def _style(row: _Row, name: str) -> Style:
    colour = row.overlay.colour
    if row.overlay.look is Look.BOX:
        return _Box(name, colour, colour, row.em * 0.25)
    return Style(name, colour, colour, max(1.0, row.em * 0.06))


def _same(one: Style, other: Style) -> bool:
    return type(one) is type(other) and (one.color, one.edge) == (other.color, other.edge)
