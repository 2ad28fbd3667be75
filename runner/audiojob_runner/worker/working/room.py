"""Clears what a task has left: its processes, and all that outlives a process in this container or in the pod."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.worker import leftovers
from audiojob_store import trees

_IPC_RMID: Final = 0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Room:
    """Where a task can leave something. ``folders`` are emptied; ``ipc`` is the kernel's list of System V objects."""

    folders: tuple[Path, ...]
    ipc: Path

    @classmethod
    def under(cls, root: Path, room: Path) -> Room:
        """The places below that root. Shared memory and message queues belong to the pod, not to a container."""
        return cls((room, root / "dev/shm", root / "dev/mqueue"), root / "proc/sysvipc")

    def clear(self) -> bool:
        """End all processes, remove all that they left; whether nothing is left."""
        ended = end_processes()
        emptied = [_empty(folder) for folder in self.folders]
        removed = [_remove_ipc(self.ipc, kind) for kind in _REMOVE]
        return ended and all(emptied) and all(removed)


def end_processes() -> bool:
    """End all processes below this one, wherever they have gone; whether none is left."""
    if os.getpid() == 1:
        # All others of this container at once: none can fork while the kernel does it.
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    return leftovers.end_all()


def _empty(folder: Path) -> bool:
    leftovers.clear(folder)
    try:
        left = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return True
    except OSError as error:
        _log.error("%s cannot be read: %s", folder, error.strerror or error)
        return False
    foreign = [name for name in left if not _is_ours(folder, name)]
    if len(left) > len(foreign):
        _log.error("%d files of a phase are left in %s.", len(left) - len(foreign), folder)
    return len(left) == len(foreign)


def _is_ours(folder: Path, name: str) -> bool:
    """What others have put there, such as another container, is theirs."""
    found = trees.lookup(folder, name)
    return found is not None and found.st_uid == os.getuid()


def _shm(libc: ctypes.CDLL, number: int) -> int:
    return int(libc.shmctl(number, _IPC_RMID, None))


def _sem(libc: ctypes.CDLL, number: int) -> int:
    return int(libc.semctl(number, 0, _IPC_RMID))


def _msg(libc: ctypes.CDLL, number: int) -> int:
    return int(libc.msgctl(number, _IPC_RMID, None))


_REMOVE: Final[dict[str, Callable[[ctypes.CDLL, int], int]]] = {"shm": _shm, "sem": _sem, "msg": _msg}


def _remove_ipc(lists: Path, kind: str) -> bool:
    try:
        lines = (lists / kind).read_text(encoding="ascii").splitlines()[1:]
    except OSError:  # not in this kernel or sandbox
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    left = [number for line in lines if _REMOVE[kind](libc, number := int(line.split()[1])) != 0]
    if left:
        _log.error("System V objects of a phase are left: %s %s.", kind, ", ".join(map(str, left)))
    return not left
