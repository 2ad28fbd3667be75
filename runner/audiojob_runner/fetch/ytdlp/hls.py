"""Media playlists of HLS: what they list, how long it plays, and whether it is live. Pure; foreign text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

MAX_SEGMENTS: Final = 200_000
MAX_SEGMENT_SECONDS: Final = 3_600.0
_ATTRIBUTE: Final = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)')


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece: its number in the stream, its address, and how many seconds it plays."""

    number: int
    url: str
    seconds: float


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """``ended`` is false where more will come. ``header_url`` is what every segment needs before it, if anything."""

    segments: tuple[Segment, ...]
    target_seconds: float
    ended: bool
    encrypted: bool
    header_url: str | None

    @property
    def seconds(self) -> float:
        """How long all that is listed plays."""
        return sum(segment.seconds for segment in self.segments)


def parse_playlist(text: str, base_url: str) -> MediaPlaylist | None:
    """The playlist in this text, its addresses made absolute.

    None where it is none, one of other playlists, or one with an address that is none.
    """
    if not text.lstrip("\ufeff").startswith("#EXTM3U"):
        return None
    try:
        return _parse(text, base_url)
    except ValueError:  # urljoin: brackets that hold no IPv6 address
        return None


def _parse(text: str, base_url: str) -> MediaPlaylist | None:
    segments: list[Segment] = []
    number, seconds, target = 0, 0.0, 10.0
    ended = encrypted = False
    header_url: str | None = None
    for line in map(str.strip, text.splitlines()):
        tag, _, value = line.partition(":")
        if tag == "#EXT-X-STREAM-INF":
            return None
        if tag == "#EXT-X-MEDIA-SEQUENCE":
            number = int(value[:18]) if value.isascii() and value.isdecimal() else 0
        elif tag == "#EXTINF":
            seconds = _seconds(value.partition(",")[0])
        elif tag == "#EXT-X-TARGETDURATION":
            target = max(1.0, _seconds(value))
        elif tag == "#EXT-X-ENDLIST" or (tag == "#EXT-X-PLAYLIST-TYPE" and value.upper() == "VOD"):
            ended = True
        elif tag == "#EXT-X-KEY":
            encrypted = _attributes(value).get("METHOD", "NONE") != "NONE"
        elif tag == "#EXT-X-MAP":
            header_url = urljoin(base_url, _attributes(value).get("URI", ""))
        elif line and not line.startswith("#") and len(segments) < MAX_SEGMENTS:
            segments.append(Segment(number, urljoin(base_url, line), seconds))
            number, seconds = number + 1, 0.0
    return MediaPlaylist(tuple(segments), target, ended, encrypted, header_url)


def _attributes(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}


def _seconds(text: str) -> float:
    try:
        value = float(text.strip()[:20])
    except ValueError:
        return 0.0
    return value if 0 <= value <= MAX_SEGMENT_SECONDS else 0.0  # not for NaN either
