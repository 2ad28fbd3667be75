"""Whether anybody waits for what a pod that begins early would take, and how many begin so at the same time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import NAMESPACE
from tests.unit.operator.pool import Pool

from audiojob_operator.state.namespace_cache import POD_JOB_LABEL
from audiojob_types import constants as c
from audiojob_types.base import format_time

MADE = datetime(2026, 3, 1, 12, tzinfo=UTC)
FULL = [{"type": "PodScheduled", "status": "False", "message": "full"}]


def early_job(pool: Pool, name: str) -> None:
    owner = {"kind": "AudioJob", "name": name, "uid": f"uid-{name}", "controller": True}
    metadata = {
        "name": f"{name}-child", "uid": f"{name}-child", "namespace": NAMESPACE, "labels": {},
        "annotations": {c.ANNOTATION_EARLY: "mounts"}, "ownerReferences": [owner],
    }  # fmt: skip
    pool.add(pool.caches.namespaces[NAMESPACE].jobs, {"metadata": metadata, "spec": {}, "status": {}})


def pod_of(pool: Pool, name: str, inputs: str | None, node: str | None = None, **status: Any) -> None:
    attempt = {c.LABEL_PIPELINE: "songs", c.LABEL_PHASE: "second"}
    metadata = {
        "name": f"{name}-pod", "namespace": NAMESPACE, "labels": {POD_JOB_LABEL: f"{name}-child", **attempt},
        "creationTimestamp": format_time(MADE),
        "annotations": {} if inputs is None else {c.ANNOTATION_INPUTS: inputs},
        "ownerReferences": [{"kind": "Job", "name": f"{name}-child", "uid": f"{name}-child"}],
    }  # fmt: skip
    pod = {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": "Pending", **status}}
    pool.add(pool.caches.namespaces[NAMESPACE].pods, pod)


async def test_nobody_waits_where_all_have_what_they_need() -> None:
    pool = Pool(2)
    pool.put("one", started=True)
    pool.put("two", started=True)
    pool.cycle()
    assert not pool.admitter.somebody_waits()


async def test_somebody_waits_for_a_slot_or_a_gpu() -> None:
    slots, gpus = Pool(1), Pool(None, node_gpus=1)
    for pool in (slots, gpus):
        pool.put("one", pipeline="onegpu", device="GPU")
        pool.put("two", pipeline="onegpu", device="GPU")
        pool.cycle()
        assert pool.admitter.somebody_waits()


async def test_jobs_of_a_queue_that_is_stopped_wait_for_nothing_that_others_have() -> None:
    pool = Pool(None)
    pool.queue("later", stopPolicy="Hold")
    pool.put("one", queueName="later")
    pool.cycle()
    assert not pool.admitter.somebody_waits()


async def test_a_pod_waits_for_a_node_unless_it_waits_for_its_inputs_too() -> None:
    pool = Pool(None)
    pod_of(pool, "ahead", "", conditions=FULL)
    assert not pool.admitter.somebody_waits()
    pod_of(pool, "ahead", "told", conditions=FULL)
    assert pool.admitter.somebody_waits()
    pod_of(pool, "ahead", "told", phase="Running")
    assert not pool.admitter.somebody_waits()


async def test_a_phase_whose_pod_began_early_and_found_no_room_is_not_tried_again_for_five_minutes() -> None:
    pool = Pool(None)
    cache, soon = pool.caches.namespaces[NAMESPACE], MADE + timedelta(seconds=1)
    pod_of(pool, "told", "told", conditions=FULL)
    assert cache.phases_without_room("songs", soon) == frozenset(), "one whose turn has come says nothing of it"
    pod_of(pool, "ahead", "", conditions=FULL)
    assert cache.phases_without_room("songs", soon) == {"second"}
    assert cache.phases_without_room("films", soon) == frozenset()
    assert cache.phases_without_room("songs", MADE + timedelta(minutes=5)) == frozenset()
    pod_of(pool, "ahead", "", node="node")
    assert cache.phases_without_room("songs", soon) == frozenset(), "it has found room after all"


@pytest.mark.parametrize(
    ("seconds_ago", "annotations", "status", "waits"),
    [
        pytest.param(60, {}, {}, True, id="its namespace's quota is full"),
        pytest.param(1, {}, {}, False, id="it has just begun"),
        pytest.param(None, {}, {}, False, id="nobody has looked at it yet, or Kueue holds it"),
        pytest.param(60, {c.ANNOTATION_EARLY: "mounts"}, {}, False, id="it began early itself"),
        pytest.param(60, {}, {"conditions": [{"type": "Complete", "status": "True"}]}, False, id="it has ended"),
    ],
)
async def test_a_job_without_a_pod_waits_for_room_unless(
    seconds_ago: int | None, annotations: dict[str, str], status: dict[str, Any], waits: bool
) -> None:
    pool = Pool(None)
    owner = {"kind": "AudioJob", "name": "one", "uid": "uid-one", "controller": True}
    metadata = {
        "name": "one-child", "uid": "one-child", "namespace": NAMESPACE, "labels": {}, "annotations": annotations,
        "ownerReferences": [owner],
    }  # fmt: skip
    if seconds_ago is not None:
        status = {**status, "startTime": format_time(datetime.now(UTC) - timedelta(seconds=seconds_ago))}
    pool.add(pool.caches.namespaces[NAMESPACE].jobs, {"metadata": metadata, "spec": {}, "status": status})
    assert pool.admitter.somebody_waits() is waits
    pod_of(pool, "one", None, phase="Running")
    assert not pool.admitter.somebody_waits(), "now it has one"


async def test_no_more_begin_early_than_may_until_they_are_told_their_inputs() -> None:
    pool = Pool(None)
    one, two = pool.put("one"), pool.put("two")
    assert pool.admitter.begin_early(one, 1)
    assert not pool.admitter.begin_early(two, 1), "its Job is about to be made"
    early_job(pool, "one")
    pool.admitter.release(one)
    assert not pool.admitter.begin_early(two, 1)
    pod_of(pool, "one", "")
    assert not pool.admitter.begin_early(two, 1)
    pod_of(pool, "one", "told")
    assert pool.admitter.begin_early(two, 1)
