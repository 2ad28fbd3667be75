"""One reconcile of one AudioJob: gather, decide, apply."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

from audiojob_operator.admission.admitter import Admitter, Reservation
from audiojob_operator.building.names import event_name
from audiojob_operator.deciding.attempts.used import attempts_used
from audiojob_operator.deciding.decide import decide
from audiojob_operator.deciding.transitions import phase_transitions, status_after
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.errors import RefusedError, StatusRefusedError
from audiojob_operator.reconciling.gather import Gatherer
from audiojob_operator.reconciling.workqueue import WorkQueue
from audiojob_operator.records.changes import clip
from audiojob_operator.records.objects import Key
from audiojob_operator.records.observed import Observed
from audiojob_operator.records.plan import EventRecord, JobRef, Plan
from audiojob_operator.records.settings import Revision
from audiojob_operator.state.jobstore import Known
from audiojob_operator.state.refusals import Refused
from audiojob_types.reasons import Reason
from audiojob_types.resources.metadata import Metadata

_log = logging.getLogger(__name__)

# Those that ended well are looked at again by the sweep; a timer for each of them would be memory for nothing.
# Failed Jobs are kept ten minutes.
_LONGEST_TIMER_OF_FINISHED_SECONDS = 660.0
_UNTIL_PODS_ARE_GONE_SECONDS = 2.0  # no event of ours comes when a pod goes whose Job went before
_MAX_ANSWER = 500  # characters, so that a message has room for what to do


class Reconciler:
    """AudioJobs as a controller's kind. ``queue`` takes the jobs that wait for the end of another."""

    def __init__(
        self, queue: WorkQueue[Key], gatherer: Gatherer, applier: Applier, admitter: Admitter, metrics: Metrics
    ) -> None:
        self._queue = queue
        self._gatherer = gatherer
        self._applier = applier
        self._admitter = admitter
        self._metrics = metrics

    async def reconcile(self, key: Key, /) -> float | None:
        """Bring one AudioJob a step forward. Returns the seconds until it must be looked at again, if ever."""
        known = await self._gatherer.known(key)
        for orphan in self._gatherer.orphans(key, known.uid if known else None):
            metadata = orphan["metadata"]
            await self._applier.delete_job(JobRef(metadata["name"], metadata["uid"]), key[0])
        if known is None:
            self._wake_dependents(key)
            return None
        if self._gatherer.is_foreign(known):
            return None
        if (refused := self._gatherer.given_up(key, known)) is not None:
            return await self._let_go(key, known, refused)
        with self._admitter.reservation(key, known) as reservation:
            if reservation.admission is None:
                return None  # woken by the scheduling cycle that answers
            observed = await self._gatherer.observe(key, known, reservation.admission)
            try:
                return await self._step(key, known, observed, reservation)
            except StatusRefusedError as error:
                refused = self._gatherer.refused(key, known, str(error))
                if refused is None:
                    raise
        return await self._let_go(key, known, refused)

    async def refresh(self, key: Key, /) -> bool:
        """Read the AudioJob again. Returns whether it is newer than the cached one, or gone."""
        before = await self._gatherer.known(key)
        after = await self._gatherer.read(key)
        newer = before is None or after is None or before.version != after.version
        if before is not None and not newer:
            self._gatherer.refused(key, before, "409 Conflict: the status does not fit the stored object")
        return newer

    async def _step(self, key: Key, known: Known, observed: Observed, reservation: Reservation) -> float | None:
        plan = decide(observed, datetime.now(UTC))
        while plan.asks:
            answers = dict(observed.reuse or {})
            for wanted in plan.asks:
                answers[wanted.key] = reservation.take(wanted.key, await self._gatherer.answer(key, wanted))
            observed = replace(observed, reuse=answers)
            plan = decide(observed, datetime.now(UTC))
        if not plan.empty:
            _log.debug("%s/%s: %s", *key, plan)
        try:
            await self._applier.apply(plan, observed.job.metadata)
        except RefusedError as error:
            _log.warning("%s/%s: %s", *key, error)
            plan = decide(replace(observed, refused=error.refusal), datetime.now(UTC))
            await self._applier.apply(plan, observed.job.metadata)
        self._count(observed, plan)
        if plan.state is not None and plan.state.finished:
            self._wake_dependents(key)
        finished = known.finished or (plan.state is not None and plan.state.finished)
        if finished and (plan.requeue_after or 0) > _LONGEST_TIMER_OF_FINISHED_SECONDS:
            return None
        return plan.requeue_after

    async def _let_go(self, key: Key, known: Known, refused: Refused) -> float | None:
        """Work no more on a job whose status cannot be written. Its slot is free when nothing is left of its work."""
        about = Metadata.model_validate(known.raw["metadata"])
        name = event_name(key[1], known.uid, f"{Reason.STATUS_REFUSED}/{refused.essence}", "", 0)
        await self._applier.tell(EventRecord(name, "Warning", Reason.STATUS_REFUSED, _refusal(refused)), about)
        for ref in self._gatherer.present(key, known.uid):
            await self._applier.delete_job(ref, key[0])
        return _UNTIL_PODS_ARE_GONE_SECONDS if self._gatherer.let_go(key) else None

    def _wake_dependents(self, key: Key) -> None:
        """Jobs whose source this one makes must learn that it has ended, or that it is gone."""
        for dependent in self._gatherer.ended(key):
            self._queue.add(dependent)

    def _count(self, observed: Observed, plan: Plan) -> None:
        """Statistics, from what was recorded."""
        if plan.status is None:
            return
        job, before = observed.job, observed.raw_status
        created = job.metadata.creation_timestamp or datetime.now(UTC)
        eligible = max(created, job.spec.start_time or created)
        after = status_after(before, plan.status)
        transitions = phase_transitions(before, after, eligible)
        self._metrics.record(job.spec.pipeline, transitions)
        if isinstance(observed.revision, Revision):
            tasks = {phase.name: phase.task.value for phase in observed.revision.spec.phases}
            for used in attempts_used(transitions, observed.children, tasks, datetime.now(UTC)):
                self._metrics.attempt_used(used)


def _refusal(refused: Refused) -> str:
    """What became of the job, for people."""
    answer = clip(refused.message, _MAX_ANSWER).rstrip(".")
    return (
        f"The API server has refused the job's status {refused.count} times in a row: {answer}. Nothing more is done "
        "for the job, and others get its slot. Delete it, or correct what the answer names: each change of its spec, "
        "labels or annotations brings one more try."
    )
