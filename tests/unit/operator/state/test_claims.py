"""What the shell answers to a decision that asks for the work of others."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from tests.unit.operator.builders import NAMESPACE, SETTINGS, World

from audiojob_kube.client import KubeClient
from audiojob_operator.admission.admitter import Gate
from audiojob_operator.reconciling.gather import Gatherer
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.objects import Key
from audiojob_operator.records.reuse import Fresh, ReuseAnswer, ReuseAsk, SameWork
from audiojob_operator.settings import Capacity
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.reuse_index import ReuseIndex
from audiojob_types.reasons import Reason

ONE, TWO = (NAMESPACE, "one"), (NAMESPACE, "two")
WORK = ReuseAsk("e" * 64, 5)
FULL = Admission(False, Reason.QUEUE_FULL, "2 of 2 jobs are running.")


def gatherer() -> Gatherer:
    client = cast("KubeClient", None)  # answers come from what is known
    caches = Caches(client, (NAMESPACE,), lambda key: None)
    return Gatherer(
        client, caches, Gate(caches, Capacity(), lambda key, first: None), SETTINGS, ReuseIndex(lambda key: None)
    )


async def answer(gather: Gatherer, key: Key, admission: Admission) -> ReuseAnswer:
    observed = replace(World().observed(), admitted=admission, reuse={})
    after = await gather.answer(key, observed, [WORK])
    assert after.reuse is not None
    return after.reuse[WORK.key]


@pytest.mark.parametrize(
    ("admission", "told"),
    [
        pytest.param(Admission(True), SameWork("one", 5), id="is about to begin: others wait for it"),
        pytest.param(FULL, Fresh(), id="has no place: it keeps nobody from beginning"),
    ],
)
async def test_who_is_told_that_nobody_does_the_work_and(admission: Admission, told: ReuseAnswer) -> None:
    gather = gatherer()
    assert await answer(gather, ONE, admission) == Fresh()
    assert await answer(gather, TWO, Admission(True)) == told
