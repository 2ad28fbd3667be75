"""Which song is looked for, as titles and tags tell it. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from audiojob_runner.task import told_seconds

MAX_NAME: Final = 300
# What pages write behind the title of a song, in brackets.
_ADDED: Final = re.compile(
    r"[(\[【][^()\[\]【】]{0,60}\b(?:official|video|audio|lyrics?|visuali[sz]er|karaoke|instrumental|remaster(?:ed)?|hd|hq|4k|"
    r"m/?v)\b[^()\[\]【】]{0,60}[)\]】]",
    re.IGNORECASE,
)
_DASH: Final = re.compile(r"\s+[-\N{EN DASH}\N{EM DASH}]\s+")


@dataclass(frozen=True, slots=True)
class Song:
    """What is known of it. ``seconds`` is how long it plays."""

    title: str
    artist: str
    album: str = ""
    seconds: float | None = None


def song_of(wanted: Mapping[str, str | None], told: Iterable[Mapping[str, Any]]) -> Song:
    """The song by what the user says, and then by what manifests say, the first first. Names may be missing."""
    manifests = list(told)
    title, artist, album = (
        _name(wanted.get(name)) or next(filter(None, (_name(each.get(name)) for each in manifests)), "")
        for name in ("title", "artist", "album")
    )
    seconds = next(filter(None, (told_seconds(each) for each in reversed(manifests))), None)
    if not _name(wanted.get("title")):
        title = " ".join(_ADDED.sub(" ", title).split())
        before, *after = _DASH.split(title, maxsplit=1)
        if after and (not artist or alike(before, artist)):
            artist, title = artist or before, after[0]
    return Song(title, artist, album, seconds)


def alike(one: str, other: str) -> bool:
    """Whether two names mean the same: case, accents and signs aside."""
    return bool(one) and _letters(one) == _letters(other)


def _letters(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).casefold()
    kept = "".join(each for each in plain if each.isalnum())
    return kept or plain


def _name(value: object) -> str:
    if not isinstance(value, str):
        return ""
    seen = "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in value[: 4 * MAX_NAME])
    return " ".join(seen.split())[:MAX_NAME].strip()
