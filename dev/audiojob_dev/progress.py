"""What the command is doing and how far it is: steps that may run side by side, each with its elapsed time.

On a terminal the running steps are redrawn in place; elsewhere (CI logs) each step prints a line when it starts,
every half minute while it runs, and when it ends.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_REDRAW_SECONDS = 0.2
_HEARTBEAT_SECONDS = 30.0
_ERASE_LINE = "\x1b[2K"


class Step:
    """One running step; `detail` is shown behind its name and may be set from any thread."""

    def __init__(self, name: str, started: float) -> None:
        self.name = name
        self.started = started
        self.detail = ""
        self.announced = started

    def line(self, now: float) -> str:
        detail = f"  {self.detail}" if self.detail else ""
        return f"… {self.name}  {now - self.started:.0f} s{detail}"


class Progress:
    """Thread-safe. Use as a context manager, so that the terminal is left clean however the work ends."""

    def __init__(
        self, stream: TextIO | None = None, *, live: bool | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty() if live is None else live
        self._clock = clock
        self._lock = threading.Lock()
        self._steps: list[Step] = []
        self._drawn = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._refresh, daemon=True, name="progress")

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        with self._lock:
            self._erase()

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show `name` as running until the block ends, then as done or failed with its duration."""
        step = Step(name, self._clock())
        with self._lock:
            self._steps.append(step)
            if not self._live:
                self._print(f"… {name}")
        mark = "✗"
        try:
            yield step
            mark = "✓"
        finally:
            with self._lock:
                self._steps.remove(step)
                self._erase()
                detail = f"  {step.detail}" if step.detail else ""
                self._print(f"{mark} {name}  {self._clock() - step.started:.1f} s{detail}")
                self._draw()

    def note(self, text: str) -> None:
        """A line that stays."""
        with self._lock:
            self._erase()
            self._print(text)
            self._draw()

    def _refresh(self) -> None:
        while not self._stopped.wait(_REDRAW_SECONDS):
            with self._lock:
                if self._live:
                    self._erase()
                    self._draw()
                else:
                    self._heartbeat()

    def _heartbeat(self) -> None:
        now = self._clock()
        for step in self._steps:
            if now - step.announced >= _HEARTBEAT_SECONDS:
                step.announced = now
                self._print(step.line(now))

    def _print(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def _draw(self) -> None:
        if self._live and self._steps:
            now = self._clock()
            self._stream.write("".join(f"{step.line(now)[:118]}\n" for step in self._steps))
            self._stream.flush()
            self._drawn = len(self._steps)

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(f"\x1b[1A{_ERASE_LINE}" * self._drawn + "\r")
            self._drawn = 0
