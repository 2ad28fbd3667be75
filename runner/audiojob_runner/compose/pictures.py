"""Pictures of scenes: what kind, how large, which way up, and a bare copy for the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.media.ffmpeg_still import MAX_PIXELS, MAX_SIDE, turn_of
from audiojob_runner.media.tags.bare import bare_picture
from audiojob_runner.media.tags.pictures import picture_kind, picture_size

MAX_PICTURE_BYTES: Final = 64 * 1024**2


class PictureError(Exception):
    """A picture that cannot be used; the message says why, without its name."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a decoder may be given. ``turn`` is the filter that brings it upright, or empty."""

    path: Path
    demuxer: str
    codec: str
    turn: str


def prepare(source: Path, target: Path) -> Picture:
    """A bare copy of the picture in ``target``. Raises :class:`PictureError`."""
    with source.open("rb") as file:
        content = file.read(MAX_PICTURE_BYTES + 1)
    if len(content) > MAX_PICTURE_BYTES:
        raise PictureError(f"is larger than {MAX_PICTURE_BYTES // 1024**2} MiB")
    kind = picture_kind(content)
    if kind is None:
        raise PictureError("is no picture that can be used; pictures may be JPEG, PNG or WebP, and no clips")
    if kind.codec == "webp" and b"ANIM" in content[:64]:
        raise PictureError("is animated; use a still picture, or a clip")
    size = picture_size(kind.codec, content)
    bare = bare_picture(kind.codec, content)
    if bare is None or size is None:
        raise PictureError("is damaged")
    width, height = size
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise PictureError(
            f"has {width} x {height} pixels; at most {MAX_SIDE} a side and {MAX_PIXELS} in all are supported"
        )
    target.write_bytes(bare)
    return Picture(target, kind.demuxer, kind.codec, turn_of(kind.codec, content))
