"""AudioJobs that cannot be worked on: their status is refused for good, or the operator itself fails on them.

Neither holds a slot for ever, and no slot goes to another job while something of theirs may still be at work.
"""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Final

from audiojob_operator.admission.admitter import Admitter
from audiojob_operator.building.names import event_name
from audiojob_operator.deciding.plan import plan_for_parked
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.records.changes import clip
from audiojob_operator.records.objects import Key, Object
from audiojob_operator.records.observed import LiveJob, Parked
from audiojob_operator.records.plan import EventRecord, JobRef
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.faults import PAUSE, Fault, is_due
from audiojob_operator.state.jobstore import Known
from audiojob_operator.state.projections import controller, job_is_finished
from audiojob_operator.state.refusals import Refused
from audiojob_operator.state.reuse_index import ReuseIndex
from audiojob_types.reasons import Reason
from audiojob_types.resources.metadata import Metadata

_MAX_ANSWER: Final = 500  # characters, so that a message has room for what to do


class GivingUp:
    """Decides who is worked on no more, and cleans up after them."""

    def __init__(self, caches: Caches, admitter: Admitter, applier: Applier, reuse: ReuseIndex | None) -> None:
        self._caches = caches
        self._admitter = admitter
        self._applier = applier
        self._reuse = reuse

    # ---------------------------------------------------------------- a status that is refused

    def given_up(self, key: Key, known: Known) -> Refused | None:
        """Why nothing more is to be done for the job; None for nearly all."""
        return self._caches.given_up(key, known)

    def refused(self, key: Key, known: Known, message: str) -> Refused | None:
        """Its status was refused for good. Returns that refusal if it is given up now."""
        if not known.finished:  # one that has ended holds nothing
            self._caches.refusals.add(key, known.raw, message)
        return self.given_up(key, known)

    async def let_go(self, key: Key, known: Known, refused: Refused) -> None:
        """Work no more on a job whose status cannot be written. Its slot is free when nothing is left of its work."""
        about = Metadata.model_validate(known.raw["metadata"])
        name = event_name(key[1], known.uid, f"{Reason.STATUS_REFUSED}/{refused.essence}", "", 0)
        await self._applier.tell(EventRecord(name, "Warning", Reason.STATUS_REFUSED, _refusal(refused)), about)
        for job in self._present(key, known.uid):
            await self._applier.delete_job(_ref(job), key[0])
        self._caches.workers.waits(key, ())
        self._tell_others(key)

    # ---------------------------------------------------------------- a fault of ours

    def failed(self, key: Key, error: Exception) -> float | None:
        """The operator has failed on the job. Returns when to look again, in seconds; None: after a backoff."""
        known = self._caches.audiojobs.get(key)
        if known is None:
            return None
        was_parked = self._caches.faults.of(key, known.uid) is not None
        fault = self._caches.faults.add(key, known.raw, place_of(error), datetime.now(UTC))
        if fault.until is None:
            return None
        self._tell_others(key)
        return PAUSE.total_seconds() if was_parked else 0.0

    def parked(self, key: Key, known: Known) -> Fault | None:
        """Why the job is parked. One that is due is not, from now on: its next failure parks it again."""
        fault = self._caches.faults.of(key, known.uid)
        if fault is None or not is_due(fault, known.raw, datetime.now(UTC)):
            return fault
        self._caches.faults.resume(key)
        return None

    async def park(self, key: Key, known: Known, fault: Fault) -> float:
        """Do what can be done for a parked job without a decision. Returns the seconds until it is looked at again."""
        now, cache = datetime.now(UTC), self._caches.namespaces.get(key[0])
        jobs = self._present(key, known.uid) if cache is not None else []
        live = [
            LiveJob(_ref(job), on_node=cache is not None and cache.is_on_node(job))
            for job in jobs
            if not job_is_finished(job)
        ]
        job = known.job
        at_work = self._caches.has_work(key)
        parked = Parked(job, known.status, fault.what, live, at_work, prepared=cache is not None)
        await self._applier.apply(plan_for_parked(parked, now), job.metadata)
        self._caches.workers.waits(key, ())
        self._tell_others(key)
        assert fault.until is not None, "a parked job has a time"
        return max(0.0, (fault.until - now).total_seconds())

    def decided(self, key: Key, *, admitted: bool) -> None:
        """The operator has decided on the job without a failure; one that was not ``admitted`` could begin nothing."""
        if admitted:
            self._caches.faults.forget(key)

    # ---------------------------------------------------------------- both

    def _present(self, key: Key, uid: str) -> list[Object]:
        """The Jobs of this very AudioJob that nobody has asked to end yet; those that have ended among them."""
        cache = self._caches.namespaces.get(key[0])
        jobs = cache.jobs_of(key[1]) if cache else []
        return [job for job in jobs if controller(job).get("uid") == uid and "deletionTimestamp" not in job["metadata"]]

    def _tell_others(self, key: Key) -> None:
        """Tell admission, and those that wait for the same work."""
        self._admitter.changed(key)
        if self._reuse is not None:
            self._reuse.gone(key)


def place_of(error: Exception) -> str:
    """A name for a fault: its class and the line of ours that it came through. What it says may be about secrets."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        parts = PurePath(frame.filename).parts
        ours = [number for number, part in enumerate(parts) if part.startswith("audiojob_")]
        if ours:
            return f"{type(error).__name__} in {'/'.join(parts[ours[-1] :])}, line {frame.lineno}"
    return type(error).__name__


def _ref(job: Object) -> JobRef:
    return JobRef(job["metadata"]["name"], job["metadata"]["uid"])


def _refusal(refused: Refused) -> str:
    """What became of the job, for people."""
    answer = clip(refused.message, _MAX_ANSWER).rstrip(".")
    return (
        f"The API server has refused the job's status {refused.count} times in a row: {answer}. Nothing more is done "
        "for the job, and others get its slot. Delete it, or correct what the answer names: each change of its spec, "
        "labels or annotations brings one more try."
    )
