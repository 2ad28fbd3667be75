"""What a service answers, which may be anything: read field by field. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from audiojob_runner.lookup.songs import Song, alike
from audiojob_runner.lyrics.draft import MAX_BYTES

# Another recording of a song has other times.
TOLERANCE_SECONDS: Final = 2.0
MAX_RECORDS: Final = 100


class UnusableAnswerError(Exception):
    """The answer is none of a service for lyrics: a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A song that the service knows. Its words are ``synced``, as LRC, or ``plain``; either may be empty."""

    title: str = ""
    artist: str = ""
    seconds: float | None = None
    synced: str = ""
    plain: str = ""
    instrumental: bool = False

    @property
    def words(self) -> str:
        """The best there is."""
        return self.synced or self.plain


def read_record(raw: bytes) -> Found:
    """The answer about one song. Raises :class:`UnusableAnswerError`."""
    document = _parsed(raw)
    if not isinstance(document, dict):
        raise UnusableAnswerError("it is not about a song")
    return _record(document)


def read_records(raw: bytes) -> list[Found]:
    """The answer to a search. Raises :class:`UnusableAnswerError`."""
    document = _parsed(raw)
    if not isinstance(document, list):
        raise UnusableAnswerError("it is not a list of songs")
    return [_record(each) for each in document[:MAX_RECORDS] if isinstance(each, dict)]


def choose(found: Sequence[Found], song: Song) -> Found | None:
    """The record of that very song, one with times before others; None where none surely is."""
    same = [each for each in found if _is(each, song) and (each.words or each.instrumental)]
    return max(same, key=lambda each: (bool(each.synced), bool(each.plain)), default=None)


def fits(found: Found, song: Song) -> bool:
    """Whether the record's recording is as long as ours, as far as both are known."""
    if found.seconds is None or song.seconds is None:
        return True
    return abs(found.seconds - song.seconds) <= TOLERANCE_SECONDS + 1  # theirs and ours are rounded


def _is(found: Found, song: Song) -> bool:
    return alike(found.title, song.title) and alike(found.artist, song.artist) and fits(found, song)


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise UnusableAnswerError("it is not JSON") from None


def _record(document: dict[str, Any]) -> Found:
    seconds = document.get("duration")
    known = isinstance(seconds, int | float) and not isinstance(seconds, bool) and -1e9 < seconds < 1e9
    return Found(
        title=_text(document.get("trackName")),
        artist=_text(document.get("artistName")),
        seconds=float(seconds) if known and seconds is not None and math.isfinite(seconds) else None,
        synced=_words(document.get("syncedLyrics")),
        plain=_words(document.get("plainLyrics")),
        instrumental=document.get("instrumental") is True,
    )


def _text(value: object) -> str:
    return value[:1_000] if isinstance(value, str) else ""


def _words(value: object) -> str:
    """A text that is no longer than lyrics may be."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_BYTES:
        return ""
    return value.encode("utf-8", "replace").decode()
