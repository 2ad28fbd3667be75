"""What a picture is by its own bytes, whatever a file or a server calls it: kind, size, which way up.

No SVG, which may lead elsewhere.
"""

from __future__ import annotations

import struct
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
# Frames of a JPEG begin with one of these; the others of the range are tables.
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ORIENTATION: Final = 0x0112
_MOST_ENTRIES: Final = 512


def picture_kind(data: bytes) -> PictureKind | None:
    """The kind of a picture that begins so, or None."""
    return next((kind for at, magic, kind in _KINDS if data[at : at + len(magic)] == magic), None)


def picture_size(codec: str, content: bytes) -> tuple[int, int] | None:
    """Width and height by the header; None where it says neither, or 0."""
    size = {"png": _png_size, "mjpeg": _jpeg_size, "webp": _webp_size}[codec](content)
    return size if size is not None and min(size) > 0 else None


def _png_size(content: bytes) -> tuple[int, int] | None:
    if content[12:16] != b"IHDR" or len(content) < 24:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None


def _webp_size(content: bytes) -> tuple[int, int] | None:
    name, body = content[12:16], content[20:30]
    if len(body) < 10:
        return None
    if name == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if name == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if name == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None


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
