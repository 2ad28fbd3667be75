"""Text in whatever encoding somebody wrote it. Never U+FFFD: what is not UTF-8 is one of the usual others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# More than is kept of any tag (see `ffmetadata`), whatever the encoding.
MAX_TEXT_BYTES: Final = 64 * 1024
# Most files outside UTF-8 are of Western Europe; the bytes that Windows leaves free are as in Latin-1.
_DEFAULT: Final = "cp1252"
_WORD: Final = re.compile(r"[^\W\d_]+")


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
    _Script("koi8-r", _CYRILLIC, _CYRILLIC_VOWELS, _CYRILLIC_FREQUENT),
    _Script(
        "cp1253", re.compile("[Α-ΩΆΈΉΊΌΎΏΪΫ]?[α-ωάέήίόύώϊϋΐΰ]+|[Α-ΩΆΈΉΊΌΎΏΪΫ]+"),
        frozenset("αεηιουωάέήίόύώϊϋ"), frozenset("αοιετσνηρκπυλμω"),
    ),
)  # fmt: skip
# Fewer letters than this look like any encoding, and words of few vowels like none of theirs.
_LEAST_LETTERS: Final = 4
_LEAST_WORD: Final = 3
_VOWELS: Final = (0.25, 0.8)
_LEAST_FREQUENT: Final = 0.5


def decode_all(raws: Sequence[bytes]) -> list[str]:
    """Texts of one tag whose encoding nobody wrote down: UTF-8 where they are that, else what all of them look like."""
    unclear = b"\n".join(raw for raw in raws if not _is_utf8(raw))
    codec = guess(unclear) if unclear else _DEFAULT
    return [raw.decode("utf-8") if _is_utf8(raw) else _decode(raw, codec) for raw in raws]


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


def guess(raw: bytes) -> str:
    """The codec of bytes that are not UTF-8. Careful: a wrong guess makes a name worse than none would."""
    if _is_japanese(raw):
        return "cp932"
    scores = {script.codec: _score(raw, script) for script in _SCRIPTS}
    best = max(scores, key=lambda codec: scores[codec])
    return best if scores[best] >= _LEAST_FREQUENT else _DEFAULT


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decode(raw: bytes, codec: str) -> str:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return "".join(_western(byte) for byte in raw)


def _western(byte: int) -> str:
    try:
        return bytes([byte]).decode(_DEFAULT)
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


def _is_japanese(raw: bytes) -> bool:
    """Whether it is Shift-JIS. In it many accented letters are a kanji too, together with the letter behind them."""
    try:
        text = raw.decode("cp932")
    except UnicodeDecodeError:
        return False
    foreign = [
        character for character in text if ord(character) > 0x7F and unicodedata.category(character)[0] not in "PS"
    ]
    wide = [character for character in foreign if _is_wide(character)]
    half = [character for character in foreign if "\uff61" <= character <= "\uff9f"]
    if len(wide) + len(half) < len(foreign):
        return False
    kana = [character for character in wide if "\u3041" <= character <= "\u30ff"]
    if len(kana) >= 2:
        return len(half) <= len(wide)
    # Kanji alone: in words of their own, two or more together.
    if half or not re.search("[\u4e00-\u9fff]{2}", text):
        return False
    return not re.search("[A-Za-z][\u4e00-\u9fff]|[\u4e00-\u9fff][A-Za-z]", text)


def _is_wide(character: str) -> bool:
    return "\u3000" <= character <= "\u30ff" or "\u4e00" <= character <= "\u9fff" or "\uff01" <= character <= "\uff5e"


def _score(raw: bytes, script: _Script) -> float:
    """The share of frequent letters where it can be of that script at all; else 0."""
    try:
        text = raw.decode(script.codec)
    except UnicodeDecodeError:
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
