"""Converts yt-dlp's information about a source to our own record: plain text, bounded lists, no media URLs. Pure."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from audiojob_types.outside.redaction import HIDDEN, redact, redact_links, redact_url

MAX_TEXT: Final = 500
MAX_DESCRIPTION: Final = 10_000
MAX_CHAPTERS: Final = 2_000
MAX_FORMATS: Final = 500
MAX_LANGUAGES: Final = 300
MAX_ADDRESS: Final = 2_048
MAX_LABEL: Final = 200

Info = Mapping[str, Any]
# Ours -> theirs. The first that is there wins.
_TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "title": ("title",),
    "id": ("id",),
    "uploader": ("uploader", "channel"),
    "artist": ("artist", "creator"),
    "album": ("album",),
    "track": ("track",),
    "genre": ("genre",),
    "language": ("language",),
    "license": ("license",),
    "uploadDate": ("release_date", "upload_date"),
    "extractor": ("extractor_key",),
    "liveStatus": ("live_status",),
}
_NUMBERS: Final[dict[str, str]] = {
    "durationSeconds": "duration",
    "trackNumber": "track_number",
    "releaseYear": "release_year",
    "ageLimit": "age_limit",
    "startsAtUnixSeconds": "release_timestamp",
}
# What Publish can name a file by.
_LABELS: Final = ("title", "artist", "uploader", "album", "date")
_ID_NAMES: Final = frozenset({"v", "id", "list"})
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,16}")
_NUMBERING: Final = frozenset({"Generic", "HTML5MediaEmbed"})
_DAY: Final = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[T ].*)?")


def alone(info: Info) -> dict[str, Any]:
    """The one item of a page. yt-dlp numbers what it finds in pages, also where it finds no more than one."""
    title = info.get("title")
    numbered = isinstance(title, str) and title.endswith(" (1)") and str(info.get("id")).endswith("-1")
    if numbered and info.get("extractor_key") in _NUMBERING:
        return {**info, "title": str(title).removesuffix(" (1)")}
    return dict(info)


def describe_item(info: Info) -> dict[str, Any]:
    """One item: its texts and numbers, chapters, languages of subtitles, and the formats that the site offers."""
    found = {"kind": "Item", **_general(info)}
    if description := plain_text(info.get("description"), MAX_DESCRIPTION, lines=True):
        found["description"] = description
    found["chapters"] = chapters(info)
    found["subtitles"] = _languages(info.get("subtitles"))
    found["automaticSubtitles"] = _languages(info.get("automatic_captions"))
    found["formats"] = _each(info.get("formats"), MAX_FORMATS, _format)
    return found


def describe_list(info: Info, max_entries: int) -> dict[str, Any]:
    """A playlist and its first entries, as it lists them. Takes one entry more, to tell whether there are others."""
    entries = [entry for entry in islice(info.get("entries") or (), max_entries + 1) if isinstance(entry, Mapping)]
    listed = _number(info.get("playlist_count"))
    found = {"kind": "List", **_general(info), "entries": [_entry(entry) for entry in entries[:max_entries]]}
    found["truncated"] = len(entries) > max_entries or (listed is not None and listed > max_entries)
    if listed is not None:
        found["entriesInAll"] = listed
    return found


def tags(info: Info) -> dict[str, str]:
    """What a file's own tags are to say, by ffmpeg's names."""
    general = _general(info)
    pairs = {
        "title": general.get("track") or general.get("title"),
        "artist": general.get("artist") or general.get("uploader"),
        "album": general.get("album"),
        "genre": general.get("genre"),
        "date": plain_date(general.get("uploadDate")),
    }
    return {name: str(value) for name, value in pairs.items() if value}


def labels(texts: Mapping[str, object]) -> dict[str, str]:
    """By what a piece is filed: title, artist, uploader, album and date, those that ``texts`` (a file's tags) tell."""
    found = {name: text for name in _LABELS if (text := plain_text(_joined(texts.get(name)), MAX_LABEL))}
    if date := plain_date(found.get("date")):
        found["date"] = date
    return found


def item_labels(info: Info) -> dict[str, str]:
    """The same of what yt-dlp knows. A day of release goes before that of the upload."""
    general = _general(info)
    return labels({**general, "date": general.get("uploadDate")})


def plain_date(value: object) -> str | None:
    """A day as ``2026-01-02``, whether it came as ``20260102`` or with a time behind it; other text as it is."""
    text = plain_text(value, MAX_LABEL)
    day = _DAY.fullmatch(text or "")
    return "-".join(day.groups()) if day else text


def chapters(info: Info) -> list[dict[str, Any]]:
    """Title, start and end of each chapter, in seconds."""
    return _each(info.get("chapters"), MAX_CHAPTERS, _chapter)


def plain_text(value: object, limit: int, *, lines: bool = False) -> str | None:
    """Text without control and format characters (bidirectional overrides among them), or None. One line, or many."""
    if not isinstance(value, str):
        return None
    text = unicodedata.normalize("NFC", value[: 4 * limit].encode("utf-8", "ignore").decode("utf-8"))
    kept = "".join(
        character for character in text if character.isspace() or not unicodedata.category(character).startswith("C")
    )
    rows = [" ".join(row.split()) for row in (kept.splitlines() if lines else [kept])]
    joined = "\n".join(rows).strip()
    return (redact_links(joined) if lines else redact(joined, titles=True))[:limit] or None


def _general(info: Info) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for ours, theirs in _TEXTS.items():
        text = next((text for key in theirs if (text := plain_text(_joined(info.get(key)), MAX_TEXT))), None)
        if text:
            found[ours] = text
    for ours, key in _NUMBERS.items():
        if (number := _number(info.get(key))) is not None:
            found[ours] = number
    if address := _address(info.get("webpage_url")):
        found["address"] = address
    return found


def _entry(info: Info) -> dict[str, Any]:
    found = {key: value for key, value in _general(info).items() if key in ("title", "id", "durationSeconds")}
    if address := _address(info.get("url")) or _address(info.get("webpage_url")):
        found["address"] = address
    return found


def _chapter(info: Info) -> dict[str, Any]:
    start, end = _number(info.get("start_time")), _number(info.get("end_time"))
    found: dict[str, Any] = {"title": plain_text(info.get("title"), MAX_TEXT) or "", "startSeconds": start or 0}
    return found | ({"endSeconds": end} if end is not None else {})


def _format(info: Info) -> dict[str, Any]:
    numbers = {
        "width": "width",
        "height": "height",
        "framesPerSecond": "fps",
        "kilobitsPerSecond": "tbr",
        "sampleRate": "asr",
        "channels": "audio_channels",
        "bytes": "filesize",
        "estimatedBytes": "filesize_approx",
    }
    texts = {
        "id": "format_id",
        "extension": "ext",
        "note": "format_note",
        "videoCodec": "vcodec",
        "audioCodec": "acodec",
        "language": "language",
    }
    found: dict[str, Any] = {ours: text for ours, key in texts.items() if (text := plain_text(info.get(key), 100))}
    return found | {ours: number for ours, key in numbers.items() if (number := _number(info.get(key))) is not None}


def _each(items: object, limit: int, make: Callable[[Info], dict[str, Any]]) -> list[dict[str, Any]]:
    if not isinstance(items, Iterable) or isinstance(items, str | bytes | Mapping):
        return []
    return [make(item) for item in islice(items, limit) if isinstance(item, Mapping)]


def _languages(value: object) -> list[str]:
    if not isinstance(value, Mapping):
        return []
    names = (plain_text(name, 40) for name in islice(value, MAX_LANGUAGES))
    return sorted(name for name in names if name and name != "live_chat")


def _joined(value: object) -> object:
    return ", ".join(str(each) for each in value[:20]) if isinstance(value, list | tuple) else value


def _number(value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and abs(value) < 1e15 else None


def _address(value: object) -> str | None:
    """A site's own identifier stays in the address of an item; whatever else stands in its query goes."""
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        return None
    text = redact_url(value[:MAX_ADDRESS])
    kept = [(name, each) for name, each in parse_qsl(urlsplit(value).query, max_num_fields=100) if _is_id(name, each)]
    return plain_text(text, MAX_ADDRESS) if not kept else text.replace(f"?{HIDDEN}", f"?{urlencode(kept)}")


def _is_id(name: str, value: str) -> bool:
    return name in _ID_NAMES and _ID.fullmatch(value) is not None
