"""How far the archive's writer has come: what administrators are shown."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Failure(StrEnum):
    """What went wrong while writing the archive."""

    UNAVAILABLE = "unavailable"  # the database is away, locked, full or read-only; tried again
    SUPERSEDED = "superseded"  # another replica writes from now on
    MARK = "mark"  # the API server did not take the mark of a job that is in the archive; tried again
    FAULT = "fault"  # one of ours
    LOST = "lost"  # a job was deleted while more waited than are remembered


@dataclass(slots=True)
class Progress:
    """Of this process, since its start."""

    written: int = 0
    """Jobs that were new."""
    failures: Counter[Failure] = field(default_factory=Counter)
    last_success: float = 0.0
    """Seconds since 1970; 0 for never."""

    def succeeded(self, new: int = 0) -> None:
        """A transaction was committed, with so many new jobs."""
        self.written += new
        self.last_success = time.time()
