"""Scripts: which letters a text has, which way they are read, and what that says of its language."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Final

from audiojob_types.documents.lyrics import Direction

# First words of the names of characters, by what people call the script.
_NAMES: Final = {
    "LATIN": "Latin", "CYRILLIC": "Cyrillic", "GREEK": "Greek", "HEBREW": "Hebrew", "ARABIC": "Arabic",
    "DEVANAGARI": "Devanagari", "BENGALI": "Bengali", "GURMUKHI": "Gurmukhi", "GUJARATI": "Gujarati",
    "ORIYA": "Odia", "TAMIL": "Tamil", "TELUGU": "Telugu", "KANNADA": "Kannada", "MALAYALAM": "Malayalam",
    "SINHALA": "Sinhala", "THAI": "Thai", "LAO": "Lao", "TIBETAN": "Tibetan", "MYANMAR": "Burmese",
    "GEORGIAN": "Georgian", "ARMENIAN": "Armenian", "ETHIOPIC": "Ethiopic", "KHMER": "Khmer", "CJK": "Han",
    "HIRAGANA": "Kana", "KATAKANA": "Kana", "HANGUL": "Hangul",
}  # fmt: skip
_OTHER: Final = "another script"
# Scripts in which only one language of many songs is written.
_LANGUAGES: Final = {
    "Greek": "el", "Hebrew": "he", "Bengali": "bn", "Gurmukhi": "pa", "Gujarati": "gu", "Odia": "or", "Tamil": "ta",
    "Telugu": "te", "Kannada": "kn", "Malayalam": "ml", "Sinhala": "si", "Thai": "th", "Lao": "lo", "Burmese": "my",
    "Georgian": "ka", "Armenian": "hy", "Khmer": "km", "Kana": "ja", "Hangul": "ko",
}  # fmt: skip
# Scripts that songs of a language are written in, Latin letters aside, which any language is sung from.
_WRITTEN: Final = {
    **{code: frozenset({script}) for script, code in _LANGUAGES.items()},
    "ja": frozenset({"Kana", "Han"}), "ko": frozenset({"Hangul", "Han"}), "zh": frozenset({"Han"}),
    "yue": frozenset({"Han"}), "yi": frozenset({"Hebrew"}), "sr": frozenset({"Cyrillic"}),
    "am": frozenset({"Ethiopic"}),
    **dict.fromkeys(("ru", "uk", "be", "bg", "mk", "kk", "ky", "mn", "tg"), frozenset({"Cyrillic"})),
    **dict.fromkeys(("ar", "fa", "ur", "ps", "ckb", "ug"), frozenset({"Arabic"})),
    **dict.fromkeys(("hi", "mr", "ne", "sa"), frozenset({"Devanagari"})),
    **dict.fromkeys(("en", "de", "fr", "es", "it", "pt", "nl", "sv", "no", "nb", "nn", "da", "fi", "is", "pl", "cs",
                     "sk", "sl", "hr", "hu", "ro", "tr", "et", "lv", "lt", "vi", "id", "ms", "tl", "ca", "ga", "cy",
                     "sw", "sq", "eu", "gl", "af"), frozenset[str]()),
}  # fmt: skip
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
# Words of another language within a song are common; this share of the letters is the song's own.
_LEAST_SHARE: Final = 0.5
_LEAST_OWN: Final = 0.1


@lru_cache(maxsize=8192)
def script_of(character: str) -> str | None:
    """The script of a letter; None for what is none, such as digits."""
    if not character.isalpha():
        return None
    return _NAMES.get(unicodedata.name(character, "").partition(" ")[0].partition("-")[0], _OTHER)


def scripts_of(text: str) -> Counter[str]:
    """How many letters of each script a text has."""
    found = Counter[str]()
    for character, count in Counter(text).items():
        script = script_of(character)
        if script is not None:
            found[script] += count
    return found


def direction_of(text: str) -> Direction:
    """Which way most of the letters are read."""
    letters = Counter(character for character in text if character.isalpha())
    to_left = sum(n for character, n in letters.items() if unicodedata.bidirectional(character) in _RIGHT_TO_LEFT)
    return Direction.RIGHT_TO_LEFT if to_left * 2 > letters.total() else Direction.LEFT_TO_RIGHT


def language_of(scripts: Counter[str]) -> str | None:
    """The only language that is written so, where there is only one."""
    letters = scripts.total()
    if scripts["Kana"] and scripts["Kana"] + scripts["Han"] >= letters * _LEAST_SHARE:
        return "ja"
    script, count = max(scripts.items(), key=lambda each: each[1], default=("", 0))
    return _LANGUAGES.get(script) if count >= letters * _LEAST_SHARE else None


def unlikely_script(scripts: Counter[str], language: str) -> str | None:
    """The script of most letters, where the language is not written in it at all."""
    own = _WRITTEN.get(language.partition("-")[0])
    script, count = max(scripts.items(), key=lambda each: each[1], default=("", 0))
    if own is None or script in ("", "Latin", _OTHER) or script in own or count < scripts.total() * _LEAST_SHARE:
        return None
    return None if sum(scripts[each] for each in own) >= scripts.total() * _LEAST_OWN else script
