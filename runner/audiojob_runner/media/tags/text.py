"""Text in whatever encoding somebody wrote it. Never U+FFFD: what is not UTF-8 is one of the usual others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from audiojob_runner.media.tags.encodings.east_asian import EAST_ASIAN, decode_cut
from audiojob_runner.media.tags.encodings.guess import guess
from audiojob_runner.media.tags.encodings.latin import WESTERN

# More than is kept of any tag (see `ffmetadata`), whatever the encoding.
MAX_TEXT_BYTES: Final = 64 * 1024
_MOST_ALONE: Final = 20
# What pairs of East Asian bytes look like that happen to be UTF-8.
_BY_CHANCE: Final = re.compile("[\x00-\x7f]*[\u0180-\u07ff][\x00-\x7f\u0180-\u07ff]*")


def decode_all(raws: Sequence[bytes]) -> list[str]:
    """Texts of one file that do not say their encoding: UTF-8 where they are that, else what all of them look like."""
    unclear = [raw for raw in raws if not _is_utf8(raw)]
    codec = guess(unclear) if unclear else WESTERN
    if codec == WESTERN and len(unclear) <= _MOST_ALONE:  # perhaps they do not go together
        return [_decode(raw, "utf-8" if _is_utf8(raw) else guess([raw])) for raw in raws]
    by_chance = _BY_CHANCE if codec in EAST_ASIAN else None
    return [_decode(raw, "utf-8" if _is_utf8(raw, by_chance) else codec) for raw in raws]


def decode(raw: bytes) -> str:
    """One such text."""
    return decode_all([raw])[0]


def decode_utf16(raw: bytes, default: str | None = None) -> str:
    """UTF-16 by its mark, else in the order of bytes ``default``, else in the order that makes sense of it."""
    raw = raw[: len(raw) & ~1]
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        order = "utf-16-le" if raw[0] == 0xFF else "utf-16-be"
        raw = raw[2:]
    else:
        order = default or _order(raw)
    return raw.decode(order, "ignore")


def repair(text: str) -> str:
    """What a program read as UTF-8 although it was not: bytes that were none are in it as lone surrogates."""
    if not any("\udc80" <= character <= "\udcff" for character in text):
        return text
    return decode(text.encode("utf-8", "surrogateescape"))


def cut(raw: bytes, limit: int = MAX_TEXT_BYTES) -> bytes:
    """The beginning, not ending within a character of UTF-8."""
    if len(raw) <= limit:
        return raw
    raw = raw[:limit]
    for back in range(1, 4):
        if raw[-back] >= 0xC0:
            return raw[:-back]
        if raw[-back] < 0x80:
            break
    return raw


def _is_utf8(raw: bytes, by_chance: re.Pattern[str] | None = None) -> bool:
    """Also where it ends within a character, as fields of 30 bytes do; but not of one such piece alone."""
    try:
        text = decode_cut(raw, "utf-8")
    except UnicodeDecodeError:
        return False
    if by_chance is not None and by_chance.fullmatch(text):
        return False
    return raw.isascii() or not text.isascii()


def _decode(raw: bytes, codec: str) -> str:
    try:
        return decode_cut(raw, codec)
    except UnicodeDecodeError:
        return "".join(_western(byte) for byte in raw)


def _western(byte: int) -> str:
    try:
        return bytes([byte]).decode(WESTERN)
    except UnicodeDecodeError:
        return ""  # a control character in Latin-1


def _order(raw: bytes) -> str:
    even, odd = raw[0::2].count(0), raw[1::2].count(0)
    if even != odd:
        return "utf-16-be" if even > odd else "utf-16-le"
    little, big = (raw.decode(f"utf-16-{order}", "ignore") for order in ("le", "be"))
    return "utf-16-be" if _oddness(big) < _oddness(little) else "utf-16-le"


def _oddness(text: str) -> int:
    """Characters that no text has, and changes of script: other than in a wrong order, neighbours are related."""
    unlikely = sum(unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs") for character in text)
    scripts = {unicodedata.name(character, "").partition(" ")[0] for character in text}
    return unlikely * 4 + len(scripts) + len({ord(character) >> 8 for character in text})
