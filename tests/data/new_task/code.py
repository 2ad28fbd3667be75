"""ReverseText's code: the runner's module of the task that tests add."""

from __future__ import annotations

from collections.abc import Mapping

from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``source`` to output ``text``."""
    source = inputs["source"].path
    assert source is not None
    text = source.read_text(encoding="utf-8")
    for _ in range(parameters.model_dump()["times"]):
        text = text[::-1]
    path = context.work_dir / "text.txt"
    path.write_text(text, encoding="utf-8")
    return TaskResult([TaskOutput("text", path, "text/plain")])
