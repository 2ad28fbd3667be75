"""Libraries and networks that are loaded once, for all phases: their tasks' processes are forked with them."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path

from audiojob_runner import tasks
from audiojob_runner.cpus import wait_without_spinning
from audiojob_runner.errors import PhaseError
from audiojob_runner.phase.worker import WorkerSpec
from audiojob_types.workers.order import WorkTerms

_log = logging.getLogger(__name__)


class Held:
    """What is loaded."""

    def load(self, terms: WorkTerms) -> None:
        """Import the tasks' libraries. What fails here fails again, clearly, in its phase."""
        wait_without_spinning(os.environ)
        for task in terms.tasks:
            if task.descriptor.runs_program:
                continue
            try:
                tasks.load(task)
            except PhaseError as error:
                _log.warning("%s is not loaded ahead: %s", task.value, error.message)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - libraries call sys.exit
                _log.warning("%s is not loaded ahead: %s", task.value, error)
        threads = len(list(Path("/proc/self/task").iterdir()))
        if threads > 1:
            _log.warning("Libraries have started %d threads, which forked phases do not have.", threads - 1)
        # What is there now is the same for all phases: their collections need not touch it, which would copy its pages.
        gc.collect()
        gc.freeze()

    def fitting(self, spec: WorkerSpec) -> object | None:
        """What was loaded for that task."""
        return None
