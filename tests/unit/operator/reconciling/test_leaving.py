"""What an operator that ends takes with it: what waits to be told, and nothing that is at work."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
from tests.unit.operator.builders import NAMESPACE, audio_job
from tests.unit.operator.pool import Pool

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import TransportError
from audiojob_kube.resources import Resource
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.leaving import take_back_early
from audiojob_operator.state.namespace_cache import POD_JOB_LABEL
from audiojob_types import constants as c


class Server:
    """Notes what is deleted; ``away`` answers nothing."""

    def __init__(self, *, away: bool = False) -> None:
        self.deleted: list[str] = []
        self.away = away

    async def delete(self, resource: Resource, name: str, namespace: str, **options: Any) -> None:
        if self.away:
            raise TransportError("no answer")
        self.deleted.append(name)


def with_job(inputs: str | None, *, early: bool = True, owner: str = "one", **record: Any) -> Pool:
    """A job whose second phase has a Job with a pod."""
    pool = Pool(None)
    phases = [{"name": "second", "task": "Simulate", "state": "Waiting", "attempt": 0, **record}]
    job = audio_job("one", uid="uid-one")
    job["metadata"]["namespace"] = NAMESPACE
    pool.store.put({**job, "status": {"state": "Running", "phases": phases}})
    caches, attempt = pool.caches.namespaces[NAMESPACE], str(record.get("earlyAttempt", 1))
    labels = {c.LABEL_PHASE: "second", c.LABEL_ATTEMPT: attempt}
    pool.add(caches.jobs, {"metadata": {
        "name": "child", "uid": "child", "namespace": NAMESPACE, "labels": labels,
        "annotations": {c.ANNOTATION_EARLY: "mounts"} if early else {},
        "ownerReferences": [{"kind": "AudioJob", "name": owner, "uid": f"uid-{owner}", "controller": True}],
    }, "spec": {}, "status": {}})  # fmt: skip
    if inputs is not None:
        pool.add(caches.pods, {"metadata": {
            "name": "pod", "namespace": NAMESPACE, "labels": {POD_JOB_LABEL: "child"},
            "annotations": {c.ANNOTATION_INPUTS: inputs},
            "ownerReferences": [{"kind": "Job", "name": "child", "uid": "child"}],
        }, "spec": {}, "status": {"phase": "Running"}})  # fmt: skip
    return pool


@pytest.mark.parametrize(
    ("given", "goes"),
    [
        pytest.param(partial(with_job, "", earlyAttempt=1), True, id="its pod waits"),
        pytest.param(partial(with_job, None, earlyAttempt=1), True, id="it has no pod yet"),
        pytest.param(partial(with_job, ""), True, id="no status names it yet"),
        pytest.param(partial(with_job, "", earlyAttempt=2, attempt=1), True, id="another attempt was there before"),
        pytest.param(partial(with_job, "told", earlyAttempt=1), False, id="its pod was told"),
        pytest.param(
            partial(with_job, "", state="Running", attempt=1), False, id="its turn has come, and it is not told yet"
        ),
        pytest.param(partial(with_job, "", early=False, state="Running", attempt=1), False, id="it never began early"),
        pytest.param(partial(with_job, "", earlyAttempt=1, owner="other"), False, id="its AudioJob is not known"),
    ],
)
async def test_a_job_goes_with_its_operator_where(given: Callable[[], Pool], goes: bool) -> None:
    server, pool = Server(), given()
    await take_back_early(pool.caches, Applier(cast("KubeClient", server), pool.caches, Metrics(), "test"))
    assert server.deleted == (["child"] if goes else [])


async def test_a_server_that_is_away_keeps_no_operator_from_its_end() -> None:
    pool = with_job("", earlyAttempt=1)
    server = cast("KubeClient", Server(away=True))
    await take_back_early(pool.caches, Applier(server, pool.caches, Metrics(), "test"))
