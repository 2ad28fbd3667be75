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
class Part:
    """Pieces of a log, the first of them without so many lines."""

    numbers: tuple[int, ...]
    skipped: int = 0


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

    def since(self, number: int, most: int) -> Part:
        """At most so many pieces, from this number on."""
        return Part(tuple(each for each in self.numbers if each >= number)[:most])

    async def tail(self, lines: int) -> Part:
        """The pieces that hold the last lines, which are counted from the end. Raises as :meth:`read` does."""
        found: list[int] = []
        left = lines
        for number in reversed(self.numbers):
            if left <= 0:
                break
            left -= _lines(await self._read(number))
            found.append(number)
        return Part(tuple(reversed(found)), max(0, -left))

    async def read(self, part: Part) -> AsyncIterator[bytes]:
        """Piece by piece: one alone is in memory, however long the log is. Raises a 404 :class:`Refusal` for one that
        was removed meanwhile.
        """
        skipped = part.skipped
        for number in part.numbers:
            piece = await self._read(number)
            yield piece.split(b"\n", skipped)[-1] if skipped else piece
            skipped = 0

    async def _read(self, number: int) -> bytes:
        async with self.contents.opened(f"{self.folder}/{number:04}", None) as file:
            return await file.read(MAX_PIECE_BYTES)


def _lines(piece: bytes) -> int:
    return piece.count(b"\n") + (piece != b"" and not piece.endswith(b"\n"))


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
