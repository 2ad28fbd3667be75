"""What a fault of the operator is called, and when a job that meets it is looked at again."""

from __future__ import annotations

import json
from typing import cast

import pytest
from tests.unit.operator.pool import Pool

from audiojob_kube.client import KubeClient
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.giving_up import GivingUp, place_of
from audiojob_operator.records.changes import updated
from audiojob_operator.state.faults import MOST, PAUSE
from audiojob_types.resources.job import JobError


def fault() -> Exception:
    with pytest.raises(TypeError) as caught:
        updated(JobError(reason="x", message="a secret"), {"nonsense": 1})
    return caught.value


def test_a_fault_is_named_by_the_last_line_of_ours_and_not_by_what_it_says() -> None:
    with pytest.raises(ValueError, match="Expecting") as outside:
        json.loads("a secret")
    assert place_of(outside.value) == "JSONDecodeError"
    class_name, _, place = place_of(fault()).partition(" in ")
    assert class_name == "TypeError"
    assert place.startswith("audiojob_operator/records/changes.py, line ")


async def test_a_job_is_parked_at_once_by_its_last_failure_and_one_that_fails_while_parked_waits() -> None:
    pool = Pool(1)
    key = pool.put("one", started=True)
    client = cast("KubeClient", None)
    applier = Applier(client, pool.caches, Metrics(), "test")
    giving_up = GivingUp(pool.caches, pool.admitter, applier, None)
    answers = [giving_up.failed(key, KeyError("bug")) for _ in range(MOST + 1)]
    assert answers == [*[None] * (MOST - 1), 0.0, PAUSE.total_seconds()]
    assert giving_up.parked(key, pool.known(key)) is not None
    giving_up.decided(key, admitted=False)
    assert giving_up.parked(key, pool.known(key)) is not None, "it might have failed had it begun something"
    giving_up.decided(key, admitted=True)
    assert giving_up.parked(key, pool.known(key)) is None


async def test_who_waits_for_the_work_of_a_job_that_is_parked_is_told_that_its_end_will_not_show() -> None:
    pool = Pool(None, reuse=True)
    key, other = pool.put("one", started=True), pool.put("two")
    assert pool.reuse is not None
    record = {"name": "first", "task": "Simulate", "state": "Running", "attempt": 1, "reuseKey": "w"}
    pool.reuse.seen(key, {"status": {"state": "Running", "phases": [record]}})
    pool.reuse.wait(("music", "w"), other)
    applier = Applier(cast("KubeClient", None), pool.caches, Metrics(), "test")
    giving_up = GivingUp(pool.caches, pool.admitter, applier, pool.reuse)
    pool.woken.clear()
    for _ in range(MOST):
        giving_up.failed(key, KeyError("bug"))
    assert other in pool.woken
