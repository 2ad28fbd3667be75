"""What readers of all forms hand on: rows as they are written, not yet cleaned, ordered or checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from audiojob_types.documents.lyrics import MAX_LINES, Form

MAX_BYTES: Final = 512 * 1024
# Before markup and signs that nobody sings are taken out.
MAX_RAW_CHARACTERS: Final = 5_000
_MAX_ROWS: Final = 2 * MAX_LINES  # some of them are empty, and only end the one before


class UnusableError(Exception):
    """Why a text cannot be used: a sentence that says what is wrong with it, and what to do."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a row, with its time where it has one of its own. Spaces at its edges count."""

    text: str
    start: int | None = None
    end: int | None = None
    derived: bool = False  # the time is its share of one that several words have


@dataclass(frozen=True, slots=True)
class Row:
    """One row. Times are milliseconds, and may be anything that can be written. Without pieces it ends others."""

    pieces: tuple[Piece, ...] = ()
    start: int | None = None
    end: int | None = None
    voice: str = ""
    stanza: bool = False
    repeated: bool = False  # written once with several times: it stands where no order puts it


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole text. ``notes`` are sentences on what of it was left out."""

    form: Form
    rows: tuple[Row, ...]
    title: str = ""
    artist: str = ""
    language: str = ""
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Rows:
    """Collects rows, and refuses more than anybody sings."""

    found: list[Row] = field(default_factory=list)

    def add(self, rows: Iterable[Row]) -> None:
        """Take these rows, one after the other. Raises :class:`UnusableError`."""
        for row in rows:
            if len(self.found) >= _MAX_ROWS:
                raise UnusableError(f"The lyrics have more than {MAX_LINES:,} lines; a song has fewer.")
            length = sum(len(piece.text) for piece in row.pieces)
            if length > MAX_RAW_CHARACTERS:
                raise UnusableError(f"A line of the lyrics has {length:,} characters. Write what is sung line by line.")
            self.found.append(row)


def milliseconds(sign: str, hours: str | None, minutes: str, seconds: str, fraction: str | None) -> int:
    """A time from its digits, behind "-" or nothing; a fraction has as many as it wants, the first three count."""
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    time = whole * 1_000 + int((fraction or "").ljust(3, "0")[:3])
    return -time if sign == "-" else time


def counted(count: int, noun: str) -> str:
    """``1 line``, ``2 lines``."""
    return f"{count} {noun}" if count == 1 else f"{count:,} {noun}s"
