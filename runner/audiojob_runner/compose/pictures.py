"""Pictures of scenes: what kind, how large, which way up, and a bare copy for the decoder."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.media.ffmpeg_still import MAX_PIXELS, MAX_SIDE
from audiojob_runner.media.tags.bare import bare_picture
from audiojob_runner.media.tags.pictures import picture_kind, picture_size

MAX_PICTURE_BYTES: Final = 64 * 1024**2
# Turns that a camera asks for in EXIF, as filters. 1 is upright.
_TURNS: Final = {
    2: "hflip", 3: "hflip,vflip", 4: "vflip", 5: "transpose=cclock_flip", 6: "transpose=clock",
    7: "transpose=clock_flip", 8: "transpose=cclock",
}  # fmt: skip
_ORIENTATION: Final = 0x0112
_MOST_ENTRIES: Final = 512


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
    turn = _TURNS.get(exif_orientation(content), "") if kind.codec == "mjpeg" else ""
    return Picture(target, kind.demuxer, kind.codec, turn)


def exif_orientation(content: bytes) -> int:
    """How the camera was held, 1 to 8; 1 where a JPEG does not say it."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] not in (0xDA, 0xD9):
        size = int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at + 1] == 0xE1 and content[at + 4 : at + 10] == b"Exif\0\0":
            return _orientation(content[at + 10 : at + 2 + size])
        at += 2 + size
    return 1


def _orientation(tiff: bytes) -> int:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    at = struct.unpack(f"{order}I", tiff[4:8])[0]
    if at + 2 > len(tiff):
        return 1
    count = min(struct.unpack(f"{order}H", tiff[at : at + 2])[0], _MOST_ENTRIES)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        field = tiff[entry : entry + 12]
        if len(field) == 12 and struct.unpack(f"{order}H", field[:2])[0] == _ORIENTATION:
            value = int(struct.unpack(f"{order}H", field[8:10])[0])
            return value if 1 <= value <= 8 else 1
    return 1
