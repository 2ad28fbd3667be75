"""Which formats of a page's source are fetched, how much each counts, and whether it is too long. Pure.

``info`` and formats are yt-dlp's own dictionaries: foreign content, any member of which may be missing or odd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audiojob_types.tasks.download import Container, Format

Info = Mapping[str, Any]

HEIGHTS: Final[dict[str, int]] = {
    "Video2160p": 2160,
    "Video1440p": 1440,
    "Video1080p": 1080,
    "Video720p": 720,
    "Video480p": 480,
    "Video360p": 360,
}
# The codecs that a container takes as they are: preferred, so that nothing is encoded a second time.
_PREFERRED: Final[dict[str, tuple[str, ...]]] = {
    "m4a": ("acodec:aac",),
    "mp3": ("acodec:mp3",),
    "opus": ("acodec:opus",),
    "flac": ("acodec:flac",),
    "mp4": ("vcodec:h264", "acodec:aac"),
}
# Of Flash and older. yt-dlp would start other programs for most, which ask no proxy.
_UNREAD_PROTOCOLS: Final = ("f4m", "mms", "rtmp", "rtsp")
# Pictures weigh more than sound, where nobody tells how much.
_UNKNOWN_WEIGHT: Final = {True: 8.0, False: 1.0}
# What pairs of containers a file without conversion may have; anything goes into Matroska.


@dataclass(frozen=True, slots=True)
class Choice:
    """What yt-dlp is asked for: its ``format`` and ``format_sort`` options."""

    selector: str
    sort: tuple[str, ...]


def choice(wanted: Format, container: Container) -> Choice:
    """The choice of formats for an intent: sound alone, or the best picture up to a height with its sound."""
    preferred = _PREFERRED.get(container, ())
    if wanted == "BestAudio":
        return Choice("bestaudio/best", preferred)
    height = (f"res:{HEIGHTS[wanted]}",) if wanted in HEIGHTS else ("res",) if preferred else ()
    # The last one is no picture: that is said in words of our own.
    return Choice("bestvideo*+bestaudio/best/bestvideo*/bestaudio", (*height, *preferred))


def chosen(info: Info) -> list[dict[str, Any]]:
    """The formats that were chosen, each with what its download needs, the picture first."""
    requested = info.get("requested_formats")
    if not requested:
        return [dict(info)]
    general = {key: value for key, value in info.items() if key not in ("requested_formats", "formats")}
    return [{**general, **each} for each in requested]


def is_unread(each: Info) -> bool:
    """Whether a format comes by a protocol that is not read."""
    return str(each.get("protocol") or "").lower().startswith(_UNREAD_PROTOCOLS)


def has_video(each: Info) -> bool:
    """Whether a format has a picture, or may have one."""
    return each.get("vcodec") != "none" and each.get("ext") not in ("mp3", "m4a", "opus", "flac", "wav", "ogg", "aac")


def estimated_bytes(each: Info) -> float | None:
    """How large a format is, as far as the site tells."""
    for key in ("filesize", "filesize_approx"):
        size = _number(each.get(key))
        if size:
            return size
    duration, kilobits = _number(each.get("duration")), _number(each.get("tbr"))
    return duration * kilobits * 125 if duration and kilobits else None


def weights(formats: Sequence[Info]) -> list[float]:
    """How much each format counts in the whole: by size where all tell theirs."""
    sizes = [estimated_bytes(each) for each in formats]
    known = [size for size in sizes if size]
    return known if len(known) == len(sizes) else [_UNKNOWN_WEIGHT[has_video(each)] for each in formats]


def played_seconds(info: Info) -> float | None:
    """How long the source plays: what it says, or the sum of its pieces where that is more."""
    listed = _number(info.get("duration"))
    fragments = info.get("fragments")
    pieces = 0.0
    if isinstance(fragments, Sequence):
        pieces = sum(_number(piece.get("duration")) or 0.0 for piece in fragments if isinstance(piece, Mapping))
    return max(listed or 0.0, pieces) or None


def _number(value: object) -> float | None:
    return (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18 else None
    )
