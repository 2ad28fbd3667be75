"""What becomes of a phase that a worker has: how its end is read, and what the worker's own end means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.builders import audio_job, phase, pipeline
from tests.unit.operator.deciding.workers.worker_world import (
    POOL,
    READS,
    VIEW,
    WorkerWorld,
    at_second,
    has_own_job,
    two,
    worker_pod,
)

from audiojob_operator.records.workers import PoolView
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, State

Happens = Callable[[WorkerWorld], None]


def taken_up(**more: Any) -> WorkerWorld:
    """The worker has begun the second phase."""
    world = at_second(**more)
    world.take_up()
    world.turn()
    return world


def test_a_reported_result_ends_the_phase_like_a_termination_message() -> None:
    world = taken_up()
    world.pass_time(7)
    world.report(message="Two stems.", peakMemoryBytes=5_000_000)
    plan = world.turn()
    record = world.phase("second")
    assert (record.state, record.completion_time, record.message) == ("Succeeded", world.now, "Two stems.")
    assert (record.memory_bytes, record.node_name) == (5_000_000, "node-1")
    assert record.manifest is not None
    assert [output["name"] for output in world.status["outputs"] if output["phase"] == "second"] == ["vocals"]
    assert world.state() is State.SUCCEEDED
    assert "result" not in world.status["progress"]["second"], "the write that records it takes it away"
    assert not plan.delete_jobs, "the worker goes on"
    assert world.decide().empty


def test_a_failure_that_is_reported_is_tried_again_by_another_worker() -> None:
    world = taken_up()
    world.report(code=75, outcome="Failed", reason="TemporaryFailure", message="The store is away.")
    world.turn()
    record = world.phase("second")
    assert (record.state, record.failures, record.reason) == ("Waiting", 1, "TemporaryFailure")
    world.pass_time(600)
    world.turn()
    record = world.phase("second")
    assert (record.state, record.attempt, record.pod_uid) == ("Running", 2, "worker-2")


def test_a_retry_that_has_no_other_worker_to_go_to_has_a_job_of_its_own() -> None:
    world = taken_up(workers={"worker-1": worker_pod(1)}, pool=replace(VIEW, most=1))
    world.report(code=75, outcome="Failed", reason="TemporaryFailure", message="The store is away.")
    world.turn()
    world.pass_time(600)
    world.turn()
    assert has_own_job(world)


def _reports(code: int, **result: Any) -> Happens:
    return lambda world: world.report(code=code, **{"outcome": "Failed" if code else "Succeeded", **result})


def _report_of_attempt(number: int) -> Happens:
    def happen(world: WorkerWorld) -> None:
        world.report()
        entry = world.status["progress"]["second"]
        entry["result"] = entry["result"].replace('"attempt":1', f'"attempt":{number}', 1)

    return happen


def _reports_of(folder: str) -> Happens:
    """A manifest that lies in another folder than the phase's."""

    def happen(world: WorkerWorld) -> None:
        world.report()
        entry = world.status["progress"]["second"]
        assert "/second/1-abcd1234/" in entry["result"]
        entry["result"] = entry["result"].replace("/second/1-abcd1234/", f"/second{folder}/")

    return happen


def _entry_of_attempt(number: int) -> Happens:
    def happen(world: WorkerWorld) -> None:
        world.report()
        world.status["progress"]["second"]["attempt"] = number

    return happen


def _ends(code: int, **work: Any) -> Happens:
    return lambda world: world.end_worker(code, **work)


def _ends_with(code: int, result_code: int = 0, attempt: int = 1) -> Happens:
    def happen(world: WorkerWorld) -> None:
        outcome = {"outcome": "Failed", "reason": "NotMedia"} if result_code else {}
        world.end_worker(code, left=world.left(result_code, attempt, **outcome))

    return happen


def _goes(world: WorkerWorld) -> None:
    del world.workers[world.worker()]


def _is_disrupted(world: WorkerWorld) -> None:
    world.end_worker(143)
    taken = {"type": "DisruptionTarget", "status": "True", "message": "Preempted."}
    world.workers[world.worker()]["status"]["conditions"] = [taken]


