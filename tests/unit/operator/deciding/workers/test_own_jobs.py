"""Why a phase that names a pool has a Job of its own: for metrics, and in the event that tells of the Job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.deciding.workers.worker_world import POOL, VIEW, WorkerWorld, at_second, two

from audiojob_operator.deciding.decide import decide
from audiojob_operator.deciding.workers.own_job import own_job_text
from audiojob_operator.records.objects import Object
from audiojob_operator.records.plan import Plan
from audiojob_operator.records.workers import OwnJob, PoolView, WhyOwnJob
from audiojob_types.contract import Device
from audiojob_types.resources.pipeline import Phase
from audiojob_types.tasks import Task


def plan_of_second(pipeline: Object, pool: PoolView | None, **more: Any) -> Plan:
    """The plan by which the second phase begins, or waits."""
    world = WorkerWorld(pipeline=pipeline, pool=pool, **more)
    world.turn()
    world.succeed("first", "audio")
    return decide(world.observed(), world.now)


@pytest.mark.parametrize(
    ("second", "pool", "why"),
    [
        pytest.param({}, None, WhyOwnJob.NO_SUCH_POOL, id="no such pool"),
        pytest.param({}, {"closed": True}, WhyOwnJob.POOL_CLOSED, id="a closed one"),
        pytest.param({"device": "CPU"}, {"device": Device.GPU}, WhyOwnJob.OTHER_DEVICE, id="another device"),
        pytest.param({}, {"tasks": frozenset({Task.TRANSCRIBE})}, WhyOwnJob.OTHER_TASK, id="another task"),
        pytest.param({"resources": {"memory": "9Gi"}}, {}, WhyOwnJob.MORE_MEMORY, id="too little memory"),
        pytest.param({"resources": {"scratch": "9Gi"}}, {}, WhyOwnJob.MORE_SCRATCH, id="too little scratch"),
        pytest.param(
            {"inputs": [{"name": "audio", "from": "Job"}]}, {}, WhyOwnJob.FOREIGN_INPUT, id="a file from outside"
        ),
    ],
)
def test_the_plan_and_the_event_say_why(second: dict[str, Any], pool: dict[str, Any] | None, why: WhyOwnJob) -> None:
    plan = plan_of_second(two(**second), replace(VIEW, **pool) if pool is not None else None)
    assert plan.own_jobs == (OwnJob("second", POOL, why),)
    (event,) = [each for each in plan.events if each.reason == "PhaseStarted"]
    assert event.message.startswith("Created Job ")
    assert " No worker of pool warm does it: " in event.message


def test_after_the_fallback_the_event_says_how_long_it_has_waited() -> None:
    world = at_second(busy={"worker-1", "worker-2"})
    world.pass_time(300)
    plan = decide(world.observed(), world.now)
    assert [each.why for each in plan.own_jobs] == [WhyOwnJob.WAIT_EXPIRED]
    assert "No worker of pool warm does it: none was free within 300 s." in plan.events[-1].message


def test_a_phase_that_a_worker_has_or_that_names_no_pool_is_none_of_them() -> None:
    for pipeline in (two(), two(workerPool=None)):
        phases = [{k: v for k, v in each.items() if v is not None} for each in pipeline["spec"]["phases"]]
        plan = plan_of_second({**pipeline, "spec": {**pipeline["spec"], "phases": phases}}, VIEW)
        assert not plan.own_jobs
        assert not [each for each in plan.events if each.reason == "PhaseStarted"], "a later phase is in the status"


@pytest.mark.parametrize("why", WhyOwnJob)
def test_each_word_has_a_sentence(why: WhyOwnJob) -> None:
    phase = Phase.model_validate({"name": "cut", "task": "Simulate", "workerPool": {"name": POOL}})
    assert own_job_text(OwnJob("cut", POOL, why), phase).endswith(".")
