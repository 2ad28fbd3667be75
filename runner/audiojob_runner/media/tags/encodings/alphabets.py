"""Tells encodings of other alphabets by their words: no ASCII letters, and as many vowels as can be spoken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(r"[^\W\d_]+")
_SIGNS: Final = frozenset("«»„“”‘’‚‹›–—…№©®™°\N{NO-BREAK SPACE}·•§")
_SIGN_WITHIN: Final = re.compile(r"[^\W\d_][«»№©®™°·•§]+[^\W\d_]")


@dataclass(frozen=True, slots=True)
class _Script:
    """An encoding whose words have no ASCII letters, and what its words look like."""

    codec: str
    word: re.Pattern[str]
    vowels: frozenset[str]
    frequent: frozenset[str]


_CYRILLIC: Final = re.compile("[А-ЯЁІЇЄҐЎ]?[а-яёіїєґў]+|[А-ЯЁІЇЄҐЎ]+")
_CYRILLIC_VOWELS: Final = frozenset("аеёиоуыэюяіїє")
_CYRILLIC_FREQUENT: Final = frozenset("оеаинтсрвлкмдпу")
_SCRIPTS: Final = (
    _Script("cp1251", _CYRILLIC, _CYRILLIC_VOWELS, _CYRILLIC_FREQUENT),
    _Script("koi8-u", _CYRILLIC, _CYRILLIC_VOWELS, _CYRILLIC_FREQUENT),
    _Script(
        "cp1253", re.compile("[Α-ΩΆΈΉΊΌΎΏ]?[α-ωάέήίόύώϊϋΐΰ]+|[ΆΈΉΊΌΎΏ]?[Α-ΩΪΫ]+"),
        frozenset("αεηιουωάέήίόύώϊϋ"), frozenset("αοιετσνηρκπυλμω"),
    ),
)  # fmt: skip
# Fewer letters than this look like any encoding, and words of few vowels like none of theirs.
_LEAST_LETTERS: Final = 4
_LEAST_WORD: Final = 3
_VOWELS: Final = (0.25, 0.8)
_LEAST_FREQUENT: Final = 0.5


def guess_alphabet(raw: bytes) -> str | None:
    """The codec in which the words look most like words; None where they do in none."""
    scores = {script.codec: _score(raw, script) for script in _SCRIPTS}
    best = max(scores, key=lambda codec: scores[codec])
    return best if scores[best] >= _LEAST_FREQUENT else None


def _score(raw: bytes, script: _Script) -> float:
    """The share of frequent letters where it can be of that script at all; else 0."""
    try:
        text = raw.decode(script.codec)
    except UnicodeDecodeError:
        return 0.0
    if any(not (character.isascii() or character.isalpha() or character in _SIGNS) for character in text):
        return 0.0
    if _SIGN_WITHIN.search(text):
        return 0.0
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    letters = "".join(words).lower()
    if len(letters) < _LEAST_LETTERS or max(map(len, words)) < _LEAST_WORD:
        return 0.0
    if not all(script.word.fullmatch(word) for word in words):
        return 0.0
    vowels = sum(letter in script.vowels for letter in letters) / len(letters)
    if not _VOWELS[0] <= vowels <= _VOWELS[1]:
        return 0.0
    return sum(letter in script.frequent or letter in script.vowels for letter in letters) / len(letters)