def _is_evicted(world: WorkerWorld) -> None:
    world.workers[world.worker()]["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "Disk."}


def _is_told_otherwise(world: WorkerWorld) -> None:
    annotations = world.workers[world.worker()]["metadata"]["annotations"]
    annotations[c.ANNOTATION_WORK] = worker_pod(1)["metadata"]["annotations"][c.ANNOTATION_WORK]


def _has_no_order(world: WorkerWorld) -> None:
    world.workers[world.worker()]["metadata"]["annotations"][c.ANNOTATION_WORK] = "{}"


def _is_leaving(world: WorkerWorld) -> None:
    world.workers[world.worker()]["metadata"]["deletionTimestamp"] = format_time(world.now)


def _nothing(_world: WorkerWorld) -> None:
    return


@pytest.mark.parametrize(
    ("happens", "state", "reason", "failures", "disruptions"),
    [
        pytest.param(_nothing, "Running", None, 0, 0, id="a worker at work"),
        pytest.param(_report_of_attempt(2), "Running", None, 0, 0, id="a result of another attempt says nothing"),
        pytest.param(_entry_of_attempt(2), "Running", None, 0, 0, id="a report of another attempt says nothing"),
        pytest.param(_reports(0), "Succeeded", None, 0, 0, id="a result with a manifest"),
        pytest.param(
            _reports(0, outcome="Failed"), "Waiting", "NoResult", 1, 0, id="exit code 0 and no success is no result"
        ),
        pytest.param(
            lambda world: world.report(text="nonsense"), "Waiting", "NoResult", 1, 0, id="a result that nobody can read"
        ),
        pytest.param(
            _reports_of("../other/2-abcd1234"), "Waiting", "NoResult", 1, 0, id="a manifest out of its folder"
        ),
        pytest.param(_reports_of("/../../x"), "Waiting", "NoResult", 1, 0, id="a manifest on a way out of its folder"),
        pytest.param(_reports(65, reason="NotMedia"), "Failed", "NotMedia", 0, 0, id="a failure for good"),
        pytest.param(
            _reports(137, reason="OutOfMemory"), "Waiting", "OutOfMemory", 1, 0, id="a process that wanted more memory"
        ),
        pytest.param(
            _reports(143, reason="Stopped"), "Waiting", "ChildLost", 0, 1, id="a worker that is stopped with its pool"
        ),
        pytest.param(
            _ends(75, exitCode=0, reason="OOMKilled"), "Waiting", "TemporaryFailure", 1, 0, id="an earlier phase's OOM"
        ),
        pytest.param(_ends_with(0), "Succeeded", None, 0, 0, id="a success in the worker's last words"),
        pytest.param(_ends_with(143, 65), "Failed", "NotMedia", 0, 0, id="a failure in the worker's last words"),
        pytest.param(_ends_with(143, 0, 2), "Waiting", "ChildLost", 0, 1, id="last words about another attempt"),
        pytest.param(_ends(0), "Waiting", "ChildLost", 0, 1, id="a worker that ended without the result"),
        pytest.param(_ends(143), "Waiting", "ChildLost", 0, 1, id="a worker that was stopped"),
        pytest.param(
            _ends(75, exitCode=137, reason="OOMKilled"), "Waiting", "OutOfMemory", 1, 0, id="a worker out of memory"
        ),
        pytest.param(_ends(75, exitCode=139), "Waiting", "TemporaryFailure", 1, 0, id="a worker that crashed"),
        pytest.param(
            _ends(137), "Waiting", "ChildLost", 0, 1, id="a supervisor out of memory is not the phase's fault"
        ),
        pytest.param(_goes, "Waiting", "ChildLost", 0, 1, id="a pod that is gone"),
        pytest.param(_is_disrupted, "Waiting", "Disrupted", 0, 1, id="a pod that was preempted"),
        pytest.param(_is_evicted, "Waiting", "DiskFull", 1, 0, id="a pod that filled its node's disk"),
        pytest.param(_is_told_otherwise, "Waiting", "ChildLost", 0, 1, id="an order that somebody else has changed"),
        pytest.param(_has_no_order, "Waiting", "ChildLost", 0, 1, id="an order that somebody else has broken"),
        pytest.param(_is_leaving, "Running", None, 0, 0, id="a pod that is being deleted may still report"),
    ],
)
def test_ends(happens: Happens, state: str, reason: str | None, failures: int, disruptions: int) -> None:
    world = taken_up()
    happens(world)
    world.pool = None
    world.turn()
    record = world.phase("second")
    again = record.attempt == 2  # it has begun at once, in a Job of its own
    assert (PhaseState.WAITING if again else record.state, reason if again else record.reason) == (state, reason)
    assert (record.failures, record.disruptions) == (failures, disruptions)
    assert has_own_job(world) == again


@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(_ends(0), id="a worker that drains"),
        pytest.param(_ends(75, exitCode=137, reason="OOMKilled"), id="a worker out of memory"),
        pytest.param(_goes, id="a pod that is gone"),
        pytest.param(_is_evicted, id="a pod that filled its node's disk"),
        pytest.param(_has_no_order, id="an order that is none"),
        pytest.param(lambda world: world.pass_time(301), id="a worker that does not begin"),
    ],
)
def test_what_a_worker_had_not_begun_counts_nothing_and_goes_elsewhere(happens: Happens) -> None:
    world = at_second()
    happens(world)
    world.turn()
    record = world.phase("second")
    assert (record.failures, record.disruptions) == (0, 0)
    assert (record.state, record.attempt, record.pod_uid) == ("Running", 2, "worker-2")


def test_a_worker_that_does_not_begin_is_named_once_so_that_it_is_replaced() -> None:
    world = at_second()
    world.pass_time(300)
    assert world.turn().hung == ("worker-1",)
    assert world.decide().hung == ()


