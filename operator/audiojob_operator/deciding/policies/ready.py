"""Which phases could start now, and what they would need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from audiojob_operator.building.precedence import effective_device, phases_before
from audiojob_operator.deciding.policies.models import lacks_model
from audiojob_operator.deciding.policies.review import needs_review
from audiojob_operator.records.admission import GpuRequest
from audiojob_types.contract import Device
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


def can_go_on(
    spec: AudioJobSpec,
    pipeline: AudioPipelineSpec,
    phases: Mapping[str, PhaseStatus],
    unready: frozenset[str] = frozenset(),
    at_others: frozenset[str] = frozenset(),
) -> bool:
    """Whether a place would be of any use: something runs, or may start without somebody's review, without a model of
    ``unready``, and without the result of another job, as phases ``at_others`` cannot.
    """
    if any(record.state is PhaseState.RUNNING for record in phases.values()):
        return True
    return any(
        phase.name not in at_others and not needs_review(spec, phase) and not lacks_model(spec, phase, unready)
        for phase in ready_phases(pipeline, phases)
    )


def gpu_requests(
    spec: AudioJobSpec,
    pipeline: AudioPipelineSpec,
    phases: Mapping[str, PhaseStatus],
    eligible: datetime,
    unready: frozenset[str] = frozenset(),
) -> tuple[GpuRequest, ...]:
    """What the ready phases would ask of the GPUs. ``eligible`` is since when a job that never started could have;
    ``unready`` are models that are not there yet.
    """
    requests = []
    for phase in ready_phases(pipeline, phases):
        wish = effective_device(spec, phase)
        record = phases.get(phase.name)
        if wish == "CPU" or needs_review(spec, phase) or (wish == "Auto" and record and record.device is Device.CPU):
            continue
        if lacks_model(spec, phase, unready):
            continue
        since = (record.gpu_wait_start_time if record else None) or eligible
        requests.append(
            GpuRequest(
                gpus=phase.gpus,
                must=wish == "GPU",
                until=None if wish == "GPU" else since + timedelta(seconds=phase.gpu_wait_seconds),
                not_before=record.next_attempt_time if record else None,
            )
        )
    return tuple(requests)


def gpus_soon(spec: AudioJobSpec, pipeline: AudioPipelineSpec, phases: Mapping[str, PhaseStatus]) -> int:
    """The most GPUs that the job could ask for in its next step, whatever became of its running phases."""
    near = (PhaseState.SUCCEEDED, PhaseState.RUNNING)

    def may_be_done(name: str) -> bool:
        return name in phases and phases[name].state in near

    return sum(
        phase.gpus
        for phase in pipeline.phases
        if effective_device(spec, phase) != "CPU"
        and (phase.name not in phases or phases[phase.name].state in (PhaseState.WAITING, PhaseState.RUNNING))
        and all(may_be_done(name) for name in phases_before(pipeline, phase))
    )


def by_name(phases: Iterable[PhaseStatus]) -> dict[str, PhaseStatus]:
    """Records by the name of their phase."""
    return {record.name: record for record in phases}
