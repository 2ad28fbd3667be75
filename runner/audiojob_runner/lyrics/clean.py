"""Text that means the same in every form: without controls, pictures, and what a player would take for a tag."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_MAX_MARKS: Final = 4  # above and below one letter; more are a joke that fills the screen
_NOTES: Final = frozenset("♩♪♫♬🎵🎶")
_JOINERS: Final = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
# Scripts whose letters change their shape at a joiner: Arabic to Malayalam, and those of South-East Asia.
_SHAPED: Final = (range(0x0600, 0x0E00), range(0x0F00, 0x10A0), range(0x1780, 0x18B0))
_DROPPED: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_REPLACED: Final = str.maketrans({"{": "｛", "}": "｝", "\\": "⧵"})
# What somebody's editor put around the words: of these there is nothing to sing.
_MARKUP: Final = re.compile(
    r"</?(?:i|b|u|s|em|strong|font|span|c|v|ruby|rt|lang)(?:[\s.][^<>]*)?/?>|<br */?>", re.IGNORECASE
)
_TIME: Final = r"(?=[+-]?[0-9]+:[0-9])"
_LIKE_STAMP: Final = re.compile(rf"\[ ?(?:{_TIME}|(?=[A-Za-z#][A-Za-z#_]* ?:))")
_SPACES: Final = re.compile(" {2,}")
_LIKE_WORD_STAMP: Final = re.compile(rf"<{_TIME}")


@dataclass(slots=True)
class Removed:
    """What was taken out, by kind."""

    pictures: int = 0  # emoji: fonts of letters have none
    controls: int = 0  # what is not seen, private use, and what is no character
    marks: int = 0


def clean(text: str, removed: Removed) -> str:
    """The text in one line, spaces at its edges kept. What was removed is counted."""
    kept = _normal(text, removed)
    plain = _MARKUP.sub(lambda tag: " " if tag[0][1:3].lower() == "br" else "", kept)
    if plain != kept:
        kept = _normal(without_markup(plain), removed)  # letters and marks that tags kept apart
    kept = _LIKE_STAMP.sub("［", kept.replace("-->", "→").translate(_REPLACED))
    return _SPACES.sub(" ", _LIKE_WORD_STAMP.sub("＜", kept))


def one_row(text: str) -> str:
    """A title as players show it: one row, without what cannot be seen."""
    return " ".join(clean(text, Removed()).split())


def is_note(word: str) -> bool:
    """Whether it only says that there is music."""
    return all(character in _NOTES for character in word)


def without_markup(text: str) -> str:
    """The same, where tags came about of what others kept apart."""
    return text.replace("<", "＜") if _MARKUP.search(text) else text


def _normal(text: str, removed: Removed) -> str:
    kept = list[str]()
    marks = 0
    for number, character in enumerate(text):
        if character.isascii() and character.isprintable():
            marks = 0
            kept.append(character)
            continue
        if character.isspace():
            marks = 0
            kept.append(" ")
            continue
        category = unicodedata.category(character)
        marks = marks + 1 if category[0] == "M" else 0
        if is_picture(character, category):
            removed.pictures += character not in _NOTES
        elif category in _DROPPED and not _is_needed(text, number):
            removed.controls += character not in _JOINERS
        elif marks > _MAX_MARKS:
            removed.marks += 1
        else:
            kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


def is_picture(character: str, category: str) -> bool:
    """An emoji, or a sign that makes one of the character before it."""
    code = ord(character)
    if code >= 0x1F000:
        return category in ("So", "Sk") and code < 0x1FB00
    return 0xFE00 <= code <= 0xFE0F or code == 0x20E3


def _is_needed(text: str, number: int) -> bool:
    """A joiner between two letters that it joins or keeps apart."""
    if text[number] not in _JOINERS or not 0 < number < len(text) - 1:
        return False
    return all(any(ord(text[at]) in each for each in _SHAPED) for at in (number - 1, number + 1))
