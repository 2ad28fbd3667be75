"""Parts of files that go out, and files that come in: all that needs no connection."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from audiojob_client.errors import BadAnswer, ChecksumMismatch

_BLOCK: Final = 1024 * 1024
_SHA256: Final = re.compile(r'^"([0-9a-f]{64})"$')
_RANGE: Final = re.compile(r"^bytes (\d{1,18})-(\d{1,18})/(\d{1,18})$")
UNKNOWN_TYPE: Final = "application/octet-stream"


def media_type_of(name: str) -> str:
    """What a file of this name is, as far as that says it."""
    return mimetypes.guess_type(name)[0] or UNKNOWN_TYPE


def sha256_of(path: Path) -> str:
    """Of a whole file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def part_of(path: Path, number: int, part_bytes: int) -> bytes:
    """Part ``number``, from 1, of a file."""
    with path.open("rb") as file:
        file.seek((number - 1) * part_bytes)
        return file.read(part_bytes)


def content_digest(content: bytes) -> str:
    """The header by which the receiver knows that all came as it was (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


# ---------------------------------------------------------------- what comes in


@dataclass(slots=True)
class Incoming:
    """A file on its way to ``target``. Until it is whole it lies beside it, under a name that says which file it is:
    so that the next try goes on with it, and never with another one's beginning."""

    target: Path
    etag: str | None = None
    total: int | None = None
    checked: bool = True
    """Whether the ETag is the sha256 of the content, as an output's is."""
    _file: BinaryIO | None = None

    @property
    def partial(self) -> Path:
        """Where it lies until it is whole."""
        mark = hashlib.sha256((self.etag or "").encode()).hexdigest()[:16]
        return self.target.with_name(f".{self.target.name}.{mark}.part")

    @property
    def received(self) -> int:
        """Bytes that are there."""
        if self._file is not None:
            self._file.flush()
        return self.partial.stat().st_size if self.etag and self.partial.exists() else 0

    def resume(self) -> dict[str, str]:
        """Headers that ask for what lacks; none where nothing is there, or all."""
        have = self.received
        if not have or self.etag is None or have == self.total:
            return {}
        return {"Range": f"bytes={have}-", "If-Range": self.etag}

    def already(self, status: int, headers: Mapping[str, str]) -> bool:
        """Whether an earlier call has left a part of the file that this answer begins to send from its start.

        Only its head says which file it is. The answer is then left, and :meth:`resume` says what lacks.
        """
        if status != 200 or self.etag is not None:
            return False
        self.etag, self.total = headers.get("ETag"), _place(status, headers)[1]
        if self.received and self.total is not None and self.received <= self.total:
            return True
        self.etag = None
        return False

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take in the head of an answer: it begins anew unless the answer goes on where this ends."""
        self.close()
        etag = headers.get("ETag")
        start, self.total = _place(status, headers)
        if etag != self.etag:
            if self.etag is not None:
                self.partial.unlink(missing_ok=True)  # of a file that has changed meanwhile
            self.etag = etag
        if start and start != self.received:
            raise BadAnswer(f"the answer begins at byte {start}, not at {self.received} as was asked for")
        self._file = self.partial.open("ab" if start else "wb")

    def write(self, chunk: bytes) -> None:
        """More of it."""
        assert self._file is not None
        self._file.write(chunk)

    def whole(self) -> bool:
        """Whether all came; of a file whose length nobody told, what came."""
        return self.total is None or self.received == self.total

    def finish(self) -> Path:
        """Give it its place. Raises :class:`ChecksumMismatch`, and keeps nothing, for what is not as published."""
        self.close()
        wanted = _SHA256.match(self.etag or "") if self.checked else None
        if wanted and sha256_of(self.partial) != wanted[1]:
            self.partial.unlink()
            raise ChecksumMismatch(f"{self.target.name}: its sha256 is not that of the file that was published")
        self.partial.replace(self.target)
        return self.target

    def close(self) -> None:
        """End writing; what is there stays for the next try."""
        if self._file is not None:
            with contextlib.closing(self._file):
                self._file = None


def _place(status: int, headers: Mapping[str, str]) -> tuple[int, int | None]:
    """Where the bytes of an answer begin, and how many the file has."""
    if status == 206:
        found = _RANGE.match(headers.get("Content-Range", ""))
        if found is None:
            raise BadAnswer("206 without a Content-Range")
        return int(found[1]), int(found[3])
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() and len(length) < 19 else None
