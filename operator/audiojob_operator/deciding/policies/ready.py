"""Which phases could start now, and what they would need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from audiojob_operator.building.precedence import effective_device, phases_before
from audiojob_operator.deciding.policies.blocker import Blocker, Facts, blocker
from audiojob_operator.records.admission import GpuRequest, kind_of_workers
from audiojob_types.contract import Device
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJobSpec, PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase


def ready_phases(pipeline: AudioPipelineSpec, phases: Mapping[str, PhaseStatus]) -> list[Phase]:
    """Phases that wait for nothing but their own turn: all before them have succeeded."""

    def done(name: str) -> bool:
        return name in phases and phases[name].state is PhaseState.SUCCEEDED

    def waits(name: str) -> bool:
        return name not in phases or phases[name].state is PhaseState.WAITING

    def needed(phase: Phase) -> set[str]:
        # A result that was given back is made again, also for those who have only read it.
        again = {
            binding.from_ for binding in phase.inputs if binding.from_ in phases and phases[binding.from_].reuse_off
        }
        return again.union(phases_before(pipeline, phase))

    return [phase for phase in pipeline.phases if waits(phase.name) and all(done(name) for name in needed(phase))]


def can_go_on(pipeline: AudioPipelineSpec, facts: Facts, now: datetime) -> bool:
    """Whether a slot would be of use: something runs, or nothing that only people or other jobs can end blocks it."""
    if any(record.state is PhaseState.RUNNING or record.told_ahead for record in facts.phases.values()):
        return True
    blockers = (blocker(phase, facts, now) for phase in ready_phases(pipeline, facts.phases))
    return any(found is None or found.needs_slot for found in blockers)


def lacks_all_models(pipeline: AudioPipelineSpec, facts: Facts, now: datetime) -> Blocker | None:
    """The first of what blocks a job whose ready phases all need a model that is on its way; None for other jobs."""
    blockers = [blocker(phase, facts, now) for phase in ready_phases(pipeline, facts.phases)]
    missing = [found for found in blockers if found is not None and found.reason is Reason.MODEL_MISSING]
    return missing[0] if missing and len(missing) == len(blockers) else None


def gpu_requests(
    pipeline: AudioPipelineSpec, facts: Facts, eligible: datetime, now: datetime
) -> tuple[GpuRequest, ...]:
    """What the ready phases would ask of the GPUs. ``eligible``: since when a job that never started could have."""
    requests = []
    for phase in ready_phases(pipeline, facts.phases):
        wish = effective_device(facts.spec, phase)
        record = facts.phases.get(phase.name)
        if wish == "CPU" or (wish == "Auto" and record and record.device is Device.CPU):
            continue
        if record is not None and record.told_ahead:
            continue  # it has them
        found = blocker(phase, facts, now)
        if found is not None and not found.needs_slot:
            continue
        not_before = found.until if found else None
        since = (record.gpu_wait_start_time if record else None) or eligible
        own = GpuRequest(
            gpus=phase.gpus,
            must=wish == "GPU",
            until=None if wish == "GPU" else since + timedelta(seconds=phase.gpu_wait_seconds),
            not_before=not_before,
            resource=phase.gpu.resource_name if phase.gpu is not None else None,
        )
        requests.append(_with_worker(own, phase, record, facts))
    return tuple(requests)


def _with_worker(own: GpuRequest, phase: Phase, record: PhaseStatus | None, facts: Facts) -> GpuRequest:
    """The GPUs that come with a worker, for a phase that may have one: it asks for none that its pool could use.

    Once a decision has found that it does not suit the pool, it waits for a GPU as others do.
    """
    gpus = facts.gpu_pools.get(phase.worker_pool.name) if phase.worker_pool is not None else None
    if phase.worker_pool is None or gpus is None or (record is not None and record.gpu_wait_start_time is not None):
        return own
    return replace(own, gpus=gpus, resource=kind_of_workers(phase.worker_pool.name))


def gpus_soon(spec: AudioJobSpec, pipeline: AudioPipelineSpec, phases: Mapping[str, PhaseStatus]) -> int:
    """The most GPUs of the site that the job could ask for in its next step, whatever became of its running phases.

    Phases that name others ask for them in a scheduling cycle.
    """
    near = (PhaseState.SUCCEEDED, PhaseState.RUNNING)

    def may_be_done(name: str) -> bool:
        return name in phases and phases[name].state in near

    def may_use_gpu(phase: Phase) -> bool:
        wish, record = effective_device(spec, phase), phases.get(phase.name)
        # With Auto, one that has come to the CPU stays there.
        return wish == "GPU" or (wish == "Auto" and (record is None or record.device is not Device.CPU))

    return sum(
        phase.gpus
        for phase in pipeline.phases
        if may_use_gpu(phase)
        and (phase.gpu is None or phase.gpu.resource_name is None)
        and (phase.name not in phases or phases[phase.name].state in (PhaseState.WAITING, PhaseState.RUNNING))
        and all(may_be_done(name) for name in phases_before(pipeline, phase))
    )


def by_name(phases: Iterable[PhaseStatus]) -> dict[str, PhaseStatus]:
    """Records by the name of their phase."""
    return {record.name: record for record in phases}
