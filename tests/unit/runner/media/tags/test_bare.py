"""Of a picture file only what is shown goes to a decoder."""

from __future__ import annotations

import struct
import zlib

import pytest

from audiojob_runner.media.tags.bare import MAX_JPEG_SCANS, bare_picture


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg(*segments: tuple[int, bytes], scan: bytes = b"s\xff\x00c\xff\xd0an", end: bytes = b"\xff\xd9") -> bytes:
    """``segments`` before one scan."""
    return b"\xff\xd8" + b"".join(segment(*each) for each in (*segments, (0xDA, b"head"))) + scan + end


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(data)) + data


HEAD, DATA, END = (b"IHDR", bytes(13)), (b"IDAT", b"picture"), (b"IEND", b"")
COLOURS, CLEAR, SHAPE = (b"PLTE", bytes(6)), (b"tRNS", b"\0"), (b"pHYs", bytes(9))
LOSSY, ALPHA, WIDE = (b"VP8 ", b"abc"), (b"ALPH", b"a"), (b"VP8X", bytes(10))
FRAME, TABLE = (0xC0, b"frame"), (0xDB, b"table")
JFIF, ADOBE = (0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), (0xEE, b"Adobe\0d\0\0\0\0\0")


@pytest.mark.parametrize(
    ("codec", "content", "want"),
    [
        pytest.param("png", png(HEAD, COLOURS, CLEAR, SHAPE, DATA, DATA, END), None, id="PNG: all that is shown"),
        pytest.param(
            "png",
            png(
                HEAD,
                *[(name, b"k\0\0" + zlib.compress(b"a" * 9)) for name in (b"zTXt", b"iTXt", b"iCCP", b"eXIf")] * 99,
            )
            + png(DATA, END)[8:],
            png(HEAD, DATA, END),
            id="PNG: texts, profiles and camera's notes go",
        ),
        pytest.param("png", png(HEAD, HEAD, DATA, END), png(HEAD, DATA, END), id="PNG: a second header goes"),
        pytest.param(
            "png", png(HEAD, (b"PLTE", bytes(9_999)), DATA, END), png(HEAD, DATA, END), id="PNG: a palette of millions"
        ),
        pytest.param(
            "png", png(HEAD, *[(b"IDAT", b"")] * 9, DATA, END), png(HEAD, DATA, END), id="PNG: pieces of nothing"
        ),
        pytest.param("png", png(HEAD, DATA, END, DATA), png(HEAD, DATA, END), id="PNG: nothing behind its end"),
        pytest.param(
            "png", png((b"acTL", bytes(8)), HEAD, DATA, (b"fdAT", b"2"), END), png(HEAD, DATA, END), id="PNG: a film"
        ),
        pytest.param("webp", webp(WIDE, ALPHA, LOSSY), None, id="WebP: all that is shown"),
        pytest.param("webp", webp((b"VP8L", b"abcd")), None, id="WebP: without loss"),
        pytest.param(
            "webp",
            webp(WIDE, *[(name, b"x" * 9) for name in (b"ICCP", b"EXIF", b"XMP ")] * 99, ALPHA, ALPHA, LOSSY, LOSSY),
            webp(WIDE, ALPHA, LOSSY),
            id="WebP: profiles, notes and further pictures go",
        ),
        pytest.param("mjpeg", jpeg(JFIF, ADOBE, TABLE, FRAME), None, id="JPEG: all that is shown"),
        pytest.param(
            "mjpeg",
            jpeg(*[(marker, b"x" * 99) for marker in (*range(0xE0, 0xF0), 0xFE)] * 9, JFIF, JFIF, FRAME),
            jpeg(JFIF, FRAME),
            id="JPEG: notes, profiles and thumbnails go",
        ),
        pytest.param("mjpeg", jpeg(FRAME) + jpeg(FRAME), jpeg(FRAME), id="JPEG: a further picture goes"),
        pytest.param("mjpeg", jpeg(FRAME, end=b"\xff\xff\xd9"), None, id="JPEG: filled with FF before a marker"),
        pytest.param("mjpeg", jpeg(FRAME, end=b""), jpeg(FRAME), id="JPEG: without an end"),
        pytest.param(
            "mjpeg", b"\xff\xd8garbage" + jpeg(FRAME)[2:], jpeg(FRAME), id="JPEG: something between its segments"
        ),
    ],
)
def test_what_is_shown_stays_and_the_rest_goes(codec: str, content: bytes, want: bytes | None) -> None:
    assert bare_picture(codec, content) == (content if want is None else want)


def test_scans_of_a_picture_stay_to_a_number() -> None:
    scans = b"".join(segment(0xDA, b"head") + b"scan" for _ in range(MAX_JPEG_SCANS - 1))
    assert bare_picture("mjpeg", jpeg(FRAME, end=scans + b"\xff\xd9")) == jpeg(FRAME, end=scans + b"\xff\xd9")
    assert bare_picture("mjpeg", jpeg(FRAME, end=scans + segment(0xDA, b"head") + b"\xff\xd9")) is None


@pytest.mark.parametrize("codec", ["mjpeg", "png", "webp"])
@pytest.mark.parametrize("content", [b"", b"<svg/>", b"RIFF\0\0\0\0WAVEfmt "], ids=repr)
def test_no_picture_is_none(codec: str, content: bytes) -> None:
    assert bare_picture(codec, content) is None


@pytest.mark.parametrize(
    ("codec", "content"),
    [("mjpeg", jpeg(JFIF, FRAME)), ("png", png(HEAD, COLOURS, DATA, END)), ("webp", webp(WIDE, ALPHA, LOSSY))],
)
def test_a_picture_cut_anywhere_grows_by_no_more_than_an_end(codec: str, content: bytes) -> None:
    for length in range(len(content)):
        assert len(bare_picture(codec, content[:length]) or b"") <= length + 12
