"""A backend in memory: what Kubernetes would answer, without one."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from audiojob_api.access.authorizer import Identity
from audiojob_api.access.rights import Right
from audiojob_api.app import Backend
from audiojob_api.files.ports import Call
from audiojob_api.jobs.listing.paging import Count, LiveIndex, Page, paging
from audiojob_api.jobs.listing.query import Filter, Query, Where
from audiojob_api.jobs.listing.rows import JobRow, row_of
from audiojob_api.jobs.listing.steps import at_once
from audiojob_api.jobs.ports import Listener, NamespaceJobs
from audiojob_api.problems import Problem, unavailable
from audiojob_kube.errors import AlreadyExists, Conflict, NotFound
from audiojob_types.resources.pipeline import AudioPipelineSpec

Object = dict[str, Any]

GOOD_TOKEN = "good-token"
READER_TOKEN = "reader-token"
LABELS = ("team", "example.com/song")


class MemoryBackend:
    """Jobs in a dict, two known tokens, and counters of what was asked."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.objects: dict[str, Object] = {}
        self.reviews = 0
        self.users = {GOOD_TOKEN: "system:serviceaccount:team:caller", READER_TOKEN: "reader"}
        self.verbs: dict[str, Collection[str]] = {"reader": {"get", "list"}}
        self.hidden: set[str | None] = set()
        self.reachable = {"team"}
        self.asked: list[Right] = []
        self.failure: Exception | None = None
        self.review_failure: Exception | None = None
        self.is_synced = True
        self.seconds_old = 1.0
        self.pipelines = MemoryPipelines()
        self._listeners: dict[str, list[Listener]] = {}
        self._version = 0

    def backend(self) -> Backend:
        """All protocols at once."""
        jobs = NamespaceJobs(reader=self, live=self, writer=self)
        return Backend(self, {"team": jobs}, self, pipelines=self.pipelines)

    async def review_token(self, token: str, audience: str) -> Identity | None:
        self.reviews += 1
        if self.review_failure:
            raise self.review_failure
        return Identity(self.users[token]) if audience == "audiojob-api" and token in self.users else None

    async def may(self, identity: Identity, namespace: str, right: Right) -> bool:
        self.asked.append(right)
        if namespace not in self.reachable:
            return False
        verbs = self.verbs.get(identity.username, frozenset({"create", "get", "list", "update"}))
        return right.verb in verbs and right.name not in self.hidden

    async def create(self, job: Object) -> Object:
        if self.failure:
            raise self.failure
        name = job["metadata"]["name"]
        if name in self.objects:
            raise AlreadyExists(409, "AlreadyExists", f"{name} exists")
        return self.store(job)

    async def change(self, name: str, uid: str, operations: Sequence[Object]) -> Object:
        """Tests and additions of whole fields, as far as JSON Patch is used here."""
        if self.failure:
            raise self.failure
        job = copy.deepcopy(await self.read(name))
        if job["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "The job has changed meanwhile; look at it again.")
        for operation in operations:
            part, field = operation["path"].strip("/").split("/")
            if operation["op"] == "add":
                job[part][field] = operation["value"]
            elif job[part].get(field) != operation["value"]:
                raise Conflict(409, "Conflict", "The job has changed meanwhile; look at it again.")
        return self.store(job)

    async def read(self, name: str) -> Object:
        if name not in self.objects:
            raise NotFound(404, "NotFound", f"{name} is not there")
        return self.objects[name]

    async def find(self, name: str) -> Object | None:
        if name not in self.objects:
            self._require_synced()
        return self.objects.get(name)

    async def page(self, query: Query) -> Page:
        self._require_synced()
        return at_once(paging(query, self._index().find(query)))

    async def count(self, wanted: Filter, where: Where) -> Count:
        self._require_synced()
        return self._index().count(wanted)

    def _index(self) -> LiveIndex:
        index = LiveIndex()
        for row in self.jobs():
            index.change(None, row)
        return index

    def _require_synced(self) -> None:
        if not self.is_synced:
            raise unavailable("The list of jobs is not complete yet.")

    def jobs(self) -> Collection[JobRow]:
        return [row_of(job, LABELS) for job in self.objects.values()]

    def may_have_key(self, digest: str) -> bool:
        return self._index().may_have_key(digest)

    def subscribe(self, name: str, listener: Listener) -> Callable[[], None]:
        listeners = self._listeners.setdefault(name, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def listeners(self, name: str) -> int:
        """How many streams follow a job."""
        return len(self._listeners.get(name, ()))

    def synced(self) -> bool:
        return self.is_synced

    def age(self) -> float:
        return self.seconds_old

    async def run(self) -> None:
        await asyncio.Event().wait()

    # What happens in the cluster without the API.

    def store(self, job: Object) -> Object:
        """Keep a new version of a job and notify its followers."""
        self._version += 1
        stored = copy.deepcopy(job)
        stored.setdefault("status", {"state": "Pending", "percent": 0})
        defaults = {"uid": str(uuid.uuid4()), "creationTimestamp": f"2026-01-01T00:00:{self._version:02d}Z"}
        stored["metadata"] = {**defaults, **stored["metadata"], "resourceVersion": str(self._version)}
        self.objects[stored["metadata"]["name"]] = stored
        self._notify(stored["metadata"]["name"], stored)
        return stored

    def put(self, name: str, **status: Any) -> Object:
        """Make or change a job with this status."""
        job = self.objects.get(
            name, {"metadata": {"name": name}, "spec": {"pipeline": "separate", "queueName": "default"}}
        )
        return self.store({**job, "status": {"state": "Pending", "percent": 0, **status}})

    def remove(self, name: str) -> None:
        """Delete a job."""
        del self.objects[name]
        self._notify(name, None)

    def _notify(self, name: str, job: Object | None) -> None:
        for listener in tuple(self._listeners.get(name, ())):
            listener(job)


class MemoryPipelines:
    """Pipelines in a dict."""

    def __init__(self) -> None:
        self.known: dict[str, AudioPipelineSpec] = {}

    def put(self, name: str, *phases: Object, **spec: Any) -> AudioPipelineSpec:
        """A pipeline of these phases."""
        self.known[name] = AudioPipelineSpec.model_validate({"phases": list(phases), **spec})
        return self.known[name]

    async def find(self, name: str) -> AudioPipelineSpec | None:
        return self.known.get(name)


@dataclass
class Content:
    """A file as the files service would answer."""

    content: bytes
    headers: Mapping[str, str]
    status: int = 200

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.content

    async def read(self, limit: int) -> bytes:
        assert len(self.content) <= limit
        return self.content


class MemoryFiles:
    """A files service over a dict of keys and contents."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[Content]:
        if call.key not in self.contents:
            raise Problem(404, "not-found", "There is no such file.")
        content = self.contents[call.key]
        yield Content(content, {"Content-Type": call.claims["type"], "Content-Length": str(len(content))})

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass

    def publish(self, phase: str, outputs: Mapping[str, bytes], **metadata: Any) -> Object:
        """A phase's files, and its row of a status. ``metadata`` is of the first output."""
        rows = [
            {
                "name": name, "file": f"{name}.bin", "mediaType": "audio/midi", "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(), "metadata": {} if number else metadata,
            }
            for number, (name, content) in enumerate(outputs.items())
        ]  # fmt: skip
        manifest = json.dumps({
            "apiVersion": "audiojobs.dev/v1alpha1", "job": "song", "namespace": "team", "uid": "u", "phase": phase,
            "attempt": 1, "task": "Engrave", "fingerprint": "0" * 64, "outputs": rows,
            "createdTime": "2026-11-29T00:00:00Z", "metadata": {},
        }).encode()  # fmt: skip
        self.contents |= {f"team/{phase}/manifest.json": manifest}
        self.contents |= {f"team/{phase}/{name}.bin": content for name, content in outputs.items()}
        digest = hashlib.sha256(manifest).hexdigest()
        ref = {"key": f"team/{phase}/manifest.json", "sha256": digest, "count": len(rows)}
        return {"name": phase, "attempt": 1, "state": "Succeeded", "manifest": ref}
