"""What a task can load before there is anything to work on: networks, of which its parameters say all.

Called in the process that runs the task, or in one that it is forked from: what a task's own ``prepare`` does touches
no GPU and begins no thread, as neither survives a fork.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from audiojob_runner import tasks
from audiojob_runner.task import FitsTask, PrepareTask
from audiojob_types.base import WireModel
from audiojob_types.tasks import Task

_log = logging.getLogger(__name__)


def choose(task: Task, made: Sequence[object], parameters: WireModel, models_root: Path) -> object | None:
    """Of what was made for other parameters of that task, what fits these: what its ``fits`` takes, else the first."""
    fits = cast("FitsTask | None", _hook(task, "fits"))
    return next((each for each in made if fits is None or fits(each, parameters, models_root)), None)


def prepare(task: Task, parameters: WireModel, models_root: Path) -> object | None:
    """What ``TaskContext.prepared`` hands to the task; None where it loads nothing ahead, or cannot.

    A failure is none of the phase: the task loads again once it has its inputs, and says what is wrong then.
    """
    try:
        hook = cast("PrepareTask | None", _hook(task, "prepare"))
        return hook(parameters, models_root) if hook is not None else None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is; libraries call sys.exit
        _log.info("Nothing is loaded ahead: %s: %s", type(error).__name__, error)
        return None


def _hook(task: Task, name: str) -> object | None:
    module = importlib.import_module(f"{tasks.__name__}.{task.descriptor.module}")
    found: object | None = getattr(module, name, None)
    return found
