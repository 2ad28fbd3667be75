"""The encoding of texts that belong together and are not UTF-8."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from audiojob_runner.media.tags.encodings.alphabets import guess_alphabet
from audiojob_runner.media.tags.encodings.east_asian import guess_east_asian
from audiojob_runner.media.tags.encodings.latin import WESTERN, guess_latin

# Longer texts tell no more.
_MOST_BYTES, _MOST_TEXTS = 2_000, 20
_WORD: Final = re.compile(r"[^\W\d_]+")
_MARKS: Final = frozenset("’‘“”„«»‹›…–—¡¿°ºª®™©·´`€\N{NO-BREAK SPACE}")
# Words of Latin letters have most of them without accents.
_LEAST_ASCII: Final = 0.4


def guess(raws: Sequence[bytes]) -> str:
    """The codec that all of the texts have."""
    given = [raw[:_MOST_BYTES] for raw in raws[:_MOST_TEXTS]]
    joined = b"\n".join(given)
    if not _reads_as_latin(joined):
        found = guess_alphabet(joined) or guess_east_asian(given)
        if found:
            return found
    return guess_latin(joined)


def _reads_as_latin(raw: bytes) -> bool:
    text = raw.decode("latin-1") if _has_controls(raw) else raw.decode(WESTERN, "replace")
    if any(not (character.isascii() or character.isalpha() or character in _MARKS) for character in text):
        return False
    accented = "".join(word for word in _WORD.findall(text) if not word.isascii())
    return sum(letter.isascii() for letter in accented) >= _LEAST_ASCII * len(accented)


def _has_controls(raw: bytes) -> bool:
    """Bytes that Windows leaves free."""
    return any(byte in raw for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D))
