"""The containers of the matrix, and what each can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Container:
    """``sound`` and ``film`` are ffmpeg's options that encode them. ``floats`` encodes sound that may be above full
    scale. ``exact``: it says to the sample what is played.
    """

    name: str
    media_type: str
    sound: tuple[str, ...]
    film: tuple[str, ...] = ()
    floats: str | None = None
    exact: bool = True
    tags: tuple[str, ...] | None = ()  # options that make ffmpeg write them; None: it holds none
    cover: str | None = None  # how it holds one
    joins: bool = False  # files behind each other are a file
    promises: bool = True  # its header says how long it is, and so that it was cut off
    front: tuple[str, ...] = ()  # options that bring what is needed for reading to the front
    ticks: int = 0  # a second, of what says when each piece plays; 0: nothing does


_MPEG4: Final = ("-c:v", "mpeg4")
_FRONT: Final = ("-movflags", "+faststart")
CONTAINERS: Final = {
    each.name: each
    for each in (
        Container("wav", "audio/wav", ("-c:a", "pcm_s16le"), floats="pcm_f32le"),
        Container(
            "aiff", "audio/aiff", ("-c:a", "pcm_s16be"), floats="pcm_f32be", tags=("-write_id3v2", "1"), cover="stream"
        ),
        Container("flac", "audio/flac", ("-c:a", "flac"), cover="stream"),
        Container("mp3", "audio/mpeg", ("-c:a", "libmp3lame"), cover="stream", joins=True, promises=False),
        Container(
            "aac", "audio/aac", ("-c:a", "aac"), exact=False, tags=("-write_id3v2", "1"), joins=True, promises=False
        ),
        Container("ogg", "audio/ogg", ("-c:a", "libvorbis"), cover="tag", joins=True, promises=False),
        Container("opus", "audio/ogg", ("-c:a", "libopus"), cover="tag", joins=True, promises=False),
        Container("m4a", "audio/mp4", ("-c:a", "aac"), cover="stream", front=_FRONT, ticks=44_100),
        Container("mp4", "video/mp4", ("-c:a", "aac"), _MPEG4, cover="stream", front=_FRONT, ticks=44_100),
        Container("mov", "video/quicktime", ("-c:a", "pcm_s16le"), _MPEG4, "pcm_f32le", front=_FRONT),
        Container("mkv", "video/x-matroska", ("-c:a", "flac"), _MPEG4, "pcm_f32le", cover="attachment", ticks=1_000),
        Container("webm", "video/webm", ("-c:a", "libopus"), ("-c:v", "libvpx"), ticks=1_000),
        Container(
            "ts", "video/mp2t", ("-c:a", "mp2"), ("-c:v", "mpeg2video"), exact=False, tags=None, joins=True,
            promises=False, ticks=90_000,
        ),
    )
}  # fmt: skip
