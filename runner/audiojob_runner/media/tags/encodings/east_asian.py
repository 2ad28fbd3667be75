"""Tells the encodings of Chinese, Japanese and Korean apart: of a wrong one the characters are rare, or none at all."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.media.tags.encodings.frequent import HANGUL, KANJI, SIMPLIFIED, TRADITIONAL

_KANA: Final = frozenset(map(chr, range(0x3041, 0x30FF)))
_PUNCTUATION: Final = frozenset("　、。・！？：；（）「」『』【】《》〈〉〜～…—－＆，．／“”‘’·★☆♪")
# How likely a character is that is in no list: of a sign, of the encoding's usual part, of the rest of it.
_SIGN, _USUAL, _RARE, _FOREIGN = (math.log(share) for share in (3e-3, 5e-5, 1e-6, 1e-7))
# Of a byte of ASCII, the same in all encodings; and of a letter right behind a character, as wrong guesses have it.
_ASCII, _JOINED = math.log(0.02), math.log(0.02)
# What is less likely for each character is none of these languages.
_LEAST_LIKELY: Final = -9.2
# Two accented letters are one of these characters, often even a usual one.
_LEAST_CHARACTERS: Final = 2
_RUN: Final = re.compile("[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]\\d*[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_LETTER_JOINED: Final = re.compile("[A-Za-z][\u3400-\u9fff\uac00-\ud7a3]|[\u3400-\u9fff\uac00-\ud7a3][A-Za-z]")
_IDEOGRAPHS: Final = range(0x3400, 0xA000)
_SYLLABLES: Final = range(0xAC00, 0xD7A4)


@dataclass(frozen=True, slots=True)
class _Language:
    """An encoding: its frequent characters with the share that they have of a text together, and how its usual part
    is known: by the ``first`` byte, the least ``second`` one, and the ``characters``."""

    codec: str
    frequent: tuple[tuple[frozenset[str], float], ...]
    first: range
    second: int = 0x40
    characters: range = _IDEOGRAPHS
    prior: float = 0.0  # how much rarer it is among files than the others are, as a logarithm


_LANGUAGES: Final = (
    _Language("gbk", ((SIMPLIFIED, 0.8),), range(0xB0, 0xD8), 0xA1),
    _Language("big5", ((TRADITIONAL, 0.8),), range(0xA4, 0xC7)),
    _Language("cp949", ((HANGUL, 0.85),), range(0xB0, 0xC9), 0xA1, _SYLLABLES),
    _Language("euc_jp", ((_KANA, 0.55), (KANJI, 0.35)), range(0xB0, 0xD0), prior=-4.0),
    _Language("cp932", ((_KANA, 0.55), (KANJI, 0.35)), range(0x88, 0x99)),
)
EAST_ASIAN: Final = frozenset(language.codec for language in _LANGUAGES)


def guess_east_asian(raws: Sequence[bytes]) -> str | None:
    """The codec that makes the most of the texts; None where none makes sense of all of them."""
    likely = {language.codec: _likelihood(raws, language) for language in _LANGUAGES}
    best = max(likely, key=lambda codec: likely[codec])
    return best if math.isfinite(likely[best]) else None


def decode_cut(raw: bytes, codec: str) -> str:
    """The text, without half a character at its end: fields of 30 bytes end anywhere. Raises UnicodeDecodeError."""
    return codecs.getincrementaldecoder(codec)().decode(raw, final=False)


def _likelihood(raws: Sequence[bytes], language: _Language) -> float:
    """The logarithm of how likely the texts are; minus infinity where they are none of that language."""
    try:
        texts = [decode_cut(raw, language.codec) for raw in raws]
    except UnicodeDecodeError:
        return -math.inf
    wide = [character for text in texts for character in text if not character.isascii()]
    known = sum(character not in _PUNCTUATION for character in wide)
    if known < _LEAST_CHARACTERS or not any(_RUN.search(text) for text in texts):
        return -math.inf
    likely = sum(_character(character, language) for character in wide)
    likely += sum(_JOINED for text in texts for _ in _LETTER_JOINED.finditer(text))
    if likely / len(wide) < _LEAST_LIKELY:
        return -math.inf
    return likely + language.prior + _ASCII * sum(character.isascii() for text in texts for character in text)


def _character(character: str, language: _Language) -> float:
    for characters, share in language.frequent:
        if character in characters:
            return math.log(share / len(characters))
    if character in _PUNCTUATION:
        return _SIGN
    if ord(character) in language.characters:
        raw = character.encode(language.codec)
        return _USUAL if raw[0] in language.first and raw[1] >= language.second else _RARE
    return _FOREIGN
