"""What phases run: for each task of ``audiojob_types.tasks`` the module of the same name, with a function ``run``.

Modules are imported when asked for: the light image has no torch. As many modules as there are tasks may live here.
"""

from __future__ import annotations

import importlib
from typing import cast

from audiojob_runner.errors import PhaseError
from audiojob_runner.task import RunTask, TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

__all__ = ["RunTask", "TaskContext", "TaskInput", "TaskOutput", "TaskResult", "load"]


def load(task: Task) -> RunTask:
    """The task's function. Raises :class:`PhaseError` where this image lacks what the task needs."""
    try:
        module = importlib.import_module(f"{__name__}.{task.descriptor.module}")
    except ModuleNotFoundError as error:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"This image cannot run {task.value}: the Python package {error.name} is not in it.",
            f"Ask the administrator to check images.{task.descriptor.image.key} in the Helm values.",
        ) from error
    return cast("RunTask", module.run)
