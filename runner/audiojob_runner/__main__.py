"""``python -m audiojob_runner``."""

from __future__ import annotations

import sys

from audiojob_runner.phase.watchdog import block_stop_signals

if __name__ == "__main__":
    # Before the slow imports: a pod may be stopped while they run.
    block_stop_signals()
    from audiojob_runner.cli import main

    sys.exit(main())
