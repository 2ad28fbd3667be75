"""Work that a reconcile is about to begin: others that would do the same wait for it."""

from __future__ import annotations

import pytest
from tests.unit.operator.builders import SETTINGS
from tests.unit.operator.pool import NOBODY, Pool

from audiojob_operator.reconciling.gather import Gatherer
from audiojob_operator.records.reuse import Fresh, ReuseAnswer, ReuseAsk, SameWork

WORK = ReuseAsk("e" * 64, 5)


@pytest.mark.parametrize(
    ("stopped", "expected"),
    [
        pytest.param(False, SameWork("one", 5), id="is about to begin: others wait for it"),
        pytest.param(True, Fresh(), id="has no slot: it keeps nobody from beginning"),
    ],
)
async def test_who_learns_that_nobody_does_the_work_and(stopped: bool, expected: ReuseAnswer) -> None:
    pool = Pool(None, reuse=True)
    gather = Gatherer(NOBODY, pool.caches, pool.admitter, SETTINGS, pool.reuse)
    one, two = pool.put("one"), pool.put("two")
    if stopped:
        pool.queue("default", stopPolicy="Hold")
    pool.cycle()
    with pool.admitter.reservation(one, pool.known(one)) as first, pool.admitter.reservation(two, pool.known(two)):
        assert first.take(WORK.key, await gather.answer(one, WORK)) == Fresh()
        assert await gather.answer(two, WORK) == expected
    assert await gather.answer(two, WORK) == Fresh(), "a claim ends with its reconcile"


async def test_who_waits_for_a_claim_is_woken_by_its_end() -> None:
    pool = Pool(None, reuse=True)
    one, two = pool.put("one"), pool.put("two")
    with pool.admitter.reservation(one, pool.known(one)) as first:
        first.take(WORK.key, Fresh())
        with pool.admitter.reservation(two, pool.known(two)) as second:
            second.take(WORK.key, SameWork("one", 5))
        pool.woken.clear()
    assert pool.woken == [two]
