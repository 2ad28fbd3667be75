"""The log of an attempt, which its phase leaves in numbered pieces of whole lines."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from audiojob_files.refusals import Refusal
from audiojob_files.serving.contents import Contents

_PIECE: Final = re.compile(r"[0-9]{4}")
MAX_PIECES: Final = 1_000
MAX_PIECE_BYTES: Final = 2 * 1024 * 1024
MAX_TAIL: Final = 100_000
_NO_LOG: Final = "This attempt has left no log yet; it writes one every 30 seconds."


@dataclass(frozen=True, slots=True)
class Log:
    """The pieces of one attempt."""

    contents: Contents
    folder: str
    numbers: tuple[int, ...]

    @property
    def next(self) -> int:
        """The number of the piece to come."""
        return self.numbers[-1] + 1 if self.numbers else 0

    async def since(self, number: int) -> AsyncIterator[bytes]:
        """The pieces from this number on. Raises a 404 :class:`Refusal` for one that was removed meanwhile."""
        for each in self.numbers:
            if each >= number:
                yield await self._read(each)

    async def tail(self, lines: int) -> bytes:
        """The last lines, read from the end. What was asked for is in memory: 20 MiB at most are stored of a log."""
        found: list[bytes] = []
        count = 0
        for number in reversed(self.numbers):
            piece = await self._read(number)
            found.append(piece)
            count += piece.count(b"\n")
            if count >= lines:
                break
        whole = b"".join(reversed(found))
        kept = whole.splitlines(keepends=True)[-lines:] if lines else []
        return b"".join(kept)

    async def _read(self, number: int) -> bytes:
        async with self.contents.opened(f"{self.folder}/{number:04}", None) as file:
            return await file.read(MAX_PIECE_BYTES)


async def find_log(contents: Contents, prefix: str) -> Log:
    """The log of the attempt whose folder begins so, as ``<namespace>/<uid>/<phase>/<attempt>-``. Several pods may have
    been it: the one that wrote last is meant. Raises a 404 :class:`Refusal`.
    """
    above, _, start = prefix.rpartition("/")
    found = await contents.attempts(above, start)
    if not found:
        raise Refusal(404, "no-log", _NO_LOG)
    folder = max(found)[1]
    numbers = sorted(int(name) for name in await contents.pieces(folder) if _PIECE.fullmatch(name))
    return Log(contents, folder, tuple(numbers[:MAX_PIECES]))
