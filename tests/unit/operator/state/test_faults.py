"""AudioJobs on which the operator itself fails, and the slots and GPUs that they must not hold for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.builders import NAMESPACE, NOW, audio_job
from tests.unit.operator.pool import Pool

from audiojob_operator.records.objects import Key
from audiojob_operator.state.faults import MOST, PAUSE, Fault, Faults, is_due
from audiojob_types import constants as c

KEY = ("music", "song")
UID = "uid-song"


def job(**changes: Any) -> dict[str, Any]:
    return audio_job("song", uid=UID, **changes)


def failed(times: int) -> Faults:
    faults = Faults()
    for number in range(times):
        faults.add(KEY, job(), f"KeyError, line {number % 2}", NOW)
    return faults


def parked(faults: Faults) -> Fault:
    found = faults.of(KEY, UID)
    assert found is not None
    return found


def test_a_job_is_parked_after_so_many_failures_of_whichever_kind_and_not_before() -> None:
    assert failed(MOST - 1).of(KEY, UID) is None
    assert parked(failed(MOST)).until == NOW + PAUSE
    assert (failed(MOST - 1).parked, failed(MOST).parked) == (0, 1)


def reported() -> dict[str, Any]:
    raw = job() | {"status": {"percent": 5}}
    raw["metadata"] |= {"resourceVersion": "77", "generation": 9}
    return raw


@pytest.mark.parametrize(
    ("raw", "after", "due"),
    [
        pytest.param(job(), timedelta(0), False, id="not at once"),
        pytest.param(job(), PAUSE, True, id="when its pause is over"),
        pytest.param(job(cancel=True), timedelta(0), True, id="when people change it"),
        pytest.param(reported(), timedelta(0), False, id="not for what the operator or a runner writes"),
    ],
)
def test_when_a_parked_job_is_looked_at_again(raw: dict[str, Any], after: timedelta, due: bool) -> None:
    assert is_due(parked(failed(MOST)), raw, NOW + after) is due


def test_one_that_is_looked_at_again_is_parked_by_its_next_failure() -> None:
    faults = failed(MOST)
    faults.resume(KEY)
    assert faults.of(KEY, UID) is None
    later = NOW + PAUSE
    faults.add(KEY, job(), "KeyError", later)
    assert parked(faults).until == later + PAUSE


@pytest.mark.parametrize("how", ["a decision that does not fail", "a successor of the same name"])
def test_all_is_forgotten_with(how: str) -> None:
    faults, after = failed(MOST), job()
    if how == "a decision that does not fail":
        faults.forget(KEY)
    else:
        after["metadata"]["uid"] = "uid-of-another"
    uid = after["metadata"]["uid"]
    assert faults.of(KEY, uid) is None
    faults.add(KEY, after, "KeyError", NOW)
    assert faults.of(KEY, uid) is None, "it is counted from one"


@given(st.lists(st.sampled_from(("try", "change", "pause", "wait")), max_size=60))
def test_a_job_that_always_fails_is_tried_so_often_and_then_once_for_each_change_or_pause(steps: list[str]) -> None:
    faults, number, now, tries = Faults(), 0, NOW, 0
    for step in steps:
        raw = job(cancel=bool(number % 2))
        if step == "try":
            found = faults.of(KEY, UID)
            if found is not None and is_due(found, raw, now):
                faults.resume(KEY)
            if faults.of(KEY, UID) is None:
                faults.add(KEY, raw, "KeyError", now)
                tries += 1
        number += step == "change"
        now += {"pause": PAUSE, "wait": PAUSE / 20}.get(step, timedelta(0))
    pauses = (now - NOW) // PAUSE
    assert tries <= MOST + number + pauses


# ---------------------------------------------------------------- admission


def park(pool: Pool, key: Key) -> None:
    for _ in range(MOST):
        pool.caches.faults.add(key, pool.known(key).raw, "KeyError", NOW)
    pool.admitter.changed(key)


def take_away(pool: Pool, kind: str) -> None:
    reflector = getattr(pool.caches.namespaces[NAMESPACE], kind)
    for key, found in list(reflector.items()):
        reflector.forget(key, found["metadata"]["uid"])


def pod_of(pool: Pool, owner: str, phase: str = "Running", uid: str = "uid-pod") -> None:
    metadata = {"name": f"{owner}-pod", "namespace": NAMESPACE, "uid": uid, "labels": {c.LABEL_JOB: owner}}
    pool.add(pool.caches.namespaces[NAMESPACE].pods, {"metadata": metadata, "spec": {}, "status": {"phase": phase}})


async def test_a_parked_job_keeps_its_slot_for_what_is_at_work_and_no_longer() -> None:
    pool = Pool(1)
    one, two = pool.put("one", started=True), pool.put("two")
    pool.fetch_job("one")
    pod_of(pool, "one")
    park(pool, one)
    assert not pool.answer(two).admitted, "its Job is at work"
    pool.fetch_job("one", conditions=[{"type": "Complete", "status": "True"}])
    assert not pool.answer(two).admitted, "its pod is still on its way out"
    pod_of(pool, "one", "Succeeded")
    assert pool.answer(two).admitted, "what is kept of it for its result is no work"


async def test_the_end_of_a_pod_whose_job_went_before_frees_the_slot_at_once() -> None:
    pool = Pool(1)
    one, two = pool.put("one", started=True), pool.put("two")
    pool.fetch_job("one")
    pod_of(pool, "one")
    park(pool, one)
    take_away(pool, "jobs")
    assert not pool.answer(two).admitted
    take_away(pool, "pods")
    assert pool.answer(two).admitted


async def test_a_parked_job_is_offered_neither_slots_nor_gpus() -> None:
    pool = Pool(2, node_gpus=2)
    waiting = pool.put("waiting", pipeline="onegpu", age=60)
    running = pool.put("running", pipeline="onegpu", age=60, started=True)
    pool.gpu_job("running")
    park(pool, waiting)
    park(pool, running)
    last = pool.put("last", pipeline="onegpu")
    assert pool.answer(last).gpus == 1
    assert pool.admitter.running == 2
    assert sum(pool.admitter.gpus.values()) == 2


async def test_a_job_that_goes_on_without_a_slot_in_its_status_waits_for_one() -> None:
    pool = Pool(1)
    one, two = pool.put("one", started=True), pool.put("two")
    park(pool, one)
    pool.put("one")  # what is written when nothing is at work any more
    assert pool.answer(two).admitted
    pool.put("two", started=True)
    pool.release(two)
    pool.caches.faults.resume(one)
    pool.admitter.changed(one)
    assert not pool.answer(one).admitted
