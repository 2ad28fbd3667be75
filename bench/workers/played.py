"""Workers without containers: ``python bench/workers/played.py KUBECONFIG AUTHORITY NAMESPACE WORKERS``.

Plays what ``serve`` does for phases that do nothing: it sees the order of each worker's pod, reports by that pod's own
token that the phase has begun, and how it ended. As the kubelet brings an order late, so does this. Prints a line when
so many workers are there. Runs until it is killed.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections import defaultdict
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aiohttp
from bench.harness import USER_AGENT, Object, follow, version_of
from tests.support.podrunner import succeed

from audiojob_dev.cluster.apiserver import CONTEXT
from audiojob_kube.client import AiohttpKubeClient, connect
from audiojob_kube.config import Certificates, load_connection, ssl_context
from audiojob_kube.resources import PODS
from audiojob_operator.building.telling import read_order
from audiojob_types.constants import (
    ANNOTATION_WORK,
    API_VERSION,
    LABEL_POOL,
    MANAGER_RUNNER,
    RUNNER_SERVICE_ACCOUNT,
)
from audiojob_types.contract import PhaseInput, PhaseResult
from audiojob_types.workers.order import ReportedEnd

_LAG_SECONDS = 0.15  # from the patch of an annotation to the file in the pod, as measured on a kubelet
_PAUSE_SECONDS = 0.1
_TRIES = 100
_LATER = (403, 409, 429, 500, 503, 504)

Identity = tuple[str, str, int]


class Played:
    """All workers of a namespace; ``ready`` once there are so many."""

    def __init__(
        self, admin: aiohttp.ClientSession, session: aiohttp.ClientSession, namespace: str, workers: int
    ) -> None:
        self.ready = asyncio.Event()
        self._workers = workers
        self._admin = admin
        self._session = session  # without a certificate, which would count before a token
        self._namespace = namespace
        self._tokens: dict[str, str] = {}  # by pod uid
        self._seen: set[Identity] = set()
        self._told: dict[str, set[Identity]] = {}  # by pod uid, as that is
        self._at_work: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # by pod uid
        self._tasks: set[asyncio.Task[None]] = set()

    def see(self, pod: Object) -> None:
        """A version of a pod."""
        metadata = pod["metadata"]
        if LABEL_POOL not in (metadata.get("labels") or {}) or pod["status"].get("phase") != "Running":
            return
        if metadata["uid"] not in self._tokens:
            self._tokens[metadata["uid"]] = ""
            self._do(self._fetch_token(metadata["name"], metadata["uid"]))
        order = read_order(metadata["annotations"][ANNOTATION_WORK])
        told = order.told if order is not None else ()
        self._told[metadata["uid"]] = {(phase.uid, phase.phase, phase.attempt) for phase in told}
        for phase in told:
            identity = (phase.uid, phase.phase, phase.attempt)
            if identity not in self._seen:
                self._seen.add(identity)
                self._do(self._work(phase, pod))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if (error := task.exception()) is not None:
            print(f"a worker failed: {error!r}", file=sys.stderr, flush=True)

    async def _fetch_token(self, pod: str, uid: str) -> None:
        path = f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{RUNNER_SERVICE_ACCOUNT}/token"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}
        spec = {"expirationSeconds": 7_200, "boundObjectRef": bound}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        async with self._admin.post(path, json=body, headers={"User-Agent": USER_AGENT}) as answer:
            answer.raise_for_status()
            self._tokens[uid] = (await answer.json())["status"]["token"]
        if sum(bool(token) for token in self._tokens.values()) >= self._workers:
            self.ready.set()

    async def _work(self, phase: PhaseInput, pod: Object) -> None:
        await asyncio.sleep(_LAG_SECONDS)
        uid = pod["metadata"]["uid"]
        async with self._at_work[uid]:  # one after the other, as they are told
            if not await self._report(phase, uid, {"percent": 0, "begun": True}):
                return
            ended = succeed(phase, pod)["containerStatuses"][0]["state"]["terminated"]
            end = ReportedEnd(attempt=phase.attempt, exit_code=0, result=PhaseResult.read(ended["message"]))
            await self._report(phase, uid, {"percent": 100, "result": end.to_text()})

    async def _report(self, phase: PhaseInput, pod_uid: str, entry: Object) -> bool:
        """Whether it was taken. Given up for what the worker is not told any more."""
        path = f"/apis/{API_VERSION}/namespaces/{phase.namespace}/audiojobs/{phase.job}/status"
        body = {"status": {"progress": {phase.phase: {"attempt": phase.attempt, **entry}}}}
        said = ""
        for _ in range(_TRIES):
            headers = {
                "Authorization": f"Bearer {self._tokens[pod_uid]}",
                "Content-Type": "application/merge-patch+json",
                "User-Agent": MANAGER_RUNNER,
            }
            async with self._session.patch(
                path, params={"fieldManager": MANAGER_RUNNER}, json=body, headers=headers
            ) as answer:
                said = await answer.text()
                if answer.status < 300:
                    return True
                if (phase.uid, phase.phase, phase.attempt) not in self._told[pod_uid]:
                    return False
                if answer.status not in _LATER:
                    break
            await asyncio.sleep(_PAUSE_SECONDS)
        raise RuntimeError(f"{phase.job}/{phase.phase}: {said[:300]}")


async def play(kubeconfig: Path, authority: Path, namespace: str, workers: int) -> None:
    """Until it is killed."""
    connection = load_connection(kubeconfig, CONTEXT)
    client = connect(connection, user_agent=USER_AGENT, field_manager=USER_AGENT)
    trust = ssl_context(Certificates(str(authority)), connection.host)
    async with (
        aiohttp.ClientSession(connection.host, connector=connector(connection.ssl)) as admin,
        aiohttp.ClientSession(connection.host, connector=connector(trust)) as session,
    ):
        played = Played(admin, session, namespace, workers)
        version = await version_of(client, PODS, namespace)
        for pod in (await client.list(PODS, namespace)).items:
            played.see(pod)
        events = asyncio.create_task(watch(client, played, namespace, version))
        await played.ready.wait()
        print("ready", flush=True)
        await events


def connector(trust: ssl.SSLContext | None) -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(limit=0, ssl=trust or True)


async def watch(client: AiohttpKubeClient, played: Played, namespace: str, version: str) -> None:
    async for event in follow(client, PODS, namespace, version):
        if event.type != "DELETED":
            played.see(event.object)


if __name__ == "__main__":
    asyncio.run(play(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
