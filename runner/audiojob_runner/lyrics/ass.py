"""ASS and SSA: of what they can do only the text of events, their times, ``\\k`` and who sings is read.

Styles, fonts, pictures, positions and drawings are passed over: nothing of them goes any further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from audiojob_runner.lyrics.draft import Draft, Piece, Row, Rows, UnusableError, counted, milliseconds
from audiojob_types.documents.lyrics import Form

_TIME: Final = re.compile(r"\s*(-?)([0-9]{1,4}):([0-9]{1,2}):([0-9]{1,2})(?:[.:]([0-9]{1,6}))?\s*")
_SECTION: Final = re.compile(r"\s*\[[^\]]{1,40}\]\s*")
_DEFAULT_FORMAT: Final[tuple[str, ...]] = (
    "layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text",
)  # fmt: skip
_TAG: Final = re.compile(r"\\([a-zA-Z0-9][^\\]*)")
# Fill and outline differ on the screen, and not in time.
_KARAOKE: Final = re.compile(r"(?:k|K|kf|ko)([0-9]{1,6}(?:\.[0-9]+)?)\s*")
_DRAWING: Final = re.compile(r"p([0-9]{1,3})\s*")
_ESCAPES: Final = re.compile(r"\\[Nnh]")


@dataclass(slots=True)
class _Event:
    kind: str
    fields: Mapping[str, str]
    start: int
    end: int

    @property
    def effect(self) -> str:
        return self.fields.get("effect", "").strip().lower()


@dataclass(slots=True)
class _Dropped:
    """What is not taken over, by kind."""

    overrides: int = 0
    drawings: int = 0


@dataclass(slots=True)
class _Text:
    """Collects the pieces of one event: each ``\\k`` says how long its syllable is sung."""

    at: int
    pieces: list[Piece] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    length: int | None = None

    def next(self, length: int | None) -> None:
        """The syllable ends; the next one is so long."""
        text, end = "".join(self.parts), self.at + (self.length or 0)
        if self.length is None:
            self.pieces += [Piece(text)] if text else []
        else:
            self.pieces += [Piece(text, self.at, end)] if text else []
        self.at, self.length, self.parts = end, length, []


def is_ass(text: str) -> bool:
    """Whether there are events of this form."""
    return bool(re.search(r"^\s*\[(?:Script Info|Events|V4\+? Styles)\]", text, re.IGNORECASE | re.MULTILINE))


def read_ass(text: str) -> Draft:
    """Events with their times, syllables with theirs. Raises :class:`UnusableError`."""
    events = list(_events(text))
    if not events:
        raise UnusableError("The lyrics are no ASS: no line begins with 'Dialogue:' below '[Events]'.")
    if any(each.effect == "karaoke" for each in events):
        # A template made the rest of these; what it made of them is for the eye.
        chosen = [each for each in events if each.effect == "karaoke"]
    else:
        chosen = [each for each in events if each.kind == "dialogue" and not each.effect.startswith("fx")]
    rows, dropped = Rows(), _Dropped()
    for event in chosen:
        pieces = _pieces(event.fields.get("text", ""), event.start, dropped)
        rows.add([Row(pieces, event.start, event.end, event.fields.get("name", event.fields.get("actor", "")).strip())])
    return Draft(Form.ASS, tuple(rows.found), notes=tuple(_notes(dropped)))


def _notes(dropped: _Dropped) -> Iterator[str]:
    if dropped.drawings:
        yield f"{counted(dropped.drawings, 'drawing')} of the ASS file left out: only words and their times are taken."
    if dropped.overrides:
        yield f"{counted(dropped.overrides, 'style override')} of the ASS file left out: fonts, colours, positions."


def _events(text: str) -> Iterator[_Event]:
    inside, names = False, _DEFAULT_FORMAT
    for line in text.splitlines():
        if line.lstrip().startswith("[") and _SECTION.fullmatch(line):
            inside = line.strip().lower() == "[events]"
            continue
        if not inside:
            continue
        kind, colon, rest = line.partition(":")
        kind = kind.strip().lower()
        if kind == "format":
            found = tuple(name.strip().lower() for name in rest.split(",", 40))
            names = found if {"start", "end", "text"} <= set(found) else names
        elif colon and kind in ("dialogue", "comment"):
            values = rest.lstrip().split(",", len(names) - 1)
            fields = dict(zip(names, values, strict=False))
            start, end = _time(fields.get("start", "")), _time(fields.get("end", ""))
            if start is not None and end is not None:
                yield _Event(kind, fields, start, end)


def _pieces(text: str, start: int, dropped: _Dropped) -> tuple[Piece, ...]:
    """The text outside braces. A brace that nothing closes is text, as players show it."""
    found, drawing, at = _Text(start), False, 0
    while (begin := text.find("{", at)) >= 0 and (end := text.find("}", begin)) >= 0:
        _add(found, text[at:begin], drawing, dropped)
        drawing = _override(text[begin + 1 : end], found, drawing, dropped)
        at = end + 1
    _add(found, text[at:], drawing, dropped)
    found.next(None)
    return tuple(found.pieces)


def _add(found: _Text, text: str, drawing: bool, dropped: _Dropped) -> None:
    if drawing:
        dropped.drawings += bool(text.strip())
    elif text:
        found.parts.append(_ESCAPES.sub(" ", text))


def _override(block: str, found: _Text, drawing: bool, dropped: _Dropped) -> bool:
    """What a block of tags changes; whether a drawing follows."""
    for tag in _TAG.findall(_without_arguments(block)):
        if length := _KARAOKE.fullmatch(tag):
            found.next(round(float(length[1]) * 10))
        elif mode := _DRAWING.fullmatch(tag):
            drawing = int(mode[1]) > 0
        else:
            dropped.overrides += 1
    return drawing


def _without_arguments(block: str) -> str:
    """Without what is in parentheses: tags in there happen to others, at other times."""
    depth, kept = 0, list[str]()
    for part in re.split(r"([()])", block):
        if part == "(":
            depth += 1
        elif part == ")":
            depth = max(0, depth - 1)
        elif depth == 0:
            kept.append(part)
    return "".join(kept)


def _time(text: str) -> int | None:
    found = _TIME.fullmatch(text)
    return milliseconds(*found.groups()) if found else None
