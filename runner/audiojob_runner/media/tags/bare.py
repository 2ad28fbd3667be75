"""A picture file with only what is shown of it: no texts, colour profiles, thumbnails or further pictures.

Decoders keep all that a file says beside its pixels, unpacked: a PNG of a megabyte can hold gigabytes of text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
# With the shape of its pixels. All but the pieces of the picture are there once.
_PNG_ONCE: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"pHYs"})
# A palette of 256 colours is the largest.
_PNG_MOST_BYTES: Final = 768
_WEBP_PICTURES: Final = frozenset({b"VP8 ", b"VP8L"})
_ANMF_HEAD: Final = 24  # name, size, and where and how long it is shown
_WEBP_ONCE: Final = frozenset({b"VP8X", b"ALPH"})
# Without restarts, which are within the picture.
_JPEG_MARKER: Final = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")
_SOI, _EOI, _SOS, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_APPLICATIONS: Final = range(0xE0, 0xF0)
# What programs put beside a picture that changes how it is shown: the shape of its pixels, and whether they are CMYK.
_JPEG_SHOWN: Final = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
_JPEG_MOST_BYTES: Final = 32
# A picture has one, or some ten where it is shown step by step. Each is a pass over all of its pixels.
MAX_JPEG_SCANS: Final = 200


def bare_picture(codec: str, content: bytes) -> bytes | None:
    """The picture of ``codec`` (mjpeg, png, webp) without the rest; None where there is none that a decoder takes.

    What is cut off or damaged stays so: that is for the decoder.
    """
    return _BARE[codec](content)


def _png(content: bytes) -> bytes | None:
    if not content.startswith(_PNG_MAGIC):
        return None
    kept = bytearray(_PNG_MAGIC)
    seen: set[bytes] = set()
    at = len(_PNG_MAGIC)
    while at + 8 <= len(content):
        size, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        end = at + 12 + size
        once = name in _PNG_ONCE and name not in seen and size <= _PNG_MOST_BYTES
        if once or (name == b"IDAT" and size):
            seen.add(name)
            kept += content[at:end]
        if name == b"IEND":
            break
        at = end
    return bytes(kept) + b"\0\0\0\0IEND\xae\x42\x60\x82"


def _webp(content: bytes) -> bytes | None:
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return None
    kept = bytearray()
    seen: set[bytes] = set()
    for name, chunk in _riff_chunks(content):
        if name in _WEBP_ONCE and name not in seen:
            seen.add(name)
            kept += chunk
        elif name in _WEBP_PICTURES:
            return _riff(bytes(kept) + chunk)
        elif name == b"ANMF":
            return _first_of_many(chunk)
    return None


def _first_of_many(chunk: bytes) -> bytes | None:
    """Of pictures that move the first: it is within its chunk as others are in the file."""
    kept = b""
    for name, inner in _riff_chunks(_riff(chunk[_ANMF_HEAD:])):
        if name in _WEBP_PICTURES:
            return _riff(kept + inner)
        kept = inner if name == b"ALPH" and not kept else kept
    return None


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WEBP" + chunks


def _riff_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        yield content[at : at + 4], content[at:end]
        at = end


def _jpeg(content: bytes) -> bytes | None:
    if not content.startswith(b"\xff\xd8"):
        return None
    kept = bytearray(b"\xff\xd8")
    scans = 0
    shown: set[int] = set()
    at = 2
    while found := _JPEG_MARKER.search(content, at):
        if scans:
            kept += content[at : found.start()]
        marker, at = found[1][0], found.end()
        if marker == _EOI and scans:
            break
        if marker in (_SOI, _EOI):
            continue
        end = at + int.from_bytes(content[at : at + 2], "big")
        scans += marker == _SOS
        if scans > MAX_JPEG_SCANS:
            return None
        if _belongs(marker, content[at:end], shown):
            kept += found[0] + content[at:end]
        at = max(end, at)
    else:
        kept += content[at:] if scans else b""
    return bytes(kept) + b"\xff\xd9"


def _belongs(marker: int, segment: bytes, shown: set[int]) -> bool:
    """Whether a segment, with its two bytes of length, changes how the picture is shown."""
    if marker not in _APPLICATIONS:
        return marker != _COMMENT
    magic = _JPEG_SHOWN.get(marker)
    if magic is None or marker in shown or len(segment) > _JPEG_MOST_BYTES or not segment[2:].startswith(magic):
        return False
    shown.add(marker)
    return True


_BARE: Final[dict[str, Callable[[bytes], bytes | None]]] = {"mjpeg": _jpeg, "png": _png, "webp": _webp}
