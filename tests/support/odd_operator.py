"""``python -m tests.support.odd_operator``: the operator's process with something wrong in it.

TEST_CLOCK_SHIFT: seconds that its wall clock is ahead; the monotonic clock is right.
TEST_FAULT_IN: the AudioJob on which it fails as soon as its status shows that it has begun.
"""

from __future__ import annotations

import datetime as dt
import importlib
import os
import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # the clock must be shifted before they are imported
    from collections.abc import Callable

    from audiojob_operator.records.observed import Observed
    from audiojob_operator.records.plan import Plan


def shift_clock(seconds: float) -> None:
    """Move the wall clock for everything that is imported from now on."""
    real_time = time.time

    class Shifted(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time(), tz)

    time.time = lambda: real_time() + seconds
    dt.datetime = Shifted  # type: ignore[misc]


def break_decisions(name: str) -> None:
    """Make every decision on the AudioJob fail that sees that it has begun."""
    reconcile = importlib.import_module("audiojob_operator.reconciling.reconcile")
    decide: Callable[[Observed, dt.datetime], Plan] = reconcile.decide

    def fail_or_decide(observed: Observed, now: dt.datetime) -> Plan:
        if observed.job.metadata.name == name and observed.job.status.pipeline_revision is not None:
            raise KeyError("a fault that one odd object meets")
        return decide(observed, now)

    reconcile.decide = fail_or_decide  # type: ignore[attr-defined]


def main() -> int:
    """The product's own main, with what is wrong."""
    if shift := os.environ.get("TEST_CLOCK_SHIFT"):
        shift_clock(float(shift))
    if name := os.environ.get("TEST_FAULT_IN"):
        break_decisions(name)
    from audiojob_operator.__main__ import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
