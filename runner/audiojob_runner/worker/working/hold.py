"""Libraries and networks that are loaded once, for all phases: their tasks' processes are forked with them."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from audiojob_runner import tasks
from audiojob_runner.cpus import wait_without_spinning
from audiojob_runner.errors import PhaseError
from audiojob_runner.phase.worker import WorkerSpec
from audiojob_runner.prepare import choose, prepare
from audiojob_types.base import WireModel
from audiojob_types.descriptor import Served
from audiojob_types.parameters import InvalidParameters, resolve_parameters
from audiojob_types.tasks import Task
from audiojob_types.workers.order import WorkTerms

_AGAIN_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


class Held:
    """What is loaded, on the CPU: no GPU that was touched before a fork can be used after it."""

    def __init__(self, models_root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._models_root = models_root
        self._clock = clock
        self._made: dict[Task, list[object]] = {}
        self._missing: list[tuple[Task, WireModel]] = []  # networks of models that are not there yet
        self._tried = 0.0

    def load(self, terms: WorkTerms) -> None:
        """The tasks' libraries and what they can prepare. What fails here fails again, clearly, in its phase."""
        wait_without_spinning(os.environ)
        for task in terms.tasks:
            if task.descriptor.served is not Served.NEVER and _import(task):
                self._made[task] = []
                given = list(ahead(task, terms.preload))
                missing = [parameters for parameters in given if not self._prepare(task, parameters)]
                if task.descriptor.uses_models:
                    self._missing += [(task, parameters) for parameters in missing]
                _log.info("%s: %d of %d prepared.", task.value, len(self._made[task]), len(given))
        self._settle()

    def load_missing(self) -> None:
        """Once more what could not be loaded, now and then: models may come into their volume after the worker."""
        if not self._missing or self._clock() < self._tried + _AGAIN_SECONDS:
            return
        before = len(self._missing)
        self._missing = [each for each in self._missing if not self._prepare(*each)]
        if len(self._missing) < before:
            _log.info("%d more prepared, %d missing.", before - len(self._missing), len(self._missing))
            self._settle()

    def _prepare(self, task: Task, parameters: WireModel) -> bool:
        made = prepare(task, parameters, self._models_root)
        if made is not None:
            self._made[task].append(made)
        self._tried = self._clock()
        return made is not None

    def _settle(self) -> None:
        # numpy's and scipy's OpenBLAS have threads already; they are made again in a fork that needs them.
        _log.info("Loaded; the process has %d threads.", len(list(Path("/proc/self/task").iterdir())))
        # What is there now is the same for all phases: their collections need not touch it, which would copy its pages.
        gc.collect()
        gc.freeze()

    def fitting(self, spec: WorkerSpec) -> object | None:
        """What was prepared and fits that task."""
        return choose(spec.task, self._made.get(spec.task, ()), spec.parameters, self._models_root)


def ahead(task: Task, models: tuple[str, ...]) -> Iterator[WireModel]:
    """The parameters to prepare a task for: each of the models, where it reads the models volume, else its defaults."""
    for given in [{"model": name} for name in models] if task.descriptor.uses_models else [{}]:
        try:
            yield resolve_parameters(task, given)
        except InvalidParameters as error:
            _log.warning("%s is not prepared for %s: %s", task.value, given or "its defaults", error)


def _import(task: Task) -> bool:
    try:
        tasks.load(task)
    except PhaseError as error:
        _log.warning("%s is not loaded ahead: %s", task.value, error.message)
        return False
    except (Exception, SystemExit) as error:  # noqa: BLE001 - libraries call sys.exit
        _log.warning("%s is not loaded ahead: %s", task.value, error)
        return False
    return True
