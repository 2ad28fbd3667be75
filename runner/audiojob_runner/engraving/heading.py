"""Titles, and names of parts, as they stand above and before the music."""

from __future__ import annotations

import unicodedata
from typing import Final

from audiojob_runner.lyrics.clean import is_picture

MAX_TITLE: Final = 100  # letters that fit into one row
MAX_NAME: Final = 24
_JOINERS: Final = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})  # controls, those of direction among them, and no characters
_SIZES: Final = ((40, 200), (60, 140), (MAX_TITLE, 100))  # percent of a word's size, for so many letters


def one_row(text: str, most: int = MAX_TITLE) -> str:
    """The text in one row, with nothing that is not seen; a long one is cut."""
    kept = "".join(each if _is_shown(each) else " " if each.isspace() else "" for each in text[: 4 * MAX_TITLE])
    row = " ".join(kept.split())
    return row if len(row) <= most else row[: most - 1].rstrip() + "…"


def size_of(title: str) -> str:
    """How large a title is printed, so that it fits its row."""
    wide = sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in title)
    percent = next((percent for letters, percent in _SIZES if wide <= letters), 70)
    return f"{percent}%"


def _is_shown(character: str) -> bool:
    category = unicodedata.category(character)
    if character in _JOINERS:
        return True
    return category not in _UNSEEN and not character.isspace() and not is_picture(character, category)
