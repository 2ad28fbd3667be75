"""Reads multipart/form-data while it comes (RFC 7578): nothing of a file is kept, and what is ambiguous is refused.

Python's own parsers want the whole body, and Starlette's writes files to a temporary folder.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

from audiojob_api.problems import Problem

MAX_HEAD_BYTES: Final = 8 * 1024
_MAX_EPILOGUE_BYTES: Final = 1024
_FORM: Final = re.compile(
    r'multipart/form-data\s*;\s*boundary=(?:"([^"\\\r\n]{1,70})"|([^\s";,]{1,70}))\s*', re.IGNORECASE
)
_BOUNDARY: Final = re.compile(r"[A-Za-z0-9'()+_,./:=? -]{0,69}[A-Za-z0-9'()+_,./:=?-]")
_PARAMETER: Final = re.compile(r';\s*([a-zA-Z*]+)=("(?:[^"\\]|\\.)*"|[^\s;"]+)\s*')
_ESCAPES: Final = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # all that browsers encode in names
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
        self._body = body
        self._line = b"--" + boundary
        self._mark = b"\r\n" + self._line
        self._waiting = bytearray()
        self._came = 0

    @property
    def taken(self) -> int:
        """Bytes of the body that stand before what comes next."""
        return self._came - len(self._waiting)

    @property
    def end_bytes(self) -> int:
        """The least that follows the content of the last part."""
        return len(self._mark) + len(b"--")

    async def begin(self) -> None:
        """Read the first boundary. Raises a 400 :class:`Problem`."""
        await self._need(len(self._line))
        if not self._waiting.startswith(self._line):
            raise malformed("it does not begin with its boundary")
        del self._waiting[: len(self._line)]

    async def head(self) -> Part | None:
        """What the next part is; None after the last one. Raises a 400 :class:`Problem`."""
        await self._need(2)
        ahead = bytes(self._waiting[:2])
        if ahead == b"--":
            await self._end()
            return None
        if ahead != b"\r\n":
            raise malformed("a boundary is followed by something else")
        while (end := self._waiting.find(b"\r\n\r\n")) < 0:
            if len(self._waiting) > MAX_HEAD_BYTES:
                raise malformed(f"a part has more than {MAX_HEAD_BYTES} bytes of headers")
            await self._more()
        head = bytes(self._waiting[2:end])
        del self._waiting[: end + 4]
        return _part(head)

    async def content(self) -> AsyncGenerator[bytes, None]:
        """The bytes of the part, as they come. Raises a 400 :class:`Problem` where the body ends within it."""
        while (end := self._waiting.find(self._mark)) < 0:
            sure = len(self._waiting) - len(self._mark) + 1
            if sure > 0:
                piece = bytes(self._waiting[:sure])
                del self._waiting[:sure]
                yield piece
            await self._more()
        if end:
            yield bytes(self._waiting[:end])
        del self._waiting[: end + len(self._mark)]

    async def small(self, most: int) -> bytes | None:
        """The whole content of a small part; None for more than ``most`` bytes."""
        found = bytearray()
        async for piece in self.content():
            found += piece
            if len(found) > most:
                return None
        return bytes(found)

    async def _end(self) -> None:
        """Whatever follows the last boundary, which is for nobody."""
        while len(self._waiting) <= _MAX_EPILOGUE_BYTES:
            try:
                await self._more()
            except Problem:
                return
        raise malformed("something follows its end")

    async def _need(self, size: int) -> None:
        while len(self._waiting) < size:
            await self._more()

    async def _more(self) -> None:
        async for piece in self._body:
            if piece:
                self._came += len(piece)
                self._waiting += piece
                return
        raise malformed("it ends before its last boundary")


def _part(head: bytes) -> Part:
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise malformed("headers of parts must be UTF-8") from None
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name.strip() != name or name in found or "\r" in value or "\n" in value:
            raise malformed("a part has headers that are none, or one of them twice")
        found[name] = value.strip()
    if found.get("content-transfer-encoding", "binary").lower() not in _PLAIN:
        raise malformed("send parts as they are, without Content-Transfer-Encoding")
    kind, _, rest = found.get("content-disposition", "").partition(";")
    if kind.strip().lower() != "form-data":
        raise malformed("each part needs Content-Disposition: form-data with a name")
    given = _parameters(f";{rest}")
    if "name" not in given:
        raise malformed("each part needs a name")
    return Part(given["name"], given.get("filename"), found.get("content-type"))


def _parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None or match[1].lower() in found:
            raise malformed("Content-Disposition cannot be read")
        found[match[1].lower()] = _unquoted(match[2])
        at = match.end()
    return found


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        value = re.sub(r'\\(["\\])', r"\1", value[1:-1])
    for code, meant in _ESCAPES.items():
        value = value.replace(code, meant)
    return value
