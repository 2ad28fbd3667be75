"""When a job may start: keeps the result of the admission pass, and counts those that are about to start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import ValidationError

from audiojob_operator.admission import admit
from audiojob_operator.jobstore import JobStore, Known
from audiojob_operator.model import Admission, AdmissionSnapshot, Candidate, Key
from audiojob_operator.resolve import effective_priority
from audiojob_types.job import AudioJob
from audiojob_types.pipeline import AudioPipeline
from audiojob_types.reasons import Reason

_SHORTEST_PAUSE_SECONDS = 0.05
_COST_FACTOR = 20  # at most 1/20 of the time goes into passes
_ADMITTED = Admission(True)
_NOT_ASKED = Admission(False, Reason.QUEUE_FULL, "The job has not asked for a place yet.")


class Gate:
    """One serial pass over all waiting jobs, repeated when something changed, but not for each change.

    `pipeline_of(name)` finds a pipeline for the default priority; `may_start(job, now)` is false for jobs that wait
    for something else than a place. `wake(key)` is called for a job whose admission changed.
    """

    def __init__(
        self,
        store: JobStore,
        max_running: int | None,
        pipeline_of: Callable[[str], AudioPipeline | None],
        namespaces: frozenset[str],
        wake: Callable[[Key], None],
    ) -> None:
        self._store = store
        self._max_running = max_running
        self._pipeline_of = pipeline_of
        self._namespaces = namespaces
        self._wake = wake
        self._result: dict[Key, Admission] = {}
        self._assumed: set[Key] = set()
        self._dirty = True
        self._not_before = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def admission(self, key: Key, known: Known) -> Admission | None:
        """The job's admission, or None while it has not been through a pass (it is woken after the next one).

        An admitted job that has not started counts as started until `settle` is called for it.
        """
        if self._max_running is None or known.status.get("startTime") or known.finished:
            return _ADMITTED
        if not self._wants_to_start(key, known.job, datetime.now(UTC)):
            return _NOT_ASKED  # no pass will ever look at it, and the decision rests on what it waits for
        if key not in self._result or not self._result[key].admitted:
            self._pass_if_due()
        found = self._result.get(key)
        if found is not None and found.admitted:
            self._assumed.add(key)
        return found

    def settle(self, key: Key) -> None:
        """A round over the job has ended: whether it holds a place is told by its status alone from now on."""
        self._assumed.discard(key)
        self.touch()

    def touch(self) -> None:
        """Something changed that admission may depend on."""
        if self._max_running is None:
            return
        self._dirty = True
        if self._timer is None:
            delay = max(0.0, self._not_before - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._pass_if_due()

    def _pass_if_due(self) -> None:
        began = time.monotonic()
        if not self._dirty:
            return
        if began < self._not_before:
            self.touch()
            return
        before = self._result
        now = datetime.now(UTC)
        candidates = tuple(found for key, known in self._store.active() if (found := self._candidate(key, known, now)))
        self._result = admit(AdmissionSnapshot(candidates, self._max_running))
        self._dirty = False
        self._not_before = began + max(_SHORTEST_PAUSE_SECONDS, _COST_FACTOR * (time.monotonic() - began))
        for key, admission in self._result.items():
            earlier = before.get(key)
            if earlier is None or earlier.admitted != admission.admitted:
                self._wake(key)

    def _candidate(self, key: Key, known: Known, now: datetime) -> Candidate | None:
        try:
            job = known.job
        except ValidationError:
            return None  # told when its own turn comes
        started = job.status.start_time is not None
        if not started and not self._wants_to_start(key, job, now):
            return None
        pipeline = self._pipeline_of(job.spec.pipeline)
        return Candidate(
            key=key,
            priority=effective_priority(job.spec, pipeline.spec if pipeline else None),
            created=job.metadata.creation_timestamp or now,
            holds_slot=started or key in self._assumed,
        )

    def _wants_to_start(self, key: Key, job: AudioJob, now: datetime) -> bool:
        spec = job.spec
        ready = not spec.suspend and not spec.cancel and (spec.start_time is None or spec.start_time <= now)
        return ready and key[0] in self._namespaces and self._pipeline_of(spec.pipeline) is not None
