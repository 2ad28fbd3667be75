"""The folder of a partial download in the store, where the next attempt finds and resumes it.

Every attempt writes into a folder of its own. An attempt that resumes takes over another's folder by renaming it, and
only while it holds the lock on its data: an attempt that still writes keeps its folder. A folder never changes from one
content of a file to another: for that it is removed and made anew.

Code of another attempt may still run, and put a link in the place of any folder. So a folder is ``<attempt>/partial``
below that of the phase, and reached by descriptors as :mod:`audiojob_store.trees` does.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from audiojob_runner.fetch.partial.format import (
    ABOUT_NAME,
    BLOCK_BYTES,
    DATA_NAME,
    MAX_ABOUT_BYTES,
    SUM_BYTES,
    SUMS_NAME,
    About,
    block_sum,
    count_blocks,
    fits_sum,
    has_room,
    may_continue,
    parse_about,
)
from audiojob_runner.store import Store
from audiojob_runner.task import PartialFolders
from audiojob_store import trees
from audiojob_store.layout import PARTIAL_FOLDER

# Several GiB of blocks have sums of some hundred KiB.
MAX_SUMS_BYTES: Final = 64 * 1024 * 1024

_log = logging.getLogger(__name__)


def partial_folders(store: Store, prefix: str, folder: str) -> PartialFolders | None:
    """Where an attempt (``folder``) of a phase (``prefix``) keeps things; None in a store that is no folder.

    Raises :class:`PhaseError` as the store does. What other attempts have left and cannot be looked at is passed over.
    """
    root = store.root
    if root is None:
        return None
    others = (f"{each}/{PARTIAL_FOLDER}" for each in store.folders(prefix) if each != folder)
    return PartialFolders(root / folder / PARTIAL_FOLDER, tuple(root / key for key in others if _is_folder(root, key)))


def clear(keeping: PartialFolders) -> bool:
    """Delete partial downloads that no attempt is writing; whether there was one. Raises nothing."""
    found = False
    for folder in (keeping.own, *keeping.earlier):
        # One that cannot even be looked at must not keep the others.
        with suppress(OSError):
            found = _clear(folder) or found
    return found


def _clear(folder: Path) -> bool:
    phase, key = _place(folder)
    if not _is_folder(phase, key):
        return False
    with ExitStack() as stack:
        data = _hold(folder)
        if data is not None:
            stack.enter_context(data)
        elif trees.lookup(phase, f"{key}/{DATA_NAME}") is not None:
            return False
        _remove(folder)
    return True


class PartialDownload:
    """One file, kept for the next attempt. Without ``keeping`` it keeps nothing and finds nothing.

    Its errors never fail the download: if the volume refuses a write, no more is kept.
    """

    def __init__(self, keeping: PartialFolders | None) -> None:
        self._keeping = keeping
        self._data: BinaryIO | None = None
        self._sums: BinaryIO | None = None
        self._length: int | None = None
        self._blocks = 0  # that are there and fit
        self._candidates = 0
        self._known_sums = b""
        self._pending = bytearray()

    def find(self, address: str, max_bytes: int) -> About | None:
        """Take over the largest partial download of this address and describe it; None where there is none.

        After that :meth:`next_block` is to be called until there are no more.
        """
        if self._keeping is None:
            return None
        folders = {self._keeping.own, *self._keeping.earlier}
        for folder in sorted(folders, key=lambda each: (-_size(each), each)):
            with self._own_troubles():
                about = self._take(folder, address, max_bytes)
                if about is not None:
                    return about
        return None

    def next_block(self) -> bytes | None:
        """The next block that is kept and whole. None after the last: then what does not fit has been cut off."""
        if self._data is None:
            return None
        with self._own_troubles():
            if self._blocks < self._candidates:
                block = self._data.read(BLOCK_BYTES)
                if fits_sum(block, self._blocks, self._known_sums):
                    self._blocks += 1
                    return block
            self._cut()
        return None

    def begin(self, about: About | None) -> None:
        """Keep this file from its start, and no other; None is a file that cannot be continued."""
        self.discard()
        if self._keeping is None or about is None:
            return
        with self._own_troubles():
            own = self._keeping.own
            phase, key = _place(own)
            phase.mkdir(parents=True, exist_ok=True)
            with trees.folder(phase, key, create=True):
                self._data = _hold(own, os.O_CREAT | os.O_EXCL)
            if self._data is None:
                raise OSError("its file cannot be locked")
            self._sums = _open(own, SUMS_NAME, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            self._length = about.length
            trees.write_file(phase, f"{key}/{ABOUT_NAME}", about.model_dump_json(by_alias=True).encode())

    def add(self, piece: bytes) -> None:
        """Keep what comes next."""
        if self._data is None:
            return
        self._pending += piece
        with self._own_troubles():
            while len(self._pending) >= BLOCK_BYTES:
                block = bytes(self._pending[:BLOCK_BYTES])
                del self._pending[:BLOCK_BYTES]
                if not self._write(block):
                    break

    def discard(self) -> None:
        """Keep nothing of what is kept. Raises nothing."""
        if self._keeping is not None:
            _remove(self._keeping.own)
        self.close()

    def close(self) -> None:
        """Write no more, and leave what is kept to others. Raises nothing."""
        for file in (self._data, self._sums):
            if file is not None:
                with suppress(OSError):
                    file.close()
        self._data = self._sums = self._length = None
        self._blocks = self._candidates = 0
        self._known_sums = b""
        self._pending.clear()

    def _take(self, folder: Path, address: str, max_bytes: int) -> About | None:
        assert self._keeping is not None
        data = _hold(folder)
        if data is None:
            return None
        try:
            about = parse_about(_read(folder, ABOUT_NAME, MAX_ABOUT_BYTES))
            if about is None or not may_continue(about, address, max_bytes):
                data.close()
                return None
            if folder != self._keeping.own:
                _take_over(folder, self._keeping.own)
            self._sums = _open(self._keeping.own, SUMS_NAME, os.O_RDWR)
            self._known_sums = self._sums.read(MAX_SUMS_BYTES)
        except OSError:
            data.close()
            raise
        self._data, self._length = data, about.length
        size = os.fstat(data.fileno()).st_size
        self._candidates = count_blocks(about, size, len(self._known_sums), max_bytes)
        return about

    def _cut(self) -> None:
        assert self._data is not None
        assert self._sums is not None
        for file, size in ((self._data, self._blocks * BLOCK_BYTES), (self._sums, self._blocks * SUM_BYTES)):
            file.truncate(size)
            file.seek(size)

    def _write(self, block: bytes) -> bool:
        """Whether the block is kept; where there is no room for it, nothing is."""
        assert self._data is not None
        assert self._sums is not None
        volume = os.fstatvfs(self._data.fileno())
        size, free = volume.f_blocks * volume.f_frsize, volume.f_bavail * volume.f_frsize
        if not has_room(size, free, self._blocks * BLOCK_BYTES, self._length):
            _log.info("The volume has no space to keep a partial download for the next attempt.")
            self.discard()
            return False
        for file, content in ((self._data, block), (self._sums, block_sum(block))):
            file.write(content)
            file.flush()
        self._blocks += 1
        return True

    @contextmanager
    def _own_troubles(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _log.warning("The partial download is not kept for the next attempt: %s", error.strerror or error)
            self.discard()


def _remove(folder: Path) -> None:
    """Remove ``<phase>/<attempt>/partial``: other attempts of the phase can write in its folder. Raises nothing."""
    with suppress(OSError):
        trees.remove_tree(*_place(folder))


def _place(folder: Path) -> tuple[Path, str]:
    """The phase's folder, which is a mount, and the key of this one in it."""
    return folder.parent.parent, f"{folder.parent.name}/{folder.name}"


