"""What a picture is by its first bytes, whatever a file or a server calls it. No SVG, which may lead elsewhere."""

from __future__ import annotations

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
