"""The record of ``lyrics.json`` from lines that are settled."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from audiojob_runner.lyrics.clean import Removed, clean
from audiojob_runner.lyrics.draft import Draft
from audiojob_runner.lyrics.scripts import direction_of, language_of, scripts_of, unlikely_script
from audiojob_runner.lyrics.settle import Settled
from audiojob_types.documents.lyrics import LANGUAGE_PATTERN, Lyrics, Origin, timing_of

_LANGUAGE: Final = re.compile(LANGUAGE_PATTERN)
# Three letters, as tags of files have them, for the two that everybody else writes.
_SHORT: Final = {
    "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "ita": "it", "por": "pt", "nld": "nl",
    "dut": "nl", "swe": "sv", "nor": "no", "dan": "da", "fin": "fi", "pol": "pl", "ces": "cs", "cze": "cs", "hun": "hu",
    "ron": "ro", "rum": "ro", "tur": "tr", "rus": "ru", "ukr": "uk", "bul": "bg", "srp": "sr", "ell": "el", "gre": "el",
    "heb": "he", "ara": "ar", "fas": "fa", "per": "fa", "urd": "ur", "hin": "hi", "ben": "bn", "tam": "ta", "tel": "te",
    "tha": "th", "vie": "vi", "ind": "id", "jpn": "ja", "kor": "ko", "zho": "zh", "chi": "zh", "kat": "ka", "geo": "ka",
    "hye": "hy", "arm": "hy",
}  # fmt: skip
_NO_LANGUAGE: Final = frozenset({"und", "mul", "zxx", "xxx", "mis"})
_MAX_NAME: Final = 300


def record_of(draft: Draft, settled: Settled, origin: Origin, language: str | None) -> tuple[Lyrics, tuple[str, ...]]:
    """The record, and sentences on what is odd. ``language`` is what somebody says, before what the text says."""
    letters = "".join(word.text for line in settled.lines for word in line.words)
    scripts = scripts_of(letters)
    told = known_language(language) or known_language(draft.language)
    lyrics = Lyrics(
        timing=timing_of(settled.lines),
        origin=origin,
        direction=direction_of(letters),
        language=told or language_of(scripts),
        language_derived=told is None and language_of(scripts) is not None,
        title=_name(draft.title),
        artist=_name(draft.artist),
        lines=settled.lines,
    )
    return lyrics, (*settled.notes, *_odd(scripts, told))


def known_language(text: str | None) -> str | None:
    """The code of a language as ours are written, such as ``en`` or ``pt-BR``; None for what is none."""
    first, dash, rest = (text or "").strip().replace("_", "-").partition("-")
    first = _SHORT.get(first.lower(), first.lower())
    code = first + dash + rest
    return code if first not in _NO_LANGUAGE and len(code) <= 20 and _LANGUAGE.match(code) else None


def _odd(scripts: Counter[str], language: str | None) -> list[str]:
    script = unlikely_script(scripts, language) if language else None
    if script is None:
        return []
    return [f"The words are written in {script} letters, but their language is said to be {language}: are they right?"]


def _name(text: str) -> str | None:
    return clean(text, Removed()).strip()[:_MAX_NAME].strip() or None
