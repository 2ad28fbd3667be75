"""The registry of tasks. Modules are imported when asked for: the light image has no torch."""

from __future__ import annotations

import importlib
from typing import Final, cast

from audiojob_runner.errors import PhaseError
from audiojob_runner.task import RunTask, TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.contract import ExitCode, Task
from audiojob_types.reasons import Reason

__all__ = ["TASKS", "RunTask", "TaskContext", "TaskInput", "TaskOutput", "TaskResult", "load"]

# Each module has a function ``run`` that is a RunTask.
TASKS: Final[dict[Task, str]] = {
    Task.DOWNLOAD: "audiojob_runner.tasks.download",
    Task.INSPECT: "audiojob_runner.tasks.inspect",
    Task.NORMALIZE: "audiojob_runner.tasks.normalize",
    Task.PUBLISH: "audiojob_runner.tasks.publish",
    Task.SEPARATE: "audiojob_runner.tasks.separate",
    Task.SIMULATE: "audiojob_runner.tasks.simulate",
    Task.CONTAINER: "audiojob_runner.tasks.container",
    Task.THUMBNAIL: "audiojob_runner.tasks.thumbnail",
    Task.TRANSCODE: "audiojob_runner.tasks.transcode",
}


def load(task: Task) -> RunTask:
    """The task's function. Raises :class:`PhaseError` where this image lacks what the task needs."""
    try:
        module = importlib.import_module(TASKS[task])
    except ModuleNotFoundError as error:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"This image cannot run {task.value}: the Python package {error.name} is not in it.",
            "Ask the administrator to check images.runner and images.runnerTorch in the Helm values.",
        ) from error
    return cast("RunTask", module.run)
