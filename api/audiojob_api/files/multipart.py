"""Reads multipart/form-data while it comes (RFC 7578): nothing of a file is kept."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from audiojob_api.problems import Problem

MAX_HEADER_BYTES: Final = 4 * 1024
_MAX_HEADERS: Final = 8
_FORM: Final = re.compile(
    r'multipart/form-data\s*;\s*boundary=(?:"([^"\\\r\n]{1,70})"|([^\s";,]{1,70}))\s*', re.IGNORECASE
)
_BOUNDARY: Final = re.compile(r"[A-Za-z0-9'()+_,./:=? -]{0,69}[A-Za-z0-9'()+_,./:=?-]")
_ONCE: Final = frozenset({"Content-Disposition", "Content-Type", "Content-Transfer-Encoding"})
_PLAIN: Final = frozenset({"binary", "8bit", "7bit"})


@dataclass(frozen=True, slots=True)
class Part:
    """What stands before a part's content. ``filename`` is None for a part that is no file."""

    name: str
    filename: str | None
    media_type: str | None


def is_form(content_type: str) -> bool:
    """Whether a body is said to be one."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts. Raises a 400 :class:`Problem`."""
    match = _FORM.fullmatch(content_type)
    found = (match[1] or match[2]) if match else ""
    if not _BOUNDARY.fullmatch(found):
        raise malformed("Content-Type needs one boundary of at most 70 plain characters")
    return found.encode()


def malformed(why: str) -> Problem:
    """400."""
    return Problem(400, "invalid-multipart", f"The body is no multipart/form-data that can be read: {why}.")


class Parts:
    """The parts of a body, one after the other: :meth:`head`, then :meth:`content` to its end, then :meth:`head`."""

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self._events = _events(body, boundary)

    async def head(self) -> Part | None:
        """What the next part is; None after the last one. Raises a 400 :class:`Problem`."""
        async for event in self._events:
            if isinstance(event, MultipartSegment):
                return _part(event)
        return None

    async def content(self) -> AsyncGenerator[bytes, None]:
        """The bytes of the part, as they come. Raises a 400 :class:`Problem` where the body ends within it."""
        async for event in self._events:
            if event is None:
                return
            if isinstance(event, bytes | bytearray):
                yield bytes(event)

    async def small(self, most: int) -> bytes | None:
        """The whole content of a small part; None for more than ``most`` bytes."""
        found = bytearray()
        async for piece in self.content():
            found += piece
            if len(found) > most:
                return None
        return bytes(found)


async def _events(
    body: AsyncIterator[bytes], boundary: bytes
) -> AsyncGenerator[MultipartSegment | bytes | bytearray | None, None]:
    """What the parser sees: the head of each part, its pieces, None where it ends. Raises a 400 :class:`Problem`."""
    # Not `strict`: that refuses the line end which follows the last boundary where it comes in a piece of its own.
    parser = PushMultipartParser(boundary, max_header_size=MAX_HEADER_BYTES, max_header_count=_MAX_HEADERS)
    try:
        async for piece in body:
            if piece:
                for event in parser.parse(piece):
                    yield event
        parser.close()
    except MultipartError as error:
        raise malformed(str(error).rstrip(".")) from None


def _part(head: MultipartSegment) -> Part:
    names = [name for name, _ in head.headerlist]
    if any(names.count(name) > 1 for name in _ONCE):
        raise malformed("a part has one of its headers twice")
    if (head.header("Content-Transfer-Encoding") or "binary").lower() not in _PLAIN:
        raise malformed("send parts as they are, without Content-Transfer-Encoding")
    if not head.name:
        raise malformed("each part needs a name")
    return Part(head.name, head.filename, head.header("Content-Type"))
