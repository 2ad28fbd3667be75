"""One reconcile of one AudioJob: gather, decide, apply."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

from audiojob_operator.admission.admitter import Admitter, Reservation
from audiojob_operator.deciding.attempts.used import attempts_used, times_held
from audiojob_operator.deciding.decide import decide
from audiojob_operator.deciding.transitions import phase_transitions, status_after
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.reconciling.bound import without_seats
from audiojob_operator.reconciling.errors import (
    EarlyRefusedError,
    RefusedError,
    StatusRefusedError,
    UntoldError,
)
from audiojob_operator.reconciling.gather import Gatherer
from audiojob_operator.reconciling.giving_up import GivingUp
from audiojob_operator.reconciling.workqueue import WorkQueue
from audiojob_operator.records.objects import Key
from audiojob_operator.records.observed import Observed
from audiojob_operator.records.plan import JobRef, Plan
from audiojob_operator.records.settings import Revision
from audiojob_operator.state.jobstore import Known

_log = logging.getLogger(__name__)

# Those that ended well are looked at again by the sweep; a timer for each of them would be memory for nothing.
# Failed Jobs are kept ten minutes.
_LONGEST_TIMER_OF_FINISHED_SECONDS = 660.0
_UNTOLD_AGAIN_SECONDS = 0.2


class Reconciler:
    """AudioJobs as a controller's kind. ``queue`` takes the jobs that wait for the end of another."""

    def __init__(
        self,
        queue: WorkQueue[Key],
        gatherer: Gatherer,
        applier: Applier,
        admitter: Admitter,
        giving_up: GivingUp,
        metrics: Metrics,
    ) -> None:
        self._queue = queue
        self._gatherer = gatherer
        self._applier = applier
        self._admitter = admitter
        self._giving_up = giving_up
        self._metrics = metrics

    async def reconcile(self, key: Key, /) -> float | None:
        """Bring one AudioJob a step forward. Returns the seconds until it must be looked at again, if ever."""
        if await self._applier.settle(key):
            self._admitter.release(key)  # what was kept for it, or for nothing
        if self._gatherer.workers.holds(key):  # nobody knows whether the status that binds a seat was written
            await self._gatherer.read(key)
            self._gatherer.workers.release(key)
        known = await self._gatherer.known(key)
        for orphan in self._gatherer.orphans(key, known.uid if known else None):
            metadata = orphan["metadata"]
            await self._applier.delete_job(JobRef(metadata["name"], metadata["uid"]), key[0])
        if known is None:
            self._wake_dependents(key)
            return None
        if self._gatherer.is_foreign(known):
            return None
        if (refused := self._giving_up.given_up(key, known)) is None:
            try:
                return await self._work_on(key, known)
            except StatusRefusedError as error:
                refused = self._giving_up.refused(key, known, str(error))
                if refused is None:
                    raise
        await self._giving_up.let_go(key, known, refused)
        return None

    async def _work_on(self, key: Key, known: Known) -> float | None:
        if (fault := self._giving_up.parked(key, known)) is not None:
            return await self._giving_up.park(key, known, fault)
        with self._admitter.reservation(key, known) as reservation:
            if reservation.admission is None:
                return None  # woken by the scheduling cycle that answers
            observed = await self._gatherer.observe(key, known, reservation.admission)
            try:
                again = await self._step(key, known, observed, reservation)
            finally:
                if not self._applier.is_unanswered(key):
                    self._gatherer.workers.release(key)
                if self._applier.may_have_made(key):
                    reservation.keep()
            self._giving_up.decided(key, admitted=reservation.admission.admitted)
            return again

    async def refresh(self, key: Key, /) -> bool:
        """Read the AudioJob again. Returns whether it is newer than the cached one, or gone."""
        before = await self._gatherer.known(key)
        after = await self._gatherer.read(key)
        newer = before is None or after is None or before.version != after.version
        if before is not None and not newer:
            self._giving_up.refused(key, before, "409 Conflict: the status does not fit the stored object")
        return newer

    def failed(self, key: Key, error: Exception, /) -> float | None:
        """A fault of ours: after several of them in a row the job is parked."""
        return self._giving_up.failed(key, error)

    async def _step(self, key: Key, known: Known, observed: Observed, reservation: Reservation) -> float | None:
        plan = decide(observed, datetime.now(UTC))
        while plan.asks:
            answers = dict(observed.reuse or {})
            for wanted in plan.asks:
                answers[wanted.key] = reservation.take(wanted.key, await self._gatherer.answer(key, wanted))
            observed = replace(observed, reuse=answers)
            plan = decide(observed, datetime.now(UTC))
        if not self._gatherer.workers.take(key, plan):
            observed, plan = self._with_other_seats(key, observed)
        if plan.create_early is not None and not reservation.begin_early(observed.settings.overlap.max_pods):
            observed = replace(observed, may_begin_early=False)
            plan = decide(observed, datetime.now(UTC))
        if not plan.empty:
            _log.debug("%s/%s: %s", *key, plan)
        again = plan.requeue_after
        try:
            await self._applier.apply(plan, observed.job.metadata)
        except UntoldError as error:
            _log.info("%s/%s: %s", *key, error)
            again = _UNTOLD_AGAIN_SECONDS
        except EarlyRefusedError as error:
            _log.info("%s/%s: no pod begins early: %s", *key, error)
            self._gatherer.refuse_early(observed.job.metadata.uid, for_good=error.for_good)
            return 0.0
        except RefusedError as error:
            _log.warning("%s/%s: %s", *key, error)
            plan = decide(replace(observed, refused=error.refusal), datetime.now(UTC))
            reservation.rest(plan.rest)
            await self._applier.apply(plan, observed.job.metadata)
            again = plan.requeue_after
        self._count(observed, plan)
        if plan.state is not None and plan.state.finished:
            self._wake_dependents(key)
        finished = known.finished or (plan.state is not None and plan.state.finished)
        return None if finished and (again or 0) > _LONGEST_TIMER_OF_FINISHED_SECONDS else again

    def _with_other_seats(self, key: Key, observed: Observed) -> tuple[Observed, Plan]:
        """Decide again on the pools as they are now; without a seat where that one is taken too."""
        fresh = self._gatherer.pools(observed.job, observed.revision, observed.pipeline)
        observed = replace(observed, pools=fresh)
        plan = decide(observed, datetime.now(UTC))
        if not self._gatherer.workers.take(key, plan):
            observed = replace(observed, pools=without_seats(fresh))
            plan = decide(observed, datetime.now(UTC))
            self._gatherer.workers.take(key, plan)
        return observed, plan

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
        for held in times_held(before, after, observed.children, datetime.now(UTC)):
            self._metrics.attempt_held(held)
        self._metrics.pools.own_jobs(plan.own_jobs)
        if isinstance(observed.revision, Revision):
            phases = observed.revision.spec.phases
            pools = {phase.name: phase.worker_pool.name for phase in phases if phase.worker_pool is not None}
            self._metrics.pools.record(job.metadata.namespace, pools, transitions)
            for used in attempts_used(transitions, observed.children, phases, datetime.now(UTC)):
                self._metrics.attempt_used(used)
