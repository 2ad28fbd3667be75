"""The log of an attempt, which its phase leaves in numbered pieces of whole lines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_files.refusals import Refusal
from audiojob_files.serving.sending import opened
from audiojob_store import trees
from audiojob_store.layout import LOG_FOLDER

_PIECE: Final = re.compile(r"[0-9]{4}")
MAX_PIECES: Final = 1_000
MAX_PIECE_BYTES: Final = 2 * 1024 * 1024
MAX_TAIL: Final = 100_000
_NO_LOG: Final = "This attempt has left no log yet; it writes one every 30 seconds."


@dataclass(frozen=True, slots=True)
class Log:
    """The pieces of one attempt."""

    root: Path
    folder: str
    numbers: tuple[int, ...]

    @property
    def next(self) -> int:
        """The number of the piece to come."""
        return self.numbers[-1] + 1 if self.numbers else 0

    def since(self, number: int) -> Iterator[bytes]:
        """The pieces from this number on. Raises a 404 :class:`Refusal` for one that was removed meanwhile."""
        return (self._read(each) for each in self.numbers if each >= number)

    def tail(self, lines: int) -> bytes:
        """The last lines, read from the end. What was asked for is in memory: 20 MiB at most are stored of a log."""
        found: list[bytes] = []
        count = 0
        for number in reversed(self.numbers):
            piece = self._read(number)
            found.append(piece)
            count += piece.count(b"\n")
            if count >= lines:
                break
        whole = b"".join(reversed(found))
        kept = whole.splitlines(keepends=True)[-lines:] if lines else []
        return b"".join(kept)

    def _read(self, number: int) -> bytes:
        with opened(self.root, f"{self.folder}/{number:04}", None) as file:
            return file.read(MAX_PIECE_BYTES)


def find_log(root: Path, prefix: str) -> Log:
    """The log of the attempt whose folder begins so, as ``<namespace>/<uid>/<phase>/<attempt>-``. Several pods may have
    been it: the one that wrote last is meant. Raises a 404 :class:`Refusal`.
    """
    above, _, start = prefix.rpartition("/")
    folders = [f"{above}/{name}/{LOG_FOLDER}" for name in trees.subfolders(root, above) if name.startswith(start)]
    statuses = [(folder, trees.lookup(root, folder)) for folder in folders]
    found = [(status.st_mtime, folder) for folder, status in statuses if status is not None]
    if not found:
        raise Refusal(404, "no-log", _NO_LOG)
    folder = max(found)[1]
    return Log(root, folder, tuple(_numbers(root, folder)))


def _numbers(root: Path, key: str) -> list[int]:
    with trees.folder(root, key) as descriptor, os.scandir(descriptor) as entries:
        names = [entry.name for entry in entries if _PIECE.fullmatch(entry.name)]
    return sorted(int(name) for name in names)[:MAX_PIECES]
