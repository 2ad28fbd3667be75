"""File locks between processes: released by the kernel however their holder ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from audiojob_dev.errors import DevError


@contextmanager
def locked(path: Path, *, seconds: float, holder: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold an exclusive lock on `path`; waits for up to `seconds` and calls `on_wait` once if it must.

    Raises DevError saying that `holder` (what others do under this lock) is still at it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Children must not inherit the descriptor: daemons that we start would hold the lock for ever.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + seconds
        waited = False
        while not _try(descriptor):
            if time.monotonic() >= deadline:
                raise DevError(f"{holder} holds {path} for more than {seconds:.0f} s; wait for it or end it.")
            if not waited:
                on_wait()
                waited = True
            time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
