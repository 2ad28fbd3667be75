"""Converts a task's progress to the phase's: a percentage that never decreases, and an estimate of the time left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

# The task's own 0-100 is the phase's 0-98; publishing and the result take the rest.
TASK_SHARE: Final = 98
MAX_MESSAGE_CHARACTERS: Final = 256
MIN_ETA_SECONDS: Final = 2.0
MAX_ETA_SECONDS: Final = 31_536_000


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a phase stands: 0-100, a short sentence, and the estimated seconds left if there is an estimate."""

    percent: int
    message: str
    eta_seconds: int | None = None


class Tracker:
    """Turns what the task says into :class:`Progress` and hands it to ``on_change``. From one thread or more."""

    def __init__(self, on_change: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_change = on_change
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._newest = Progress(0, "")

    def begin(self, message: str) -> None:
        """The task starts now: estimates count from here."""
        self._began = self._clock()
        self._set(0, message, None)

    def task(self, percent: float, message: str) -> None:
        """What the task reported."""
        bounded = min(100.0, max(0.0, percent))
        self._set(int(bounded * TASK_SHARE / 100), message, self._estimate(bounded))

    def say(self, percent: int, message: str) -> None:
        """A step of the frame itself, in the phase's own percent."""
        self._set(percent, message, None)

    def _estimate(self, percent: float) -> int | None:
        elapsed = self._clock() - self._began
        if percent < 1 or elapsed < MIN_ETA_SECONDS:
            return None
        return min(MAX_ETA_SECONDS, round(elapsed * (100 - percent) / percent))

    def _set(self, percent: int, message: str, eta_seconds: int | None) -> None:
        with self._lock:
            percent = max(self._newest.percent, percent)
            text = " ".join(message.split())[:MAX_MESSAGE_CHARACTERS] or self._newest.message
            self._newest = Progress(percent, text, eta_seconds)
            newest = self._newest
        self._on_change(newest)