def _is_folder(root: Path, key: str) -> bool:
    with suppress(OSError):
        found = trees.lookup(root, key)
        return found is not None and stat.S_ISDIR(found.st_mode)
    return False


def _take_over(folder: Path, own: Path) -> None:
    """Rename another attempt's folder to our own. Raises :class:`OSError`."""
    phase, key = _place(own)
    with (
        trees.folder(folder.parent.parent, folder.parent.name) as source,
        trees.folder(phase, key.partition("/")[0], create=True) as target,
    ):
        os.rename(folder.name, own.name, src_dir_fd=source, dst_dir_fd=target)


def _hold(folder: Path, more: int = 0) -> BinaryIO | None:
    """The data in it, open and locked; None where there is none, or somebody else holds it, or nobody can.

    A file that was moved or removed while it was being locked is another's by now.
    """
    phase, key = _place(folder)
    try:
        file = _open(folder, DATA_NAME, os.O_RDWR | more)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        there = trees.lookup(phase, f"{key}/{DATA_NAME}")
        if there is not None and os.path.samestat(os.fstat(file.fileno()), there):
            return file
    file.close()
    return None


def _open(folder: Path, name: str, flags: int) -> BinaryIO:
    """The plain file: neither what a link leads to, nor a pipe or device that never ends. Raises :class:`OSError`."""
    with trees.folder(*_place(folder)) as parent:
        descriptor = trees.open_in(parent, name, flags)
    return os.fdopen(descriptor, "r+b" if flags & os.O_RDWR else "rb")


def _read(folder: Path, name: str, limit: int) -> bytes:
    with _open(folder, name, os.O_RDONLY) as file:
        return file.read(limit)


def _size(folder: Path) -> int:
    """Of the data in it."""
    phase, key = _place(folder)
    with suppress(OSError):
        found = trees.lookup(phase, f"{key}/{DATA_NAME}")
        return 0 if found is None else found.st_size
    return 0
