"""Loads what the pool's phases need before the first of them is told. CUDA is not touched: no fork could use it."""

from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path

from audiojob_runner import tasks
from audiojob_runner.cpus import wait_without_spinning
from audiojob_runner.errors import PhaseError
from audiojob_types.parameters import InvalidParameters, resolve_parameters
from audiojob_types.tasks import Task
from audiojob_types.workers.order import WorkTerms

_log = logging.getLogger(__name__)


def preload(terms: WorkTerms, models_root: Path) -> None:
    """Import the tasks' libraries and load their models. What fails here fails again, clearly, in its phase."""
    wait_without_spinning(os.environ)
    for task in terms.tasks:
        if task.descriptor.runs_program:
            continue
        try:
            tasks.load(task)
            for parameters in _parameters(task, terms.preload):
                _prepare(task, parameters, models_root)
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


def _parameters(task: Task, models: tuple[str, ...]) -> list[object]:
    """The task's parameters with each of the models that it knows."""
    if not task.descriptor.uses_models or "model" not in task.descriptor.parameters.model_fields:
        return []
    found: list[object] = []
    for model in models:
        try:
            found.append(resolve_parameters(task, {"model": model}))
        except InvalidParameters:
            _log.info("%s has no model %s.", task.value, model)
    return found


def _prepare(task: Task, parameters: object, models_root: Path) -> None:
    """Let the task load its model, where it can be loaded apart from the work."""
    prepare = getattr(sys.modules[f"{tasks.__name__}.{task.descriptor.module}"], "prepare", None)
    if prepare is not None:
        prepare(parameters, models_root)
