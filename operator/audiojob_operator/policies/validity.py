"""Whether a job fits its pipeline: everything that can be said before any Job is created."""

from __future__ import annotations

from audiojob_operator.build.inputs import FROM_JOB, source_file
from audiojob_operator.invalid import InvalidSpecError
from audiojob_operator.libraries import Library, destination_library, source_library
from audiojob_operator.resolve import left_out_phases, phase_parameters
from audiojob_types.contract import Task
from audiojob_types.job import AudioJob
from audiojob_types.pipeline import AudioPipelineSpec


def check_spec(job: AudioJob, pipeline: AudioPipelineSpec, libraries: tuple[Library, ...] = ()) -> None:
    """Raises ``InvalidSpecError`` or ``InvalidParameters``, naming the field to correct."""
    _check_destination(job, pipeline)
    left_out = left_out_phases(job.spec, pipeline)
    for phase in pipeline.phases:
        phase_parameters(job.spec, phase)
        if phase.name in left_out:
            continue
        for binding in phase.inputs:
            if binding.from_ == FROM_JOB:
                source_file(job, phase, binding)
            elif binding.from_ in left_out and not binding.optional:
                raise InvalidSpecError(
                    "spec.destination", f"phase {phase.name} reads what {binding.from_} publishes; name a destination"
                )
    source_library(libraries, job.metadata.namespace, job.spec)
    destination_library(libraries, job.metadata.namespace, job.spec)
    tasks = {phase.task.parameter_key: phase.task for phase in pipeline.phases}
    for key in job.spec.parameters or {}:
        if key not in tasks:
            raise InvalidSpecError(
                f"parameters.{key}",
                f"pipeline {job.spec.pipeline} has no phase for it; it takes {', '.join(sorted(tasks))}",
            )


def _check_destination(job: AudioJob, pipeline: AudioPipelineSpec) -> None:
    """A destination and phases that publish go together."""
    publishing = [phase for phase in pipeline.phases if phase.task is Task.PUBLISH]
    if job.spec.destination is not None and not publishing:
        raise InvalidSpecError(
            "spec.destination",
            f"pipeline {job.spec.pipeline} has no phase that publishes; leave destination out, then publish the "
            "results with pipeline publish and source.jobRef",
        )
    if job.spec.destination is None and len(publishing) == len(pipeline.phases):
        raise InvalidSpecError("spec.destination", f"pipeline {job.spec.pipeline} only publishes; name a library")
