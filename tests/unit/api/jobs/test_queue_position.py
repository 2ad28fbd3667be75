"""The position of a queued job, and the estimate of its start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.jobs.listing.rows import JobRow, row_of
from audiojob_api.jobs.queue_position import QueuePosition, QueuePositions, QueueSnapshot
from audiojob_types.base import format_time

JOBS = "/api/v1/jobs"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

Job = dict[str, Any]


def at(seconds: float) -> str:
    """A time so many seconds from now; less than 0 is past."""
    return format_time(NOW + timedelta(seconds=seconds))


def job(name: str, state: str, admitted: str, *, age: float = 0, status: Job | None = None, **spec: Any) -> Job:
    """A job whose Admitted condition is True, or False for the reason that ``admitted`` names."""
    holds = admitted == "Admitted"
    condition = {"type": "Admitted", "status": "True" if holds else "False", "reason": admitted}
    return {
        "metadata": {
            "name": name, "namespace": "team", "uid": name, "resourceVersion": "1", "creationTimestamp": at(-age),
        },
        "spec": {"pipeline": "separate", "queueName": "default", **spec},
        "status": {"state": state, "conditions": [condition], **(status or {})},
    }  # fmt: skip


def queued(name: str, reason: str = "QueueFull", **others: Any) -> Job:
    return job(name, "Queued", reason, **others)


def running(name: str, began: float, device: str = "CPU", **spec: Any) -> Job:
    status = {"startTime": at(-began), "phases": [{"name": "work", "state": "Running", "device": device}]}
    return job(name, "Running", "Admitted", status=status, **spec)


def ended(name: str, took: float, device: str = "CPU", state: str = "Succeeded", **spec: Any) -> Job:
    status = {"startTime": at(-1_000 - took), "completionTime": at(-1_000), "phases": [{"device": device}]}
    return job(name, state, "Admitted", status=status, **spec)


def position_of(jobs: list[Job], name: str = "mine") -> QueuePosition | None:
    """The position of the job of that name among these."""
    (mine,) = (each for each in jobs if each["metadata"]["name"] == name)
    return QueueSnapshot([row_of(each) for each in jobs], NOW, 600).position(row_of(mine))


@pytest.mark.parametrize(
    ("others", "position"),
    [
        pytest.param([], 1, id="alone"),
        pytest.param([queued("older", age=9)], 2, id="behind an older one"),
        pytest.param([queued("younger")], 1, id="before a younger one"),
        pytest.param([queued("urgent", priority=9)], 2, id="behind a more urgent one"),
        pytest.param([queued("low", priority=1, age=9)], 1, id="before an older one that is less urgent"),
        pytest.param([queued("patient", priority=1, age=6_000)], 2, id="behind one that has waited very long"),
        pytest.param([queued("night", priority=9, queueName="night")], 1, id="another queue does not count"),
        pytest.param([job("new", "Pending", "WaitingForOperator", age=9)], 2, id="behind one that is still Pending"),
        pytest.param([queued("gpu", "WaitingForGPU", age=9)], 1, id="one that waits for a GPU lets it pass"),
        pytest.param([queued("after", "WaitingForJob", age=9)], 1, id="one that waits for another job is passed"),
        pytest.param([queued("no", "PipelineNotFound", age=9)], 1, id="one without a pipeline is passed"),
        pytest.param([queued("later", startTime=at(60), age=9)], 1, id="one whose time has not come is passed"),
        pytest.param([queued("due", startTime=at(-60), age=9)], 2, id="behind one whose time has come"),
        pytest.param([queued("off", suspend=True, age=9)], 1, id="one that is to be suspended is passed"),
        pytest.param([queued("off", cancel=True, age=9)], 1, id="one that is to be cancelled is passed"),
        pytest.param([running("busy", 60)], 1, id="one that runs is not ahead"),
        pytest.param([job("between", "Queued", "Admitted", age=9)], 1, id="one between two attempts is not ahead"),
        pytest.param([ended("done", 60)], 1, id="one that has ended is not ahead"),
        pytest.param([job("halted", "Suspended", "Suspended", age=9)], 1, id="one that is suspended is not ahead"),
    ],
)
def test_who_is_ahead(others: list[Job], position: int) -> None:
    found = position_of([*others, queued("mine", age=1)])
    assert found is not None
    assert (found.position, found.to_wire()["ahead"]) == (position, position - 1)


@pytest.mark.parametrize(
    "mine",
    [
        pytest.param(job("mine", "Pending", "WaitingForOperator"), id="one that the operator has not looked at"),
        pytest.param(running("mine", 5), id="one that runs"),
        pytest.param(job("mine", "Queued", "Admitted"), id="one that has started, between two attempts"),
        pytest.param(job("mine", "Suspended", "Suspended"), id="one that is suspended"),
        pytest.param(ended("mine", 5), id="one that has ended"),
        pytest.param(queued("mine", "PipelineNotFound"), id="one whose pipeline does not exist"),
        pytest.param(queued("mine", "QueueNotFound"), id="one whose queue does not exist"),
        pytest.param(queued("mine", "WaitingForJob"), id="one that waits for another job, which may not exist"),
        pytest.param(queued("mine", "StartTimeAhead", startTime=at(60)), id="one whose time has not come"),
    ],
)
def test_who_has_no_position(mine: Job) -> None:
    assert position_of([mine]) is None


def test_a_queue_on_hold_keeps_its_order_without_estimates() -> None:
    jobs = [queued("first", "Held", age=9), queued("mine", "Held"), running("last", 1), ended("before", 10)]
    assert position_of(jobs) == QueuePosition(2, None)


@pytest.mark.parametrize(
    ("others", "seconds"),
    [
        pytest.param([ended("a", 100), running("b", 30)], 70, id="when the running one ends"),
        pytest.param([ended("a", 100), running("b", 30), running("c", 90)], 10, id="when the first of two ends"),
        pytest.param([ended("a", 100), running("b", 30), queued("c", age=9)], 170, id="and the one ahead has run"),
        pytest.param([ended("a", 100), running("b", 500)], 0, id="any moment where one is overdue"),
        pytest.param(
            [ended("a", 100), ended("b", 10, "GPU"), running("c", 5, "GPU")], 5, id="GPU runs take a time of theirs"
        ),
        pytest.param([running("b", 30)], None, id="unknown without any run"),
        pytest.param([ended("a", 100), running("b", 30, pipeline="other")], None, id="unknown for a new pipeline"),
        pytest.param([ended("a", 100, state="Failed"), running("b", 30)], None, id="failures tell no run time"),
        pytest.param([ended("a", 100)], None, id="unknown where none of the queue runs"),
        pytest.param([ended("a", 4e8), running("b", 30)], None, id="nothing is said about years"),
    ],
)
def test_when_it_may_start(others: list[Job], seconds: float | None) -> None:
    found = position_of([*others, queued("mine", age=1)])
    assert found is not None
    assert found.start == (None if seconds is None else NOW + timedelta(seconds=seconds))


def between(name: str) -> Job:
    """A job that has started and waits for a GPU before its next phase."""
    found = job(name, "Queued", "Admitted", status={"startTime": at(-500)}, device="GPU")
    found["status"]["conditions"].append({"type": "Progressing", "status": "False", "reason": "WaitingForGPU"})
    return found


@pytest.mark.parametrize(
    ("others", "position", "seconds"),
    [
        pytest.param([running("b", 30, "GPU")], 1, 70, id="when the one on the GPU ends"),
        pytest.param([running("b", 90), running("c", 30, "GPU")], 1, 70, id="whatever runs on the CPU"),
        pytest.param([running("b", 30, "GPU"), queued("c", "WaitingForGPU", age=9)], 2, 170, id="behind an older one"),
        pytest.param([running("b", 30, "GPU"), queued("c", age=9)], 1, 70, id="not behind one that waits for a slot"),
        pytest.param([running("b", 30, "GPU"), between("c")], 1, 170, id="behind one that has started"),
        pytest.param([running("b", 90)], 1, None, id="unknown where none of the queue has a GPU"),
    ],
)
def test_jobs_that_wait_for_a_gpu_have_a_line_of_their_own(
    others: list[Job], position: int, seconds: float | None
) -> None:
    runs = [ended("g", 100, "GPU"), ended("s", 9_000, "CPU")]
    found = position_of([*runs, *others, queued("mine", "WaitingForGPU", age=1)])
    assert found == QueuePosition(position, None if seconds is None else NOW + timedelta(seconds=seconds))


def test_times_that_nobody_can_read_do_no_harm() -> None:
    odd = ended("odd", 1)
    odd["status"]["startTime"] = "yesterday"
    assert position_of([odd, running("b", 30), queued("mine")]) == QueuePosition(1, None)


def test_only_the_newest_runs_count() -> None:
    jobs = [ended(f"old-{number}", 5) for number in range(50)]
    for each in jobs:
        each["status"]["completionTime"] = at(-900_000)
        each["status"]["startTime"] = at(-990_000)
    new = [ended(f"new-{number}", 100) for number in range(20)]
    found = position_of([*jobs, *new, running("b", 30), queued("mine")])
    assert found is not None
    assert found.start == NOW + timedelta(seconds=70)


def test_a_snapshot_serves_many_requests_and_is_taken_again_later() -> None:
    asked = []

    def jobs() -> list[JobRow]:
        asked.append(1)
        return [row_of(queued("mine"))]

    lasting = QueuePositions(jobs, 600, clock=lambda: NOW, refresh_seconds=60)
    fresh = QueuePositions(jobs, 600, clock=lambda: NOW, refresh_seconds=0)
    assert {lasting.of(queued("mine")) for _ in range(5)} == {QueuePosition(1, None)}
    assert len(asked) == 1
    assert lasting.of(running("other", 1)) is None
    fresh.of(running("other", 1))
    assert len(asked) == 1, "jobs that do not wait cost nothing"
    for _ in range(2):
        fresh.of(queued("mine"))
    assert len(asked) >= 2


def test_jobs_and_lists_show_the_position(client: TestClient, backend: MemoryBackend) -> None:
    for each in (queued("first", priority=9), queued("mine"), running("busy", 5)):
        backend.store(each)
    assert client.get(f"{JOBS}/mine").json()["queue"] == {"position": 2, "ahead": 1}
    shown = {item["name"]: item.get("queue") for item in client.get(JOBS).json()["items"]}
    assert shown == {"first": {"position": 1, "ahead": 0}, "mine": {"position": 2, "ahead": 1}, "busy": None}
