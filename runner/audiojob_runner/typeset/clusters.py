"""What of a text stays together: a letter with its marks, and letters that no row may begin or end with."""

from __future__ import annotations

import unicodedata
from typing import Final

JOINERS: Final = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
# Scripts without spaces between words: a row may end nearly anywhere.
UNSPACED: Final = frozenset({"Han", "Kana", "Thai", "Lao", "Burmese", "Khmer", "Tibetan"})
_CLOSING: Final = frozenset(
    "、。，．・：；？！゛゜ヽヾゝゞ々ー’”）〕］｝〉》」』】ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ…ๆฯะาำๅະາຳ"
)
_OPENING: Final = frozenset("‘“（〔［｛〈《「『【เแโใไເແໂໃໄ")


def clusters(text: str) -> list[str]:
    """Each letter with the marks and joiners that follow it."""
    found = list[str]()
    for character in text:
        if found and (character in JOINERS or unicodedata.category(character)[0] == "M"):
            found[-1] += character
        else:
            found.append(character)
    return found


def pieces(text: str) -> list[str]:
    """The text where rows may be broken, if there are no spaces."""
    found = list[str]()
    for cluster in clusters(text):
        if found and (cluster[0] in _CLOSING or found[-1][-1] in _OPENING):
            found[-1] += cluster
        else:
            found.append(cluster)
    return found
