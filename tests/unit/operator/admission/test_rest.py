"""A job whose Job the API server does not take, by a quota say, keeps nothing from others while it waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.operator.builders import NOW, audio_job, pipeline
from tests.unit.operator.pool import Object, Pool

from audiojob_operator.admission.limits import Limits
from audiojob_operator.admission.roster import ChildFacts, JobFacts
from audiojob_operator.admission.scheduler import Scheduler
from audiojob_operator.records.admission import Rest
from audiojob_operator.records.sites import SiteRules
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipeline

WHILE = timedelta(seconds=30)


def rest(name: str) -> Rest:
    return Rest(f"uid-{name}", datetime.now(UTC) + WHILE, "exceeded quota")


@pytest.mark.parametrize(
    ("slots", "more"),
    [
        pytest.param(1, {}, id="the only slot"),
        pytest.param(None, {"pipeline": "onegpu"}, id="the only GPU, which another namespace may want"),
    ],
)
async def test_what_the_first_in_line_cannot_use_goes_to_the_next(slots: int | None, more: Object) -> None:
    pool = Pool(slots, node_gpus=1)
    first, second = pool.put("first", age=60, priority=9, **more), pool.put("second", **more)
    given = pool.answer(first)
    assert given.admitted
    assert pool.answer(second).reason is not Reason.ADMITTED or not pool.answer(second).gpus
    pool.admitter.rest(first, rest("first"))
    pool.release(first)
    pool.cycle()
    after = pool.answer(second)
    assert (after.admitted, after.gpus) == (True, given.gpus)
    told = pool.answer(first)
    assert (told.admitted, told.reason, told.message) == (False, Reason.CREATE_REFUSED, "exceeded quota")


async def test_one_that_works_keeps_its_slot_and_asks_for_no_gpu() -> None:
    pool = Pool(2, node_gpus=1)
    first, second = pool.put("first", started=True, pipeline="onegpu"), pool.put("second", pipeline="onegpu")
    assert pool.answer(first).gpus == 1
    pool.admitter.rest(first, rest("first"))
    pool.release(first)
    pool.cycle()
    assert pool.answer(second).gpus == 1
    again = pool.answer(first)
    assert (again.admitted, again.gpus) == (True, 0)


async def test_another_job_of_the_same_name_does_not_rest() -> None:
    pool = Pool(1)
    first = pool.put("first")
    pool.admitter.rest(first, rest("one before"))
    assert pool.answer(first).admitted


def test_it_asks_again_when_its_time_has_come() -> None:
    scheduler, key, now = Scheduler(SiteRules()), ("music", "song"), NOW
    job = AudioJob.model_validate(audio_job("song", uid="uid-song"))
    spec = AudioPipeline.model_validate(pipeline()).spec
    facts = JobFacts("uid-song", job, spec, rest=Rest("uid-song", now + WHILE, "full"))
    one = Limits(max_running=1)
    scheduler.update(key, facts, ChildFacts(), now)
    assert scheduler.cycle(one, now) == []
    assert scheduler.next_moment(now) == now + WHILE
    assert [each.key for each in scheduler.cycle(one, now + WHILE)] == [key]
    given = scheduler.reserve(key, one, now + WHILE)
    assert given is not None
    assert given.admitted
