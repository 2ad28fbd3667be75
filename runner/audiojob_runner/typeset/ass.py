"""Subtitles of our own making (ASS): styles, events, text in named fonts. Nothing of anybody else's gets in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.lyrics.write import ass_clock, centiseconds
from audiojob_runner.typeset.fonts import Run

_HEAD: Final = """\
[Script Info]
ScriptType: v4.00+
PlayResX: {width}
PlayResY: {height}
WrapStyle: 2
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
"""
_EVENTS: Final = """
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
# What begins a tag or ends a line. Words are cleaned before; this is for what is not.
_SIGNS: Final = str.maketrans({"{": "｛", "}": "｝", "\\": "⧵", "\n": " ", "\r": " ", "\0": None})


@dataclass(frozen=True, slots=True)
class Style:
    """How text of a kind looks: colours as #rrggbb, the edge around letters in pixels."""

    name: str
    color: str  # in karaoke: of what is sung
    before: str  # of what is not sung yet
    edge: float

    @property
    def line(self) -> str:
        """Its line in the file. Direction goes by the text (Encoding -1), letters are bold."""
        return (
            f"Style: {self.name},Sans,20,{_color(self.color)},{_color(self.before)},&H00000000,&H80000000,-1,0,0,0,"
            f"100,100,0,0,1,{self.edge:.1f},{self.edge / 2:.1f},5,0,0,0,-1\n"
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Text around a point of the frame, from and to milliseconds. ``text`` is tagged; ``fade`` is for both ends."""

    start: int
    end: int
    style: str
    x: float
    y: float
    text: str
    fade: int = 0

    @property
    def line(self) -> str:
        """Its line in the file."""
        fade = f"\\fad({self.fade},{self.fade})" if self.fade else ""
        times = f"{ass_clock(centiseconds(self.start))},{ass_clock(centiseconds(self.end))}"
        return f"Dialogue: 0,{times},{self.style},,0,0,0,,{{\\pos({self.x:.1f},{self.y:.1f}){fade}}}{self.text}\n"


def script(width: int, height: int, styles: Sequence[Style], events: Iterable[Event]) -> str:
    """The whole file, for a frame of that size."""
    lines = (event.line for event in events if centiseconds(event.end) > centiseconds(event.start))
    return "".join((_HEAD.format(width=width, height=height), *(style.line for style in styles), _EVENTS, *lines))


def tagged(runs: Sequence[Run], em: float) -> str:
    """Text in its fonts, each at such a size that letters are ``em`` pixels."""
    return "".join(
        f"{{\\fn{run.face.family}\\fs{run.face.height * run.scale * em:.1f}}}{run.text.translate(_SIGNS)}"
        for run in runs
    )


def _color(color: str) -> str:
    red, green, blue = color[1:3], color[3:5], color[5:7]
    return f"&H00{blue}{green}{red}".upper()
