"""What a picture is by its bytes: size, which way up, and why it cannot be used."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from audiojob_runner.compose.pictures import PictureError, prepare
from audiojob_runner.media.tags.pictures import exif_orientation, picture_size


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0) + b"crc!"


def jpeg(width: int, height: int, *segments: bytes) -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + b"".join(segments) + b"\xff\xc4\x00\x04ab" + frame + b"\xff\xda\x00\x02data\xff\xd9"


def webp(name: bytes, body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBP" + name + struct.pack("<I", len(body)) + body


def exif(orientation: int, order: str = "<", count: int = 1) -> bytes:
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, count) + entry
    return b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff


@pytest.mark.parametrize(
    ("codec", "content", "size"),
    [
        ("png", png(640, 480), (640, 480)),
        ("mjpeg", jpeg(640, 480), (640, 480)),
        ("mjpeg", jpeg(640, 480, exif(6), b"\xff\xfe\x00\x03x"), (640, 480)),
        ("webp", webp(b"VP8X", bytes(4) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")), (640, 480)),
        ("webp", webp(b"VP8L", b"/" + (639 | 479 << 14).to_bytes(4, "little") + bytes(5)), (640, 480)),
        ("webp", webp(b"VP8 ", bytes(6) + struct.pack("<HH", 640, 480)), (640, 480)),
        ("png", png(0, 480), None),
        ("png", png(640, 480)[:20], None),
        ("mjpeg", b"\xff\xd8\xff\xe0", None),
        ("mjpeg", b"\xff\xd8" + b"\xff" * 40, None),
        ("webp", webp(b"ALPH", bytes(12)), None),
    ],
    ids=["PNG", "JPEG", "JPEG with more before", "WebP, extended", "WebP, lossless", "WebP", "no width", "cut off",
         "a JPEG without a frame", "padding without end", "no picture first"],
)  # fmt: skip
def test_size_by_the_header(codec: str, content: bytes, size: tuple[int, int] | None) -> None:
    assert picture_size(codec, content) == size


@pytest.mark.parametrize(
    ("content", "orientation"),
    [
        (jpeg(1, 1), 1),
        (jpeg(1, 1, exif(6)), 6),
        (jpeg(1, 1, b"\xff\xe0\x00\x04ab", exif(8, ">")), 8),
        (jpeg(1, 1, exif(99)), 1),
        (jpeg(1, 1, exif(6, count=60_000)), 6),
        (jpeg(1, 1, b"\xff\xe1\x00\x10Exif\0\0II*\0\xff\xff\xff\xff"), 1),
        (jpeg(1, 1, b"\xff\xe1\x00\x0bExif\0\0XX*"), 1),
    ],
    ids=["none", "of Intel", "of Motorola", "none that there is", "many entries", "a place outside", "another order"],
)
def test_which_way_the_camera_was_held(content: bytes, orientation: int) -> None:
    assert exif_orientation(content) == orientation


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (png(20_000, 20_000), "has 20000 x 20000 pixels; at most 16384 a side and 35651584 in all are supported"),
        (png(16_000, 16_000), "has 16000 x 16000 pixels"),
        (b"GIF89a" + bytes(60), "is no picture that can be used; pictures may be JPEG, PNG or WebP, and no clips"),
        (b"", "is no picture"),
        (webp(b"VP8X", bytes(10) + b"ANIM" + bytes(60)), "is animated; use a still picture, or a clip"),
        (png(640, 480)[:20], "is damaged"),
    ],
    ids=["20,000 pixels a side", "too many in all", "a GIF", "nothing", "animated", "cut off"],
)
def test_pictures_that_are_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    with pytest.raises(PictureError, match="^" + sentence.replace(".", r"\.")):
        prepare(source, target)
    assert not target.exists()


def test_a_picture_is_copied_without_the_rest(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(jpeg(640, 480, exif(6)))
    found = prepare(source, target)
    assert (found.path, found.demuxer, found.codec, found.turn) == (target, "jpeg_pipe", "mjpeg", "transpose=clock")
    assert b"Exif" not in target.read_bytes()
