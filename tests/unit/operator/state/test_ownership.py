"""Which AudioJobs an operator takes up where several share a cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.polling import eventually
from tests.unit.operator.listening import Heard

from audiojob_operator.state.jobstore import JobStore
from audiojob_operator.state.ownership import Concern, Intake, concern

OURS = ("team",)
FAST = 0.02
NOT_PREPARED = [{"type": "Admitted", "status": "False", "reason": "NamespaceNotPrepared"}]
QUEUED = [{"type": "Admitted", "status": "False", "reason": "QueueFull"}]


def audiojob(namespace: str, version: int = 1, generation: int = 1, **status: Any) -> dict[str, Any]:
    metadata = {
        "namespace": namespace,
        "name": "song",
        "uid": "u",
        "resourceVersion": str(version),
        "generation": generation,
    }
    return {"metadata": metadata, "spec": {"pipeline": "p"}, "status": status}


KEY = ("elsewhere", "song")
CASES = {
    "one of our namespaces": (audiojob("team", observedGeneration=1, conditions=QUEUED), Concern.OURS),
    "new elsewhere": (audiojob("elsewhere", state="Pending"), Concern.UNANSWERED),
    "elsewhere without any status": (audiojob("elsewhere"), Concern.UNANSWERED),
    "edited elsewhere": (audiojob("elsewhere", generation=2, observedGeneration=1), Concern.UNANSWERED),
    "elsewhere, told to wait for its namespace": (
        audiojob("elsewhere", observedGeneration=1, conditions=NOT_PREPARED),
        Concern.OURS,
    ),
    "elsewhere, ended without a start": (audiojob("elsewhere", observedGeneration=1, state="Cancelled"), Concern.OURS),
    "elsewhere, queued by another": (audiojob("elsewhere", observedGeneration=1, conditions=QUEUED), Concern.FOREIGN),
    "elsewhere, started by another": (audiojob("elsewhere", pipelineRevision="p-1"), Concern.FOREIGN),
    "elsewhere, ended after a start by another": (
        audiojob("elsewhere", pipelineRevision="p-1", state="Succeeded"),
        Concern.FOREIGN,
    ),
}


@pytest.mark.parametrize(("obj", "expected"), CASES.values(), ids=CASES)
def test_concern(obj: dict[str, Any], expected: Concern) -> None:
    assert concern(obj, OURS) is expected


def intake(seconds: float = FAST) -> tuple[Intake, JobStore]:
    store = JobStore(Heard())
    return Intake(store, OURS, patience_seconds=seconds), store


async def test_ours_is_taken_up_at_once() -> None:
    gate, store = intake()
    assert gate.put(audiojob("team"))
    assert store.get(("team", "song")) is not None


async def test_one_that_nobody_speaks_about_is_taken_up_after_a_while_in_its_newest_version() -> None:
    gate, store = intake()
    assert not gate.put(audiojob("elsewhere", version=2))
    assert not gate.put(audiojob("elsewhere", version=1))
    assert store.get(KEY) is None
    await eventually(lambda: store.get(KEY) is not None, "the job to be taken up")
    known = store.get(KEY)
    assert known is not None
    assert known.version == 2


async def test_one_that_another_operator_answers_in_time_is_left_to_it() -> None:
    gate, store = intake()
    gate.put(audiojob("elsewhere", version=1))
    assert not gate.put(audiojob("elsewhere", version=2, observedGeneration=1, conditions=QUEUED))
    await asyncio.sleep(3 * FAST)
    assert store.get(KEY) is None


async def test_one_that_was_ours_is_forgotten_when_another_operator_begins_it() -> None:
    gate, store = intake()
    gate.put(audiojob("elsewhere", version=1, observedGeneration=1, conditions=NOT_PREPARED))
    assert store.get(KEY) is not None
    gate.put(audiojob("elsewhere", version=2, pipelineRevision="p-1"))
    assert store.get(KEY) is None
    assert not gate.put(audiojob("elsewhere", version=1, observedGeneration=1, conditions=NOT_PREPARED))
    assert store.get(KEY) is None


async def test_one_that_was_deleted_while_we_waited_is_not_taken_up() -> None:
    gate, store = intake()
    gate.put(audiojob("elsewhere", version=1))
    gate.left(audiojob("elsewhere", version=2))
    await asyncio.sleep(3 * FAST)
    assert store.get(KEY) is None
