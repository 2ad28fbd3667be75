"""All that the API asks of Kubernetes, behind one Protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from audiojob_kube.errors import Conflict, Invalid, is_failed_json_patch_test
from audiojob_kube.protocol import KubeClient
from audiojob_kube.reflector import Reflector
from audiojob_kube.resources import AUDIOJOBS, SUBJECTACCESSREVIEWS, TOKENREVIEWS
from audiojob_types.constants import GROUP
from audiojob_types.resources.job import FINISHED_STATES

Object = dict[str, Any]
Listener = Callable[[Object | None], None]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token speaks for, as the API server says."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] = field(default_factory=dict)


class Gateway(Protocol):
    """Kubernetes as the API sees it: one namespace, AudioJobs only. Calls raise ApiError or TransportError."""

    async def review_token(self, token: str, audience: str) -> Identity | None:
        """The token's owner; None if the token is not valid for ``audience``."""

    async def may(self, identity: Identity, verb: str) -> bool:
        """Whether ``identity`` may ``verb`` AudioJobs in the namespace."""

    async def create(self, job: Object) -> Object:
        """Create an AudioJob; the answer is in the read model at once."""

    async def change(self, name: str, uid: str, operations: Sequence[Object]) -> Object:
        """Apply these JSON Patch operations to the job with this uid. Raises Conflict where a test of them fails."""

    async def read(self, name: str) -> Object:
        """The AudioJob straight from the API server."""

    def get(self, name: str) -> Object | None:
        """The AudioJob from the read model."""

    def jobs(self) -> Collection[Object]:
        """All AudioJobs of the read model."""

    def subscribe(self, name: str, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every new version of a job, None once it is gone. Returns the way to stop."""

    def synced(self) -> bool:
        """Whether the first full list is in."""

    def age(self) -> float:
        """Seconds since the API server was last heard from."""

    async def run(self) -> None:
        """Keep the read model current until cancelled."""


class KubeGateway:
    """The real one."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._listeners: dict[str, set[Listener]] = {}
        self._reflector: Reflector[Object] = Reflector(
            client, AUDIOJOBS, namespace=namespace, project=lambda obj: obj, on_change=self._changed
        )

    async def review_token(self, token: str, audience: str) -> Identity | None:
        body = {
            "apiVersion": TOKENREVIEWS.api_version,
            "kind": TOKENREVIEWS.kind,
            "spec": {"token": token, "audiences": [audience]},
        }
        status = (await self._client.create(TOKENREVIEWS, body)).get("status", {})
        # A cluster's authenticator that knows no audiences leaves them out: then nothing says that the token is for us.
        if not status.get("authenticated") or audience not in status.get("audiences", []):
            return None
        user = status.get("user", {})
        return Identity(
            username=user.get("username", ""),
            uid=user.get("uid", ""),
            groups=tuple(user.get("groups", ())),
            extra=user.get("extra", {}),
        )

    async def may(self, identity: Identity, verb: str) -> bool:
        body = {
            "apiVersion": SUBJECTACCESSREVIEWS.api_version,
            "kind": SUBJECTACCESSREVIEWS.kind,
            "spec": {
                "user": identity.username,
                "uid": identity.uid,
                "groups": list(identity.groups),
                "extra": identity.extra,
                "resourceAttributes": {
                    "group": GROUP,
                    "resource": AUDIOJOBS.plural,
                    "namespace": self._namespace,
                    "verb": verb,
                },
            },
        }
        status = (await self._client.create(SUBJECTACCESSREVIEWS, body)).get("status", {})
        return bool(status.get("allowed"))

    async def create(self, job: Object) -> Object:
        created = await self._client.create(AUDIOJOBS, job, self._namespace)
        self._reflector.put(created)
        return created

    async def change(self, name: str, uid: str, operations: Sequence[Object]) -> Object:
        same = {"op": "test", "path": "/metadata/uid", "value": uid}
        try:
            changed = await self._client.patch_json(AUDIOJOBS, name, [same, *operations], self._namespace)
        except Invalid as error:
            if is_failed_json_patch_test(error):
                raise Conflict(409, "Conflict", "The job has changed meanwhile; look at it again.") from None
            raise
        self._reflector.put(changed)
        return changed

    async def read(self, name: str) -> Object:
        return await self._client.get(AUDIOJOBS, name, self._namespace)

    def get(self, name: str) -> Object | None:
        return self._reflector.get((self._namespace, name))

    def jobs(self) -> Collection[Object]:
        return self._reflector.values()

    def subscribe(self, name: str, listener: Listener) -> Callable[[], None]:
        self._listeners.setdefault(name, set()).add(listener)

        def stop() -> None:
            listeners = self._listeners.get(name, set())
            listeners.discard(listener)
            if not listeners:
                self._listeners.pop(name, None)

        return stop

    def synced(self) -> bool:
        return self._reflector.synced.is_set()

    def age(self) -> float:
        return self._reflector.age()

    async def run(self) -> None:
        await self._reflector.run()

    def _changed(self, key: tuple[str, str], _old: Object | None, new: Object | None) -> None:
        for listener in tuple(self._listeners.get(key[1], ())):
            listener(new)


class JobFeed:
    """One slot between the read model and a slow client: what was not fetched yet is replaced by what is newer.

    The end is never replaced: the client must learn of it, also when the job's TTL deletes it at once, and when
    another job takes the name of one that is gone.
    """

    def __init__(self) -> None:
        self._fresh = asyncio.Event()
        self._value: Object | None = None

    def put(self, value: Object | None) -> None:
        """Replace the value; None means that the job is gone."""
        if self._fresh.is_set() and (self._value is None or has_ended(self._value)):
            return
        self._value = value
        self._fresh.set()

    async def next(self) -> Object | None:
        """Wait for a value that was not fetched yet."""
        await self._fresh.wait()
        self._fresh.clear()
        return self._value


def has_ended(job: Object) -> bool:
    """Whether the job can never change again."""
    return job.get("status", {}).get("state") in FINISHED_STATES
