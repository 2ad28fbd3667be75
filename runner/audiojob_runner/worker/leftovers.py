"""Ends all that a phase has left: processes, wherever they have gone, and files."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from audiojob_store import trees

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
END_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.01

_log = logging.getLogger(__name__)


def adopt_orphans() -> None:
    """Make this process the parent of all orphans below it, as process 1 is: none can leave by a double fork."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        _log.warning("Orphans are not adopted: %s.", os.strerror(ctypes.get_errno()))


def die_with_parent() -> None:
    """Let the kernel end this process when the one that forked it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def end_all(seconds: float = END_SECONDS, keep: Collection[int] = ()) -> bool:
    """End all processes below this one, and reap them; whether none is left. Those that are killed hand theirs on.

    Children that are to ``keep`` stay, with all below them.
    """
    end = time.monotonic() + seconds
    while True:
        children = [pid for pid in _children() if pid not in keep]
        if not children:
            return True
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() >= end:
            _log.error("Processes %s do not end.", ", ".join(map(str, children)))
            return False
        time.sleep(_LOOK_SECONDS)


def clear(folder: Path) -> None:
    """Remove everything below the folder."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            trees.remove_tree(folder, name)


def _children() -> list[int]:
    own = os.getpid()
    try:
        text = Path(f"/proc/{own}/task/{own}/children").read_text(encoding="ascii")
        return [int(pid) for pid in text.split()]
    except OSError:  # a kernel or sandbox without that file
        return [pid for pid in _processes() if _parent_of(pid) == own]


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _parent_of(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(stat.rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
