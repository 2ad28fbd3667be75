"""From the situation to the plan: status patch, Jobs, events, and when to look again."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from audiojob_operator.building.names import event_name
from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.policies.ttl import expiry, expiry_of, failed_job_expiry
from audiojob_operator.deciding.revisions import revision_object
from audiojob_operator.deciding.status import Situation, conditions_for, is_finished, status_patch
from audiojob_operator.records.changes import clip, updated
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observed import Observed, Parked
from audiojob_operator.records.plan import EventRecord, JobRef, Plan
from audiojob_operator.records.settings import Revision
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJob, AudioJobStatus, PhaseState, State

_SOONEST_SECONDS: Final = 0.1
_AGAIN: Final = "The operator looks at it again every ten minutes, after each change of it, and when it starts."


def make_plan(draft: Draft, situation: Situation) -> Plan:
    """What brings an unfinished job to ``situation``."""
    observed = draft.observed
    job, ended = observed.job, situation.state.finished
    running = (each for each in draft.phases.values() if each.state is PhaseState.RUNNING)
    live = frozenset() if ended else frozenset({*((each.name, each.attempt) for each in running), *draft.kept})
    leftovers, expiries = _leftovers(observed, live, draft.now)
    # One that has ended is looked at again when its time to live has passed.
    wakes = [expiry_of(job.spec, draft.revision, draft.now)] if ended else draft.wakes
    wakes = [*wakes, *expiries]
    create_revision = None
    if draft.revision is not None and draft.revision_is_new:
        create_revision = revision_object(draft.revision, job.metadata.namespace)
    return Plan(
        create_revision=create_revision,
        create_jobs=tuple(draft.jobs),
        create_early=draft.early_job,
        events=tuple(draft.events),
        status=status_patch(
            job.metadata.uid,
            observed.raw_status,
            _status(draft, situation),
            draft.percent(done=situation.state is State.SUCCEEDED),
            job.metadata.resource_version,
        ),
        tell=() if ended else tuple(draft.tellings),
        tell_workers=() if ended else tuple(draft.work_tellings),
        delete_jobs=leftovers,
        requeue_after=_seconds(min(wakes), draft.now) if wakes else None,
        state=situation.state,
        rest=draft.rest,
        bind=() if ended else tuple(draft.bindings),
        waits=() if ended else tuple(draft.worker_waits),
        own_jobs=tuple(draft.own_jobs),
        hung=tuple(draft.hung_workers),
    )


def plan_for_deleted(observed: Observed, now: datetime) -> Plan:
    """A deleted job holds no slot any more, so its work ends: a finalizer would keep it and its Jobs for ever."""
    return Plan(delete_jobs=_leftovers(observed, frozenset(), now)[0])


def plan_for_finished(observed: Observed, now: datetime) -> Plan:
    """A finished job is not written again: its leftovers go, and it goes itself when its time to live is over.

    Where the operator runs no jobs it deletes none: there people remove theirs.
    """
    pipeline = observed.revision.spec if isinstance(observed.revision, Revision) else None
    wait = observed.settings.archive_wait_seconds
    end = expiry(observed.job, pipeline, wait) if observed.namespace_prepared else None
    expired = end is not None and now >= end
    leftovers, expiries = _leftovers(observed, frozenset(), now)
    wakes = expiries if end is None else (*expiries, end)
    return Plan(
        delete_jobs=leftovers,
        delete_self=expired,
        requeue_after=None if expired or not wakes else _seconds(min(wakes), now),
        state=observed.job.status.state,
    )


def plan_for_parked(parked: Parked, now: datetime) -> Plan:
    """What is done without a decision for a job on which the operator fails (``state.faults`` says why).

    It is told; what has not come to work ends, or all that people want to end; the slot goes back once nothing works.
    """
    job = parked.job
    spec, ended = job.spec, is_finished(job) or job.metadata.deletion_timestamp is not None
    unwanted = ended or spec.cancel or spec.suspend
    keeps_status = ended or parked.at_work or not parked.prepared
    return Plan(
        events=(_fault_event(job, parked.what),),
        status=None if keeps_status else _without_slot(parked, now),
        delete_jobs=tuple(each.ref for each in parked.live if unwanted or not each.on_node),
    )


def _status(draft: Draft, situation: Situation) -> AudioJobStatus:
    job, bound = draft.observed.job, draft.revision
    metadata = job.metadata
    return AudioJobStatus(
        observed_generation=metadata.generation,
        state=situation.state,
        conditions=conditions_for(situation, job.status.conditions, metadata.generation, draft.now),
        start_time=draft.start_time,
        completion_time=draft.now if situation.state.finished else None,
        message=clip(situation.message),
        waiting_for=situation.waiting_for,
        phase=draft.current_phase or job.status.phase,
        node_name=draft.node_name,
        wait_start_time=situation.waiting_since,
        pipeline_revision=bound.name if bound else job.status.pipeline_revision,
        source=draft.source,
        output_prefix=draft.folder if bound else job.status.output_prefix,
        phases=tuple(draft.phases.values()),
        outputs=tuple(draft.outputs),
        warnings=tuple(draft.warnings),
        error=situation.error,
    )


def _leftovers(
    observed: Observed, live: frozenset[tuple[str, int]], now: datetime
) -> tuple[tuple[JobRef, ...], tuple[datetime, ...]]:
    """Jobs that run although their attempt is over, and failed ones whose time has passed; when that of others will."""
    own = [child for child in observed.children if not (child.deleting or child.worker)]
    over = [child for child in own if (child.phase, child.attempt) not in live]
    kept = observed.settings.failed_job_seconds
    ends = {child.job_name: failed_job_expiry(child, kept) for child in over}
    gone = [child for child in over if not child.finished or _is_past(ends[child.job_name], now)]
    ahead = tuple(end for end in ends.values() if end is not None and end > now)
    return tuple(JobRef(name=child.job_name, uid=child.job_uid) for child in gone), ahead


def _is_past(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now


def _seconds(moment: datetime, now: datetime) -> float:
    return max(_SOONEST_SECONDS, (moment - now).total_seconds())


def _fault_event(job: AudioJob, what: str) -> EventRecord:
    """One for each fault, however often the operator meets it."""
    name = event_name(job.metadata.name, job.metadata.uid, f"{Reason.OPERATOR_FAULT}/{what}", "", 0)
    message = (
        f"The operator fails on this job again and again, by a fault of its own: {what}. Nothing new is begun for it; "
        f"what runs goes on, and then others get its slot. {_AGAIN} Report the fault with the traceback of its log."
    )
    return EventRecord(name, "Warning", Reason.OPERATOR_FAULT, message)


def _without_slot(parked: Parked, now: datetime) -> tuple[Object, ...] | None:
    """The status of a job that waits as before its start: it holds no slot, and its clock stands still."""
    job = parked.job
    message = f"The operator fails on this job, by a fault of its own: {parked.what}. {_AGAIN} Tell the administrator."
    situation = Situation(State.QUEUED, Reason.OPERATOR_FAULT, message, admitted=False)
    status = updated(
        job.status,
        {
            "state": situation.state,
            "conditions": conditions_for(situation, job.status.conditions, job.metadata.generation, now),
            "message": message,
            "start_time": None,
            "waiting_for": None,
            "wait_start_time": None,
        },
    )
    return status_patch(job.metadata.uid, parked.raw_status, status, job.status.percent)
