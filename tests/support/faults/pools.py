"""Pools of a soak run: what they are, and what people and nodes do to them and to their workers meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any

from tests.integration.operator.conftest import Object, Space, make_pipeline
from tests.support.faults.pool_pods import Hurt, PoolPods

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, RestError
from audiojob_types.constants import API_VERSION

WARM, CARDS = "warm", "cards"
GPUS = 2
SETTINGS = {
    "AUDIOJOB_CAPACITY__GPUS": str(GPUS),
    # There is no kubelet: a pod that is forced away stays in nobody's way.
    "AUDIOJOB_DISRUPTION__LOST_AFTER_SECONDS": "1",
}
_WARM: Object = {"tasks": ["Simulate"], "minWorkers": 0, "maxWorkers": 2, "idleSeconds": 2}
_CARDS: Object = {"tasks": ["Simulate"], "device": "GPU", "minWorkers": 0, "maxWorkers": 1, "idleSeconds": 1}
_RETRY: Object = {"limit": 3, "baseSeconds": 0, "capSeconds": 1}


def make_pools(server: LocalApiServer, space: Space, chance: random.Random | None) -> int | None:
    """Both pools, and pipelines whose phases name them; the queue's maxGPUs. ``chance`` None: the plain ones."""
    draw = chance.choice if chance is not None else lambda values: values[0]
    warm = {"minWorkers": draw([0, 1]), "maxWorkers": draw([2, 1, 3]), "maxPhases": draw([100, 1, 2])}
    _create(space, "audioworkerpools", "AudioWorkerPool", WARM, {**_WARM, **warm, "idleSeconds": draw([2, 1, 30])})
    _create(space, "audioworkerpools", "AudioWorkerPool", CARDS, {**_CARDS, "maxWorkers": draw([1, 2])})
    most: int | None = draw([None, 1, 2])
    if most is not None:
        _create(space, "audioqueues", "AudioQueue", "default", {"maxGPUs": most})
    _let_workers_do_phases(server, space, fallback_seconds=3 if chance is not None else 60)
    return most


def _let_workers_do_phases(server: LocalApiServer, space: Space, fallback_seconds: int) -> None:
    use = {"workerPool": {"name": WARM, "fallbackSeconds": fallback_seconds}}
    card = {"device": "GPU", "workerPool": {"name": CARDS, "fallbackSeconds": fallback_seconds}}
    # An end that nobody tells must not pass for one that is found when a start has taken too long.
    phase = {"task": "Simulate", "retry": _RETRY, "startTimeoutSeconds": 900}
    _give(server, space.pipeline, [{"name": name, **phase, **use} for name in ("one", "two")])
    after = {"after": ["one"]}
    _give(
        server,
        f"{space.namespace}-chain",
        [{"name": "one", **phase}, {"name": "two", **phase, **use, **after}, {"name": "three", **phase, **after}],
    )
    make_pipeline(server, f"{space.namespace}-cards")
    # The second one has a pod of its own: it asks for the GPU that an idle worker may hold.
    _give(
        server,
        f"{space.namespace}-cards",
        [{"name": "one", **phase, **card}, {"name": "two", **phase, "device": "GPU"}],
    )


def _give(server: LocalApiServer, pipeline: str, phases: list[Object]) -> None:
    path = f"/apis/{API_VERSION}/audiopipelines/{pipeline}"
    server.rest.request("PATCH", path, {"spec": {"phases": phases}}, content_type=MERGE_PATCH)


def _create(space: Space, plural: str, kind: str, name: str, spec: Object) -> None:
    body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    space.rest.request("POST", f"/apis/{API_VERSION}/namespaces/{space.namespace}/{plural}", body)


def remove_pools(space: Space) -> None:
    """Their workers go with them."""
    for name in (WARM, CARDS):
        with suppress(RestError):
            space.rest.request("DELETE", _path(space, name), {"propagationPolicy": "Background"})


def _path(space: Space, pool: str) -> str:
    return f"/apis/{API_VERSION}/namespaces/{space.namespace}/audioworkerpools/{pool}"


class Mischief:
    """Up to six harmful things, drawn from a seed, in a thread; at the end both pools are there and open."""

    def __init__(self, space: Space, pods: PoolPods, seed: int) -> None:
        self._space, self._pods = space, pods
        self._chance = random.Random(f"mischief of {seed}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mischief", daemon=True)
        self.story: list[str] = []

    def __enter__(self) -> Mischief:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self) -> None:
        """Until all of it was done."""
        self._thread.join()

    def _run(self) -> None:
        for _ in range(self._chance.randint(1, 6)):
            if self._stop.wait(self._chance.uniform(0.3, 2.5)):
                return
            with suppress(OSError, HTTPException, RestError):
                self._act()

    def _act(self) -> None:
        chance = self._chance
        if chance.random() < 0.7:
            hurt = chance.choice(list(Hurt))
            self.story.append(f"a worker: {hurt}")
            self._pods.harm(hurt)
            return
        pool, what = chance.choice([WARM, CARDS]), chance.choice(["deleted", "changed", "closed", "resized"])
        pause = chance.uniform(0, 2)
        self.story.append(f"pool {pool} is {what} ({pause:.1f} s)")
        match what:
            case "deleted":
                found = self._space.rest.request("GET", _path(self._space, pool))
                self._space.rest.request("DELETE", _path(self._space, pool), {"propagationPolicy": "Background"})
                self._stop.wait(pause)
                _create(self._space, "audioworkerpools", "AudioWorkerPool", pool, found["spec"])
            case "changed":
                self._patch(pool, {"resources": {"memory": f"{chance.randint(2, 9)}Gi"}})
            case "closed":
                self._patch(pool, {"minWorkers": 0, "maxWorkers": 0})
                self._stop.wait(pause)
                self._patch(pool, {"maxWorkers": 1})
            case _:
                self._patch(pool, {"minWorkers": 0, "maxWorkers": chance.randint(1, 3)})

    def _patch(self, pool: str, spec: Mapping[str, Any]) -> None:
        self._space.rest.request("PATCH", _path(self._space, pool), {"spec": spec}, content_type=MERGE_PATCH)
