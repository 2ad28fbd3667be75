"""What goes from `serve` to `work`: the same comes out as went in."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_runner.phase.process import Death
from audiojob_runner.phase.worker import WorkerSpec
from audiojob_runner.worker.working import wire
from audiojob_types.contract import Device, PhaseLimits, PhaseNetwork
from audiojob_types.parameters import resolve_parameters
from audiojob_types.tasks import Task


@pytest.mark.parametrize("task", [task for task in Task if not task.descriptor.runs_program])
def test_a_task_is_described(task: Task) -> None:
    spec = WorkerSpec(
        task=task, parameters=resolve_parameters(task, {}), models_root=Path("/models"), device=Device.GPU,
        limits=PhaseLimits(max_input_bytes=5, stall_seconds=None), network=PhaseNetwork(), attempt=2, job_uid="u",
        log_level=10,
    )  # fmt: skip
    assert wire.spec_from_json(wire.spec_to_json(spec).encode()) == spec


def test_an_end_is_told() -> None:
    death = Death(9, out_of_memory=True, cpu_seconds=1.5, peak_bytes=7)
    assert wire.death_from_json(wire.death_to_json(death)) == death
