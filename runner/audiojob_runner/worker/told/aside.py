"""Asks a process of its own: what it read to answer is gone with it."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from typing import Final

ANSWER_SECONDS: Final = 10.0


def ask(answer: Callable[[], bytes], seconds: float = ANSWER_SECONDS) -> bytes | None:
    """What ``answer`` returns in a fork of this process, which has one thread; None if it failed or took too long."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(answer())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    try:
        content = _read(reading, time.monotonic() + seconds)
    finally:
        os.close(reading)
        if _is_late := content is None:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    return None if _is_late or status != 0 else content


def _read(descriptor: int, end: float) -> bytes | None:
    content = bytearray()
    while True:
        readable, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        if not readable:
            return None
        chunk = os.read(descriptor, 65_536)
        if not chunk:
            return bytes(content)
        content += chunk
