"""The contents of a media file as a record: audio and video streams, covers, tags, chapters. No I/O.

`media` knows the one sound that Normalize takes; this is for tasks that keep or look at the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.media.containers import TAG_NAMES
from audiojob_runner.media.ffmetadata import MAX_TAG_CHARACTERS, Chapter
from audiojob_runner.media.ffmpeg import DEMUXERS
from audiojob_runner.media.tags.found import TagValue
from audiojob_runner.media.tags.text import repair
from audiojob_runner.media.timing import PLAIN, Timing
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

_ENCRYPTED: Final = ("enca", "encv", "drms", "drmi")


@dataclass(frozen=True, slots=True)
class SoundStream:
    """One sound track. ``duration_seconds`` is what the file says of it."""

    index: int
    codec: str
    sample_rate: int
    channels: int
    duration_seconds: float | None
    default: bool = False
    encrypted: bool = False
    timing: Timing = PLAIN


@dataclass(frozen=True, slots=True)
class PictureStream:
    """One film, or one cover where ``cover``. Sizes are 0 and ``fps`` None where the file does not say them. An
    ``index`` below 0 is not of a stream: it counts the pictures among the tags, from -1 on.

    ``quarter_turns`` is how often it is turned by 90 degrees before it is shown.
    """

    index: int
    codec: str
    width: int
    height: int
    fps: float | None
    duration_seconds: float | None
    quarter_turns: int = 0
    cover: bool = False
    shows: str = ""  # of a cover: what the file says is on it, in ffmpeg's words
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One file. ``tags`` are those of ``TAG_NAMES`` that it has; the lists keep the order of the file.

    Of covers, the likeliest comes first.
    """

    demuxer: str
    duration_seconds: float | None
    sounds: tuple[SoundStream, ...] = ()
    films: tuple[PictureStream, ...] = ()
    covers: tuple[PictureStream, ...] = ()
    others: int = 0  # subtitles, data, attachments
    tags: Mapping[str, TagValue] = field(default_factory=dict)
    chapters: tuple[Chapter, ...] = ()

    @property
    def sound(self) -> SoundStream | None:
        """The default sound track, else the first."""
        return next((stream for stream in self.sounds if stream.default), next(iter(self.sounds), None))


def read_streams(document: Mapping[str, Any]) -> MediaFile:
    """ffprobe's detailed answer as :class:`MediaFile`. Raises :class:`PhaseError` for a container we do not take."""
    container = document.get("format") or {}
    demuxer = str(container.get("format_name", "")).split(",")[0]
    if demuxer not in DEMUXERS:
        raise PhaseError(ExitCode.NOT_MEDIA, Reason.NOT_MEDIA, "The source's container format is not supported.")
    streams = document.get("streams") or []
    pictures = [_picture(stream) for stream in streams if stream.get("codec_type") == "video"]
    sounds = [_sound(stream) for stream in streams if stream.get("codec_type") == "audio"]
    # Ogg keeps a file's tags with its first stream.
    tags = _tags(container) or next(filter(None, (_tags(stream) for stream in streams)), {})
    return MediaFile(
        demuxer=demuxer,
        duration_seconds=_number(container.get("duration")),
        sounds=tuple(sounds),
        films=tuple(picture for picture in pictures if not picture.cover),
        covers=tuple(sorted((picture for picture in pictures if picture.cover), key=_cover_rank)),
        others=len(streams) - len(pictures) - len(sounds),
        tags=tags,
        chapters=tuple(_chapter(chapter) for chapter in document.get("chapters") or []),
    )


def _sound(stream: Mapping[str, Any]) -> SoundStream:
    return SoundStream(
        index=_integer(stream.get("index")),
        codec=_codec(stream),
        sample_rate=_integer(stream.get("sample_rate")),
        channels=_integer(stream.get("channels")),
        duration_seconds=_duration(stream),
        default=bool((stream.get("disposition") or {}).get("default")),
        encrypted=str(stream.get("codec_tag_string")) in _ENCRYPTED,
    )


def _picture(stream: Mapping[str, Any]) -> PictureStream:
    return PictureStream(
        index=_integer(stream.get("index")),
        codec=_codec(stream),
        width=_integer(stream.get("width")),
        height=_integer(stream.get("height")),
        fps=_ratio(stream.get("avg_frame_rate")),
        duration_seconds=_duration(stream),
        quarter_turns=_quarter_turns(stream),
        cover=bool((stream.get("disposition") or {}).get("attached_pic")),
        shows=repair(str((stream.get("tags") or {}).get("comment", "")))[:100],
        encrypted=str(stream.get("codec_tag_string")) in _ENCRYPTED,
    )


def _cover_rank(picture: PictureStream) -> int:
    """Files may hold the back, the artist and an icon too, and any of them first."""
    return {"cover (front)": 0, "": 1, "other": 1}.get(picture.shows.lower(), 3 if "icon" in picture.shows else 2)


def _chapter(chapter: Mapping[str, Any]) -> Chapter:
    start = _number(chapter.get("start_time")) or 0.0
    return Chapter(
        start, _number(chapter.get("end_time")) or start, repair(str((chapter.get("tags") or {}).get("title", "")))
    )


def _tags(holder: Mapping[str, Any]) -> dict[str, str]:
    found = {str(name).lower(): repair(str(value)) for name, value in (holder.get("tags") or {}).items()}
    return {name: found[name][:MAX_TAG_CHARACTERS] for name in TAG_NAMES if found.get(name)}


def _codec(stream: Mapping[str, Any]) -> str:
    """A coding's name that may be shown to people."""
    name = str(stream.get("codec_name", "unknown"))
    return name if name.replace("_", "").isalnum() and len(name) <= 30 else "unknown"


def _duration(stream: Mapping[str, Any]) -> float | None:
    own = _number(stream.get("duration"))
    return own if own is not None else clock_seconds((stream.get("tags") or {}).get("DURATION"))


def _quarter_turns(stream: Mapping[str, Any]) -> int:
    turned = [entry["rotation"] for entry in stream.get("side_data_list") or [] if "rotation" in entry]
    degrees = _signed(turned[0] if turned else (stream.get("tags") or {}).get("rotate", 0))
    return round(degrees / 90) % 4


def _integer(value: object) -> int:
    number = _number(value)
    return int(number) if number is not None and number < 2**31 else 0


def _number(value: object) -> float | None:
    number = _signed(value, default=-1.0)
    return number if number >= 0 else None


def _signed(value: object, default: float = 0.0) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return default
    return number if math.isfinite(number) else default


def _ratio(value: object) -> float | None:
    """Pictures a second of ``30000/1001``; None of ``0/0``."""
    over, _, under = str(value).partition("/")
    above, below = _number(over), _number(under or 1)
    return above / below if above and below else None


def clock_seconds(value: object) -> float | None:
    """Seconds of ``00:03:04.120000000``, the form of Matroska's DURATION tag."""
    parts = [_number(part) for part in str(value).split(":")]
    if len(parts) != 3 or any(part is None for part in parts):
        return None
    hours, minutes, seconds = (part or 0.0 for part in parts)
    return hours * 3600 + minutes * 60 + seconds