def test_a_refused_phase_counts_nothing() -> None:
    world = at_second()
    world.report(code=64, outcome="Failed", reason="InvalidSpec", message="The pool serves other tasks.")
    del world.status["progress"]["second"]["begun"]
    world.turn()
    record = world.phase("second")
    assert (record.attempt, record.failures, record.disruptions, record.pod_uid) == (2, 0, 0, "worker-2")


def test_after_a_worker_ran_out_of_memory_the_phase_gets_more_in_a_job_of_its_own() -> None:
    line = two(resources={"memory": "2Gi", "memoryCap": "32Gi"})
    world = at_second(line)
    world.take_up()
    world.end_worker(75, exitCode=137, reason="OOMKilled")
    world.turn()
    record = world.phase("second")
    assert has_own_job(world)
    assert (record.failures, record.pod_uid) == (0, None)
    assert (record.memory_request_bytes or 0) > VIEW.memory_bytes, "it had all of the worker's"


def test_without_more_memory_to_give_it_never_goes_to_a_worker_again() -> None:
    world = taken_up()
    world.end_worker(75, exitCode=137, reason="OOMKilled")
    world.turn()
    world.pass_time(600)
    world.turn()
    assert has_own_job(world)


def test_a_pod_that_does_not_go_is_given_up_after_its_grace() -> None:
    world = taken_up()
    _is_leaving(world)
    assert world.decide().requeue_after == 60
    world.pass_time(61)
    world.turn()
    assert (world.phase("second").disruptions, world.phase("second").pod_uid) == (1, "worker-2")


def test_the_hard_limit_counts_from_the_binding() -> None:
    world = at_second(two(hardLimitSeconds=100))
    world.pass_time(60)
    world.take_up()
    assert world.decide().requeue_after == 40
    world.pass_time(40)
    world.turn()
    record = world.phase("second")
    assert (record.state, record.reason, record.failures) == ("Waiting", Reason.DEADLINE_EXCEEDED, 1)


def test_a_lost_worker_s_phase_is_taken_from_the_status_that_was_seen_and_from_no_later_one() -> None:
    world = taken_up()
    pods = dict(world.workers)
    _goes(world)
    assert {"op": "test", "path": "/metadata/resourceVersion", "value": "1"} in (world.decide().status or ())
    world.workers = pods
    world.report()
    _goes(world)
    assert world.decide().status is not None
    assert all(each["path"] != "/metadata/resourceVersion" for each in world.decide().status or ())


def test_progress_of_a_phase_at_work_writes_nothing() -> None:
    world = taken_up()
    world.status["progress"]["second"] |= {"percent": 40}
    assert world.decide().empty


@pytest.mark.parametrize("edit", ["suspend", "cancel"])
def test_a_job_that_people_stop_takes_its_phase_back_and_leaves_the_worker_alone(edit: str) -> None:
    world = taken_up()
    world.edit(**{edit: True})
    plan = world.turn()
    record = world.phase("second")
    assert record.state is (PhaseState.WAITING if edit == "suspend" else PhaseState.CANCELLED)
    assert not plan.delete_jobs
    assert not plan.tell_workers
    world.edit(**{edit: False})
    if edit == "suspend":
        world.turn()
        assert world.phase("second").pod_uid == "worker-2", "the first one may still be at it"


def test_a_job_whose_time_is_up_takes_its_phase_back() -> None:
    world = taken_up(audiojob=audio_job(source={"url": "https://media.example.org/a.ogg"}, activeDeadlineSeconds=100))
    world.pass_time(101)
    plan = world.turn()
    assert (world.state(), world.phase("second").state) == (State.FAILED, PhaseState.FAILED)
    assert (plan.delete_jobs, plan.tell_workers) == ((), ())


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(None, id="deleted"),
        pytest.param(replace(VIEW, closed=True), id="closed"),
        pytest.param(replace(VIEW, tasks=frozenset(), memory_bytes=1), id="changed so that it would not be given one"),
    ],
)
def test_a_pool_that_changes_while_its_worker_works_leaves_the_phase_to_it(pool: PoolView | None) -> None:
    world = taken_up()
    world.pool = pool
    assert world.decide().empty
    world.report()
    world.turn()
    assert world.state() is State.SUCCEEDED


def test_a_job_that_is_deleted_takes_no_worker_with_it() -> None:
    world = taken_up()
    world.audiojob["metadata"]["deletionTimestamp"] = format_time(world.now)
    assert world.decide().empty


def test_a_job_that_fails_does_not_wait_for_its_worker() -> None:
    both = pipeline(
        phase("first", "Normalize", inputs=[{"name": "source", "from": "Job"}]),
        phase("second", "Separate", inputs=READS, workerPool={"name": POOL}),
        phase("third", after=["first"]),
    )
    world = at_second(both)
    world.take_up()
    world.fail("third", 65, "NotMedia")
    plan = world.turn()
    assert (world.state(), world.phase("second").state) == (State.FAILED, PhaseState.CANCELLED)
    assert not plan.delete_jobs
