"""``python -m tests.support.odd_operator``: the operator's process with a clock that is wrong.

TEST_CLOCK_SHIFT: seconds that its wall clock is ahead; the monotonic clock is right.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from typing import Self


def shift_clock(seconds: float) -> None:
    """Move the wall clock for everything that is imported from now on."""
    real_time = time.time

    class Shifted(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time(), tz)

    time.time = lambda: real_time() + seconds
    dt.datetime = Shifted  # type: ignore[misc]


def main() -> int:
    """The product's own main, under another clock."""
    shift_clock(float(os.environ["TEST_CLOCK_SHIFT"]))
    from audiojob_operator.__main__ import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
