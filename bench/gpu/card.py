"""The card as nvidia-smi tells it: another process, so that looking never touches CUDA in this one."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.gpu.figures import MOST_KEPT_MIB, Sample, parse_samples

_PROGRAM: Final = "nvidia-smi"
_LOOKS: Final = ("--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "--id=0")
_ANSWER_SECONDS: Final = 10
_GIVEN_BACK_SECONDS: Final = 3.0


class Watch:
    """Looks at the card that go on."""

    def __init__(self, terminal: int | None) -> None:
        self._terminal = terminal

    def take(self) -> list[Sample]:
        """Those since the last call."""
        text = b""
        while self._terminal is not None and select.select([self._terminal], [], [], 0)[0]:
            try:
                piece = os.read(self._terminal, 4_096)
            except OSError:  # so a terminal says that its other side is gone
                break
            text += piece
        return parse_samples(text.decode(errors="replace"))


class Card:
    """The first GPU; with ``present=False`` there is none, and nothing is known of it."""

    def __init__(self, present: bool) -> None:
        self._present = present

    def describe(self) -> str | None:
        """Its name, driver and memory."""
        return self._ask("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader", "--id=0")

    def used_mib(self) -> float | None:
        """The memory in use, of all processes."""
        found = parse_samples(self._ask(*_LOOKS) or "")
        return found[0].used_mib if found else None

    def kept_mib(self, before: float | None) -> float | None:
        """What is used beyond ``before``, once it is little or the driver had its time to clean up."""
        if before is None:
            return None
        until = time.monotonic() + _GIVEN_BACK_SECONDS
        while True:
            now = self.used_mib()
            if now is None or now - before <= MOST_KEPT_MIB or time.monotonic() > until:
                return None if now is None else now - before
            time.sleep(0.1)

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        """Ten looks a second, from the first one until the block ends."""
        if not self._present:
            yield Watch(None)
            return
        # A terminal makes the program write each line at once; the kernel keeps 4 KiB, 40 s, of them for us.
        ours, theirs = pty.openpty()
        looking = subprocess.Popen([_PROGRAM, *_LOOKS, "-lms", "100"], stdout=theirs, stderr=subprocess.DEVNULL)
        try:
            os.close(theirs)
            select.select([ours], [], [], _ANSWER_SECONDS)
            yield Watch(ours)
        finally:
            looking.terminate()
            looking.wait()
            os.close(ours)

    def _ask(self, *options: str) -> str | None:
        if not self._present:
            return None
        done = subprocess.run(
            [_PROGRAM, *options], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None
