"""``python -m tests.support.odd_operator``: the operator's process with less patience, or with a clock that is wrong.

TEST_WATCH_SILENCE: seconds without a byte after which a watch is given up (75 and 70 in the product).
TEST_CLOCK_SHIFT: seconds that its wall clock is ahead; the monotonic clock is right.
"""

from __future__ import annotations

import datetime as dt
import functools
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


def lose_patience(seconds: float) -> None:
    """Give watches up earlier, ours and kopf's."""
    from audiojob_kube.client import Timeouts, connect
    from audiojob_operator import __main__ as program
    from audiojob_operator import handlers

    settings_of_product = handlers.kopf_settings

    def kopf_settings() -> object:
        settings = settings_of_product()
        settings.watching.inactivity_timeout = seconds
        return settings

    program.connect = functools.partial(connect, timeouts=Timeouts(watch_silence=seconds))  # type: ignore[attr-defined]
    handlers.kopf_settings = kopf_settings  # type: ignore[assignment]


def main() -> int:
    """The product's own main, in odd circumstances."""
    if shift := float(os.environ.get("TEST_CLOCK_SHIFT", "0")):
        shift_clock(shift)
    if silence := float(os.environ.get("TEST_WATCH_SILENCE", "0")):
        lose_patience(silence)
    from audiojob_operator.__main__ import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
