"""Jobs that wait for a model take no slot from others, and news of it wake those whom it concerns."""

from __future__ import annotations

import json

from tests.unit.operator.builders import (
    NAMESPACE,
    phase,
    pipeline,
)
from tests.unit.operator.deciding.policies.test_models import READY, Object, fetching
from tests.unit.operator.pool import Pool

from audiojob_operator.records.objects import Key
from audiojob_types import constants as c
from audiojob_types.models import WANTED_KEY

# ---------------------------------------------------------------- admission and caches


def say(pool: Pool, *wanted: str, **records: Object) -> None:
    """What a watch of the ConfigMap would bring."""
    texts = {name: json.dumps(record) for name, record in records.items()}
    data = {WANTED_KEY: json.dumps(wanted), **texts}
    metadata = {"name": c.MODELS_CONFIGMAP, "namespace": NAMESPACE, "uid": "models"}
    pool.add(pool.caches.namespaces[NAMESPACE].models, {"metadata": metadata, "data": data})


async def test_jobs_that_wait_for_a_model_take_no_slots_from_others() -> None:
    pool = Pool(1)
    pool.add(pool.caches.pipelines, pipeline(phase("separate", "Separate"), name="stems"))
    say(pool, "htdemucs", htdemucs=fetching())
    waiting = pool.put("waiting", pipeline="stems", priority=10)
    other = pool.put("other")
    assert not pool.answer(waiting).admitted
    assert pool.answer(other).admitted


async def test_the_jobs_of_a_model_that_arrives_are_admitted() -> None:
    pool = Pool(1)
    pool.add(pool.caches.pipelines, pipeline(phase("separate", "Separate"), name="stems"))
    say(pool, "htdemucs", htdemucs=fetching())
    waiting = pool.put("waiting", pipeline="stems")
    assert not pool.answer(waiting).admitted
    say(pool, "htdemucs", htdemucs=READY)
    assert pool.answer(waiting).admitted
    assert pool.woken == [waiting]


class Watched(Pool):
    """A pool that notes whom its caches wake."""

    def __init__(self) -> None:
        self.told: list[Key] = []
        super().__init__(None)
        self.add(self.caches.pipelines, pipeline(phase("separate", "Separate"), name="stems"))

    def wake(self, key: Key) -> None:
        self.told.append(key)


def waiting_status(job: Object) -> Object:
    condition = {"type": "Progressing", "status": "False", "reason": "ModelMissing"}
    return {**job, "status": {"state": "Queued", "conditions": [condition]}}


async def test_news_of_a_model_wake_those_that_wait_and_its_arrival_everybody() -> None:
    pool = Watched()
    busy = pool.put("busy", started=True)
    waiting = pool.put("waiting", pipeline="stems")
    obj = {**pool.known(waiting).raw}
    obj["metadata"] = {**obj["metadata"], "resourceVersion": "99"}
    pool.store.put(waiting_status(obj))

    say(pool, "htdemucs", htdemucs=fetching(41))
    pool.told.clear()
    say(pool, "htdemucs", htdemucs=fetching(42))
    assert pool.told == []
    say(pool, "htdemucs", htdemucs=fetching(55))
    assert pool.told == [waiting]
    pool.told.clear()
    say(pool, "htdemucs", htdemucs=READY)
    assert sorted(pool.told) == sorted([busy, waiting])
