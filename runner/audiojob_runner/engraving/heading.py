"""Titles, and names of parts, as they stand above and before the music."""

from __future__ import annotations

import unicodedata
from typing import Final

from audiojob_runner.lyrics.clean import is_picture

MAX_TITLE: Final = 100  # letters that fit into one row
MAX_NAME: Final = 24
_JOINERS: Final = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})  # controls, those of direction among them, and no characters
_FITS: Final = 9_000  # percent of a word's size times small letters: a row from margin to margin
_WIDE_LETTERS: Final = frozenset("MW@ŒÆЖШЩЮ…—")


def one_row(text: str, most: int = MAX_TITLE) -> str:
    """The text in one row, with nothing that is not seen; a long one is cut."""
    kept = "".join(each if _is_shown(each) else " " if each.isspace() else "" for each in text[: 4 * MAX_TITLE])
    row = " ".join(kept.split())
    return row if len(row) <= most else row[: most - 1].rstrip() + "…"


def size_of(text: str, most: int) -> str:
    """How large a heading is printed, so that it fits its row; at most so many percent."""
    return f"{min(most, int(_FITS / max(sum(map(_width, text)), 1)))}%"


def _width(character: str) -> float:
    """In small letters."""
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):
        return 0.0
    if character in _WIDE_LETTERS or unicodedata.east_asian_width(character) in "WF":
        return 2.0
    return 1.5 if category == "Lu" else 1.0


def _is_shown(character: str) -> bool:
    category = unicodedata.category(character)
    if character in _JOINERS:
        return True
    return category not in _UNSEEN and not character.isspace() and not is_picture(character, category)
