"""AudioJobs whose status the API server refuses for good, and the slots that they must not hold for ever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.builders import audio_job
from tests.unit.operator.pool import Pool

from audiojob_kube.errors import error_from_status
from audiojob_operator.state.refusals import MOST, Refusals, is_permanent
from audiojob_types import constants as c

KEY = ("music", "song")


@pytest.mark.parametrize(
    ("code", "message", "permanent"),
    [
        pytest.param(422, 'AudioJob "song" is invalid: status.state: Invalid value', True, id="a value is not valid"),
        pytest.param(413, "Request entity too large: limit is 3145728", True, id="the body is too large"),
        pytest.param(400, "strict decoding error: unknown field", True, id="a field is unknown"),
        pytest.param(500, "etcdserver: request is too large", True, id="the database takes no object of that size"),
        pytest.param(500, "rpc error: trying to send message larger than max (3 vs. 2)", True, id="nor its client"),
        pytest.param(403, 'audiojobs "song" is forbidden: ValidatingAdmissionPolicy', True, id="a policy refuses it"),
        pytest.param(403, 'audiojobs "song" is forbidden: User "x" cannot patch', False, id="our right is missing"),
        pytest.param(401, "Unauthorized", False, id="our token has ended"),
        pytest.param(429, "too many requests", False, id="the server sheds load"),
        pytest.param(500, "etcdserver: request timed out", False, id="the database does not answer"),
        pytest.param(503, "the server is starting", False, id="the server is not ready"),
        pytest.param(504, "timeout", False, id="a webhook's time was up"),
    ],
)
def test_which_answers_are_for_good(code: int, message: str, permanent: bool) -> None:
    assert is_permanent(error_from_status({"message": message}, code=code)) is permanent


def job(**changes: Any) -> dict[str, Any]:
    return audio_job("song", uid="uid-song", **changes)


def refused(times: int, raw: dict[str, Any] | None = None) -> Refusals:
    refusals = Refusals()
    for _ in range(times):
        refusals.add(KEY, raw or job(), "422 Invalid")
    return refusals


def test_a_job_is_given_up_after_so_many_refusals_and_not_before() -> None:
    assert refused(MOST - 1).of(KEY, job()) is None
    assert refused(MOST).of(KEY, job()) is not None
    assert refused(MOST).given_up == 1


def test_each_change_of_what_people_write_brings_one_more_try() -> None:
    refusals = refused(MOST)
    changed = job(cancel=True)
    assert refusals.of(KEY, changed) is None
    refusals.add(KEY, changed, "422 Invalid")
    assert refusals.of(KEY, changed) is not None


def test_what_the_operator_or_a_runner_writes_is_no_change() -> None:
    reported = job() | {"status": {"percent": 5}}
    reported["metadata"] |= {"resourceVersion": "77", "managedFields": [], "generation": 9}
    assert refused(MOST).of(KEY, reported) is not None


@pytest.mark.parametrize("how", ["a write that is taken", "a successor of the same name"])
def test_all_is_forgotten_with(how: str) -> None:
    refusals, after = refused(MOST), job()
    if how == "a write that is taken":
        refusals.forget(KEY)
    else:
        after["metadata"]["uid"] = "uid-of-another"
    assert refusals.of(KEY, after) is None
    refusals.add(KEY, after, "422 Invalid")
    assert refusals.of(KEY, after) is None, "it is counted from one"


def give_up(pool: Pool, key: tuple[str, str]) -> None:
    for _ in range(MOST):
        pool.caches.refusals.add(key, pool.known(key).raw, "422 Invalid")
    pool.admitter.changed(key)


def take_away(pool: Pool, kind: str) -> None:
    """What a deletion does: all objects of the kind are gone."""
    reflector = getattr(pool.caches.namespaces["music"], kind)
    for key, found in list(reflector.items()):
        reflector.forget(key, found["metadata"]["uid"])


def pod_of(pool: Pool, owner: str) -> None:
    metadata = {"name": f"{owner}-pod", "namespace": "music", "labels": {c.LABEL_JOB: owner}}
    pool.add(pool.caches.namespaces["music"].pods, {"metadata": metadata, "spec": {}, "status": {"phase": "Running"}})


async def test_a_slot_is_free_when_nothing_of_the_jobs_work_is_left() -> None:
    pool = Pool(1)
    one, two = pool.put("one", started=True), pool.put("two")
    pool.fetch_job("one")
    pod_of(pool, "one")
    assert not pool.answer(two).admitted
    give_up(pool, one)
    assert not pool.answer(two).admitted, "its Job is still there"
    take_away(pool, "jobs")
    assert not pool.answer(two).admitted, "its pod is still there"
    take_away(pool, "pods")
    assert pool.answer(two).admitted


async def test_gpus_are_free_with_the_slot() -> None:
    pool = Pool(None, node_gpus=1)
    one, two = (pool.put(name, pipeline="onegpu", started=name == "one") for name in ("one", "two"))
    pool.gpu_job("one")
    assert pool.answer(two).gpus == 0
    give_up(pool, one)
    assert pool.answer(two).gpus == 0, "its Job is still there"
    take_away(pool, "jobs")
    assert pool.answer(two).gpus == 1


@given(st.lists(st.sampled_from(("refuse", "change", "other error")), max_size=60))
def test_whatever_comes_between_nobody_goes_on_after_so_many_refusals_without_a_change(steps: list[str]) -> None:
    refusals, number, tries = Refusals(), 0, 0
    for step in steps:
        raw = job(cancel=bool(number % 2))
        number += step == "change"
        if step == "refuse" and refusals.of(KEY, raw) is None:
            refusals.add(KEY, raw, "422 Invalid")
            tries += 1
    assert tries <= MOST + number
