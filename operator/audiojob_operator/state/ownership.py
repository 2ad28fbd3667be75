"""Which AudioJobs an operator takes up: those of its namespaces, and elsewhere those that nobody speaks about.

Several operators may share a cluster, each with namespaces of its own. All of them see every AudioJob, and two that
wrote about the same one would answer each other for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from enum import Enum, auto
from typing import Final

from audiojob_kube.objects import Object, key_of, resource_version_of
from audiojob_operator.records.objects import Key
from audiojob_operator.state.jobstore import JobStore
from audiojob_operator.state.projections import trim_audiojob
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import FINISHED_STATES

PATIENCE_SECONDS: Final = 5.0
"""How long another operator has to say something about a job before we say that its namespace is not prepared."""


class Concern(Enum):
    """What an AudioJob is to this operator."""

    OURS = auto()
    """In one of its namespaces; or elsewhere, and it says that nothing runs there, or it has ended without a start."""
    UNANSWERED = auto()
    """Elsewhere, and nobody has looked at it as it is now."""
    FOREIGN = auto()
    """Elsewhere, and somebody else speaks about it."""


def concern(obj: Object, namespaces: Collection[str]) -> Concern:
    """Judge one AudioJob by its namespace and by what its status says."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata["namespace"] in namespaces:
        return Concern.OURS
    if status.get("pipelineRevision"):
        return Concern.FOREIGN  # it has begun under other eyes, which alone see its Jobs
    waits = any(entry.get("reason") == Reason.NAMESPACE_NOT_PREPARED for entry in status.get("conditions") or ())
    if waits or status.get("state") in FINISHED_STATES:
        return Concern.OURS
    answered = status.get("observedGeneration") == metadata.get("generation", 0)
    return Concern.FOREIGN if answered else Concern.UNANSWERED


class Intake:
    """Puts AudioJobs into the store, wherever they come from. For one event loop."""

    def __init__(
        self, store: JobStore, namespaces: Collection[str], patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._store = store
        self._namespaces = frozenset(namespaces)
        self._patience_seconds = patience_seconds
        self._unanswered: dict[Key, Object] = {}  # the newest version that came
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def put(self, obj: Object) -> bool:
        """Take over one version of an unfinished AudioJob. Returns whether it is followed, and newer than known."""
        key = key_of(obj)
        known = self._store.get(key)
        match concern(obj, self._namespaces):
            case Concern.UNANSWERED if known is None:
                self._wait(key, obj)
                return False
            case Concern.FOREIGN:
                self._answered(key)
                version = resource_version_of(obj)
                if known is not None and known.version <= version:
                    self._store.gone(key, version=version)
                return False
            case _:
                self._answered(key)
                return self._store.put(obj)

    def left(self, obj: Object) -> None:
        """The watch says that an AudioJob is finished or deleted."""
        key = key_of(obj)
        self._answered(key)
        if key[0] in self._namespaces or self._store.get(key) is not None:
            self._store.left(obj)

    def _wait(self, key: Key, obj: Object) -> None:
        before = self._unanswered.get(key)
        if before is None:
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(self._patience_seconds, self._take_up, key)
        if before is None or resource_version_of(before) <= resource_version_of(obj):
            self._unanswered[key] = trim_audiojob(obj)

    def _take_up(self, key: Key) -> None:
        del self._timers[key]
        self._store.put(self._unanswered.pop(key))

    def _answered(self, key: Key) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
            del self._unanswered[key]
