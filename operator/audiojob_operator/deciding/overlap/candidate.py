"""Which phase may begin early: a plain successor of the one that works, of which all is known but its inputs."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from audiojob_operator.building.inputs import FROM_JOB
from audiojob_operator.building.precedence import effective_device, phases_before
from audiojob_operator.deciding.attempts.device import DeviceRequest, GpuSupply, Use, choose_device
from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.policies.models import lacks_model
from audiojob_operator.deciding.reuse.keys import may_take
from audiojob_operator.records.observation import PhaseObservation, Running
from audiojob_operator.records.workers import why_no_worker
from audiojob_types.contract import Device
from audiojob_types.resources.job import PhaseState
from audiojob_types.resources.pipeline import Phase

CONTRACT: Final = 3  # of runners that wait for their inputs
_MOST: Final = 2  # early attempts of a phase: the second where the first began too soon


def plain_successor(draft: Draft) -> tuple[Phase, PhaseObservation] | None:
    """The one phase that waits for nothing but the one that works, and the Job of that."""
    running = [name for name, record in draft.phases.items() if record.state is PhaseState.RUNNING]
    before = draft.child(running[0], draft.phases[running[0]].attempt) if len(running) == 1 else None
    if before is None:
        return None
    next_ones = [phase for phase in draft.pipeline.phases if _waits_only_for(draft, phase, before.phase)]
    return (next_ones[0], before) if len(next_ones) == 1 else None


def _waits_only_for(draft: Draft, phase: Phase, before: str) -> bool:
    if draft.phases[phase.name].state is not PhaseState.WAITING:
        return False
    read = {binding.from_ for binding in phase.inputs if binding.from_ != FROM_JOB}
    after = set(phases_before(draft.pipeline, phase))
    done = {name for name in after | read if draft.phases[name].state is PhaseState.SUCCEEDED}
    return before in after and (after | read) - done == {before}


def is_suited(draft: Draft, phase: Phase, before: PhaseObservation) -> bool:
    """Whether nothing of the phase is open but what the phase before makes, and its pod may find room."""
    observed, record, pool = draft.observed, draft.phases[phase.name], phase.worker_pool
    task = phase.task.descriptor
    models = observed.models
    return (
        draft.revision is not None
        and draft.revision.contract >= CONTRACT
        and phase.overlap != "Never"
        and phase.name not in observed.without_room
        and phase.gate is None
        and (pool is None or why_no_worker(observed.pools.get(pool.name)) is not None)
        and not (task.fetches or task.runs_program)
        and record.attempt == 0  # the inputs of a retry are there
        and phase.resources.memory_per_minute is None  # the length of its inputs is not
        and observed.kueue_local_queue is None
        and not (models is not None and lacks_model(observed.job.spec, phase, models.unready))
        and not _may_be_reused(draft, phase, before)
    )


def _may_be_reused(draft: Draft, phase: Phase, before: PhaseObservation) -> bool:
    """Whether another job may have done the work.

    Not where nobody has done that of the phase before: what it makes is new. Nobody knows that where it has no key.
    """
    if draft.observed.reuse is None or not may_take(draft.observed.job.spec, phase, draft.phases[phase.name]):
        return False
    return before.donor is not None or draft.phases[before.phase].reuse_key is None


def is_at_work(before: PhaseObservation) -> bool:
    """Whether the phase before works on a node, or its container is just being made, and nobody takes it from there."""
    pod = before.pod
    return (
        isinstance(before.outcome, Running)
        and not before.deleting
        and pod is not None
        and pod.node_name is not None
        and pod.terminating_until is None
        and (pod.waiting is None or not pod.waiting.shown)
    )


def is_due(draft: Draft, phase: Phase, before: PhaseObservation) -> bool:
    """Whether to begin now: the phase before is nearly done, as far as it tells. Looks again when it may be.

    A first early attempt does not wait for word of it: short phases have ended before they tell.
    """
    record = draft.phases[phase.name]
    begun = (record.early_attempt or 0) - record.attempt
    eta = eta_seconds(draft, before)
    if begun >= _MOST or (eta is None and begun > 0):
        return False
    lead = draft.observed.settings.overlap.lead_seconds
    if eta is not None and eta > lead:
        draft.wake(draft.now + timedelta(seconds=eta - lead))
        return False
    return True


def eta_seconds(draft: Draft, before: PhaseObservation) -> int | None:
    """How long the phase before says that it still needs; a hint, which may be wrong."""
    report = draft.observed.job.status.progress.get(before.phase)
    return report.eta_seconds if report is not None and report.attempt == before.attempt else None


def chosen_device(draft: Draft, phase: Phase, supply: GpuSupply) -> Use | None:
    """Where the phase would run if it began now; None where it would wait for a GPU, or may not hold one."""
    observed = draft.observed
    wanted = DeviceRequest(effective_device(observed.job.spec, phase), phase, observed.settings.gpu.resource_of(phase))
    found = choose_device(wanted, draft.phases[phase.name], supply, draft.now)
    if not isinstance(found, Use):
        return None
    return None if found.device is Device.GPU and observed.settings.overlap.gpu == "Never" else found
