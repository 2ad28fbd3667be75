"""Whether a job fits its pipeline: everything that can be said before any Job is created."""

from __future__ import annotations

from audiojob_operator.build.inputs import FROM_JOB, source_file
from audiojob_operator.invalid import InvalidSpecError
from audiojob_operator.resolve import phase_parameters
from audiojob_types.job import AudioJob
from audiojob_types.pipeline import AudioPipelineSpec


def check_spec(job: AudioJob, pipeline: AudioPipelineSpec) -> None:
    """Raises ``InvalidSpecError`` or ``InvalidParameters``, naming the field to correct."""
    for phase in pipeline.phases:
        phase_parameters(job.spec, phase)
        for binding in phase.inputs:
            if binding.from_ == FROM_JOB:
                source_file(job, phase, binding)
    tasks = {phase.task.parameter_key: phase.task for phase in pipeline.phases}
    for key in job.spec.parameters or {}:
        if key not in tasks:
            raise InvalidSpecError(
                f"parameters.{key}",
                f"pipeline {job.spec.pipeline} has no phase for it; it takes {', '.join(sorted(tasks))}",
            )
