"""Which of job, phase, pipeline and built-in default holds for each setting of a phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from audiojob_operator.records.settings import Revision
from audiojob_types.descriptor import TaskParameters
from audiojob_types.ordering import DEFAULT_PRIORITY
from audiojob_types.parameters import resolve_parameters
from audiojob_types.resources.job import AudioJobSpec, Retry
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase

DEFAULT_TTL_SECONDS: Final = 86_400
DEFAULT_INTERMEDIATE_SECONDS: Final = 604_800
_INTERMEDIATES_EXPIRE_SINCE: Final = 1  # contract
# Revisions now name their default; those stored before they did go on with what it was then.
_RETRY_OF_OLD_REVISIONS: Final = Retry(limit=3, base_seconds=2, cap_seconds=600)


def effective_device(spec: AudioJobSpec, phase: Phase) -> str:
    """Auto, GPU or CPU. The job's wish acts only on phases that may use a GPU, and whose task can."""
    if phase.device == "CPU" or not phase.task.descriptor.uses_gpu:
        return "CPU"
    return spec.device or phase.device


def effective_retry(spec: AudioJobSpec, phase: Phase, pipeline: AudioPipelineSpec) -> Retry:
    """The retry policy of one phase of one job, as a whole from the strongest layer that has one."""
    return spec.retry or phase.retry or pipeline.retry or _RETRY_OF_OLD_REVISIONS


def effective_priority(spec: AudioJobSpec, pipeline: AudioPipelineSpec | None) -> int:
    """1 to 10; 10 is the most urgent."""
    return spec.priority or (pipeline.priority if pipeline else None) or DEFAULT_PRIORITY


def effective_deadline_seconds(spec: AudioJobSpec, pipeline: AudioPipelineSpec | None) -> int | None:
    """Seconds from the job's start; None is no deadline."""
    return spec.active_deadline_seconds or (pipeline.active_deadline_seconds if pipeline else None)


def effective_ttl_seconds(spec: AudioJobSpec, pipeline: AudioPipelineSpec | None) -> int:
    """Seconds from the job's end until it is deleted; 0 is at once."""
    for value in (spec.ttl_seconds_after_finished, pipeline.ttl_seconds_after_finished if pipeline else None):
        if value is not None:
            return value
    return DEFAULT_TTL_SECONDS


def retention_seconds(revision: Revision, phase: Phase) -> int | None:
    """How long what the phase publishes is kept; None is for ever.

    What is only there for later phases has a default. Revisions from before contract 1 were stored without one.
    """
    pipeline = revision.spec
    kept = pipeline.intermediate_retention_seconds
    if kept is None and revision.contract >= _INTERMEDIATES_EXPIRE_SINCE:
        kept = DEFAULT_INTERMEDIATE_SECONDS
    limits = [pipeline.retention_seconds, kept if is_intermediate(pipeline, phase) else None]
    return min((each for each in limits if each is not None), default=None)


def is_intermediate(pipeline: AudioPipelineSpec, phase: Phase) -> bool:
    """Whether the phase's outputs only serve later phases of the pipeline. A phase that nobody reads has results."""
    read = any(binding.from_ == phase.name for other in pipeline.phases for binding in other.inputs)
    return read and phase.task.descriptor.intermediate


def phase_parameters(spec: AudioJobSpec, phase: Phase) -> TaskParameters:
    """The phase's parameters with every field set. Raises ``InvalidParameters`` naming the field."""
    key = phase.task.parameter_key
    layers: list[dict[str, Any] | None] = [(source.parameters or {}).get(key) for source in (phase, spec)]
    if phase.task.descriptor.runs_program:
        return resolve_parameters(phase.task, layers[0], _known_values(phase, layers[1]))
    return resolve_parameters(phase.task, *layers)


def program_defaults(phase: Phase) -> dict[str, Any]:
    """The values that a Container phase has a default for: the only ones that a job may set."""
    values: dict[str, Any] = ((phase.parameters or {}).get(phase.task.parameter_key) or {}).get("values") or {}
    return values


def _known_values(phase: Phase, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a job gives for this phase; the rest of its values are for other Container phases of the pipeline."""
    values = (given or {}).get("values")
    if given is None or not isinstance(values, dict):
        return given
    return {**given, "values": {name: value for name, value in values.items() if name in program_defaults(phase)}}


def phases_before(pipeline: AudioPipelineSpec, phase: Phase) -> tuple[str, ...]:
    """Names of the phases that must have succeeded before ``phase`` starts: ``after``, else the one before it."""
    return before_among([other.name for other in pipeline.phases], phase)


def before_among(names: Sequence[str], phase: Phase) -> tuple[str, ...]:
    """The same, where ``names`` are those of the pipeline's phases in its order; none where the phase is not there."""
    if phase.after is not None:
        return phase.after
    index = names.index(phase.name) if phase.name in names else 0
    return (names[index - 1],) if index else ()
