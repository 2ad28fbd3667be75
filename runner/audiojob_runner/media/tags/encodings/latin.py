"""Tells the encodings of Latin letters apart. Read as Western Europe's, the others leave signs within words, and
letters where no language of the West has them."""

from __future__ import annotations

import re
from typing import Final

WESTERN: Final = "cp1252"

_VOWEL: Final = "[aeiouyáéíóúýìùöüõû]"
_LETTER: Final = "[a-zà-öø-ÿšžœ]"
# What in a text read as cp1252, in small letters, tells Central Europe: either alone, or two of the others.
_TELLING: Final = re.compile(
    "|".join(
        (
            # Polish: ż, ł, ś, ć, ń, ą
            rf"(?<={_LETTER})[¿£](?={_LETTER})", "³(?=[a-zóê¹])", "£(?=[aeoóuzk¹ê])", r"(?<=[scm])iê\b|iêæ",
            r"œ(?=[wcpklmz]|æ|\b)", r"(?<=[aeiouyœ])æ\b", r"(?<=[a-zó])ñ(?![aeiouyáéíóúüñ])", "[¥¯](?=[a-z])",
            # Czech and Slovak, Slovene and Croatian: č, ř, ť, ľ, đ
            rf"(?!\bèi)è(?={_VOWEL})", "ø(?=[aouáíúìù])", "(?<=[ptd])øi", rf"(?<={_VOWEL})ø(?={_VOWEL}|\b)",
            "ì(?=[jvzžšèøk])|(?<=[jvzžš])t?ì|ù(?=[jzžvè])|(?<=[jvzž])ù",
            f"\x9d(?={_LETTER})|(?<={_LETTER})\x9d", f"[¾¼](?={_LETTER})|(?<={_LETTER})¾", r"\bð(?=[aeiou])",
            # Hungarian ő, Romanian ş and ţ
            r"õ\b", f"[ºª](?={_LETTER})", "(?<=[aeiouîãâ])þ(?=[ieaãu])",
        )
    )
)  # fmt: skip
_HINTS: Final = re.compile(
    "|".join(
        (
            "(?<=[aeiouyó])³", "(?<=[bcdfghjklmnprstwz³ñ])¹", "iê(?=k)", f"[ìù](?={_LETTER})",
            r"\bè(?=[nk]|ty|lo)", "(?<=[eáy])ò", "(?<=[oaáí])è(?=[nk])", "ò(?=[aouáí])",
            r"(?<![aeiouyáéíóúêïl'’])ï", "ã(?=[bcdfglnprt])",
        )
    )
)  # fmt: skip
# Scottish Gaelic has ì and ù too.
_GAELIC: Final = re.compile("[bdgm]h")
_HUNGARIAN: Final = re.compile("(?=.*([áíóú]|sz|zs))(?=.*(õ(?!e)|û))", re.DOTALL)
_NOT_HUNGARIAN: Final = re.compile("[äãçâêôàèåøñëšž]")
_TURKISH: Final = re.compile(r"(?<=[aeiouyýöü])þ(?=[bcdfghklmnprstvz]|\b)")
_NOT_TURKISH: Final = re.compile("[áéíóúæãåøàèêì]")
# The same in ISO 8859-2, as programs outside Windows wrote it: ą, ś; Czech š, ž.
_ISO: Final = re.compile(f"(?<={_LETTER})[±¶]|¶(?={_LETTER})|(?<={_LETTER})[¹¾](?=[eaiouyìùáíéý])")
_CZECH: Final = re.compile("[ìùø]")


def guess_latin(raw: bytes) -> str:
    """The codec of Latin letters; that of Western Europe where nothing tells another."""
    text = raw.decode("latin-1").translate(_WINDOWS).lower()
    if _TURKISH.search(text) and not _NOT_TURKISH.search(text):
        return "cp1254"
    if _is_iso(text):
        return "iso8859-2"
    hints = 0 if _GAELIC.search(text) else len(_HINTS.findall(text))
    hungarian = _HUNGARIAN.match(text) and not _NOT_HUNGARIAN.search(text)
    return "cp1250" if hungarian or hints > 1 or _TELLING.search(text) else WESTERN


def _is_iso(text: str) -> bool:
    found = set("".join(_ISO.findall(text)))
    return bool(found & set("±¶") or (found & set("¹¾") and _CZECH.search(text)))


# What Windows has where Latin-1 has control characters, as far as letters go.
_WINDOWS: Final = {0x8C: "Œ", 0x9C: "œ", 0x8A: "Š", 0x9A: "š", 0x8E: "Ž", 0x9E: "ž", 0x9F: "Ÿ", 0x92: "’"}
