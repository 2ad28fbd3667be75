"""What a picture is by its first bytes, whatever a file or a server calls it. No SVG, which may lead elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PictureKind:
    """One kind: ffmpeg's demuxer for a file of it, its coding, and how files and servers call it."""

    demuxer: str
    codec: str
    extension: str
    media_type: str


_KINDS: Final = (
    (0, b"\xff\xd8\xff", PictureKind("jpeg_pipe", "mjpeg", "jpg", "image/jpeg")),
    (0, b"\x89PNG\r\n\x1a\n", PictureKind("png_pipe", "png", "png", "image/png")),
    (8, b"WEBP", PictureKind("webp_pipe", "webp", "webp", "image/webp")),
)


def picture_kind(data: bytes) -> PictureKind | None:
    """The kind of a picture that begins so, or None."""
    return next((kind for at, magic, kind in _KINDS if data[at : at + len(magic)] == magic), None)


# A JPEG tells its size where its coding begins; of these signs C4, C8 and CC are others.
_JPEG_FRAME: Final = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]..[\x08\x0c](..)(..)", re.DOTALL)


def picture_size(codec: str, bare: bytes) -> tuple[int, int] | None:
    """Width and height that a bare picture (:mod:`~audiojob_runner.media.tags.bare`) says it has; None for none."""
    if codec == "png" and len(bare) >= 24:
        return _pair(bare[16:20], bare[20:24])
    if codec == "mjpeg" and (found := _JPEG_FRAME.search(bare)):
        return _pair(found[2], found[1])
    if codec == "webp" and len(bare) >= 30:
        name = bare[12:16]
        if name == b"VP8X":
            width, height = (int.from_bytes(bare[at : at + 3], "little") + 1 for at in (24, 27))
            return width, height
        if name == b"VP8L":
            bits = int.from_bytes(bare[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if name == b"VP8 ":
            width, height = (int.from_bytes(bare[at : at + 2], "little") & 0x3FFF for at in (26, 28))
            return width, height
    return None


def _pair(width: bytes, height: bytes) -> tuple[int, int]:
    return int.from_bytes(width, "big"), int.from_bytes(height, "big")
