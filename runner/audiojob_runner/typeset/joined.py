"""Arabic letters as they are joined: for their widths, which those of single letters are far above."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

# Where letters stand by themselves as they look within a word. Texts are not made of these: fonts join letters.
_FORMS: Final = (range(0xFB50, 0xFE00), range(0xFE70, 0xFEFF))
# By whether a letter is joined to the one before it, and to the next one.
_KINDS: Final = ("<isolated>", "<initial>", "<final>", "<medial>")
_TATWEEL: Final = "\N{ARABIC TATWEEL}"


@lru_cache(maxsize=1)
def _table() -> dict[tuple[str, str], str]:
    """A letter's look by letter and kind."""
    found = dict[tuple[str, str], str]()
    for code in (each for part in _FORMS for each in part):
        kind, _, letters = unicodedata.decomposition(chr(code)).partition(" ")
        if kind in _KINDS and letters and " " not in letters:
            found.setdefault((chr(int(letters, 16)), kind), chr(code))
    return found


def joined(text: str) -> str:
    """The text with each Arabic letter as it looks beside its neighbours; marks are left out."""
    table = _table()
    letters = [each for each in text if unicodedata.category(each) != "Mn"]

    def joins_next(letter: str) -> bool:
        return letter == _TATWEEL or (letter, "<initial>") in table

    def joins_before(letter: str) -> bool:
        return letter == _TATWEEL or (letter, "<final>") in table

    found = []
    for number, letter in enumerate(letters):
        before = number > 0 and joins_next(letters[number - 1]) and joins_before(letter)
        after = number + 1 < len(letters) and joins_next(letter) and joins_before(letters[number + 1])
        kind = _KINDS[2 * before + after]
        found.append(table.get((letter, kind), letter))
    return "".join(found)
