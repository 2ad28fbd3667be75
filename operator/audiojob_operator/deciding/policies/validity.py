"""Whether a job fits its pipeline: everything that can be said before any Job is created."""

from __future__ import annotations

from typing import Final

from audiojob_operator.building.handed_in import Reviews
from audiojob_operator.building.inputs import FROM_JOB, job_file
from audiojob_operator.building.precedence import effective_device, phase_parameters, program_defaults
from audiojob_operator.building.program import program_of
from audiojob_operator.deciding.revisions import left_out_phases
from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_operator.records.libraries import Library, destination_library, source_library
from audiojob_operator.records.settings import SiteGpu
from audiojob_types.contract import ALL_OUTPUTS, MAX_TEXTS_BYTES
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase, PhaseInputBinding
from audiojob_types.resources.source import input_problem, text_bytes

_ANY_GPU: Final = SiteGpu()


def check_spec(
    job: AudioJob, pipeline: AudioPipelineSpec, libraries: tuple[Library, ...] = (), gpu: SiteGpu = _ANY_GPU
) -> None:
    """Raises ``InvalidSpecError`` or ``InvalidParameters``, naming the field to correct."""
    _check_destination(job, pipeline)
    left_out = left_out_phases(job.spec, pipeline)
    for phase in pipeline.phases:
        phase_parameters(job.spec, phase)
        if phase.name in left_out:
            continue
        program_of(phase)
        _check_gpus(job, phase, gpu)
        _check_bindings(job, phase, left_out)
    _check_inputs(job, pipeline)
    _check_values(job, pipeline)
    _check_reviews(job, pipeline)
    source_library(libraries, job.metadata.namespace, job.spec)
    destination_library(libraries, job.metadata.namespace, job.spec)
    tasks = {phase.task.parameter_key: phase.task for phase in pipeline.phases}
    for key in job.spec.parameters or {}:
        if key not in tasks:
            raise InvalidSpecError(
                f"parameters.{key}",
                f"pipeline {job.spec.pipeline} has no phase for it; it takes {', '.join(sorted(tasks))}",
            )


def _check_bindings(job: AudioJob, phase: Phase, left_out: frozenset[str]) -> None:
    """What the phase reads can be had."""
    for binding in phase.inputs:
        if binding.output == ALL_OUTPUTS:
            _check_wildcard(phase, binding)
        elif binding.from_ == FROM_JOB:
            file = job_file(job, phase, binding)
            if phase.task.descriptor.runs_program and file is not None and file.url is not None:
                raise InvalidSpecError(
                    "spec.source.url",
                    f"phase {phase.name} of pipeline {job.spec.pipeline} runs a program, which fetches nothing; "
                    "use a pipeline that downloads first, or give source.object",
                )
        if binding.from_ in left_out and not binding.optional:
            raise InvalidSpecError(
                "spec.destination", f"phase {phase.name} reads what {binding.from_} publishes; name a destination"
            )


def _check_wildcard(phase: Phase, binding: PhaseInputBinding) -> None:
    """Inputs of names that nobody knows before are for tasks that take any, and outputs' names for no folder."""
    field = f"pipeline.phases[{phase.name}].inputs[{binding.name}].output"
    if all(given.name != "*" for given in phase.task.descriptor.inputs):
        raise InvalidSpecError(field, f"must name one: {phase.task.value} knows its inputs by their names")
    if phase.task.descriptor.runs_program and binding.from_ != FROM_JOB:
        raise InvalidSpecError(field, "must name one: a program finds its inputs by the names in the pipeline")


def _check_gpus(job: AudioJob, phase: Phase, gpu: SiteGpu) -> None:
    """Two shares may be the same GPU, and each would think that all its memory is its own."""
    if phase.gpus > 1 and gpu.is_shared(phase) and effective_device(job.spec, phase) != "CPU":
        raise InvalidSpecError(
            "spec.device",
            f"phase {phase.name} of pipeline {job.spec.pipeline} asks for {phase.gpus} GPUs, which may be the same "
            f"one, as {gpu.resource_of(phase)} is shared; use device CPU, or ask the administrator to set gpus to 1",
        )


def _check_inputs(job: AudioJob, pipeline: AudioPipelineSpec) -> None:
    """Each input beside the source is asked for, and small enough: admission counted characters, these are bytes."""
    asked = {
        binding.output
        for phase in pipeline.phases
        for binding in phase.inputs
        if binding.from_ == FROM_JOB and binding.output is not None
    }
    total = 0
    for given in job.spec.inputs:
        if given.name not in asked and ALL_OUTPUTS not in asked:
            takes = ", ".join(sorted(asked)) or "none"
            raise InvalidSpecError(
                f"spec.inputs[{given.name}]", f"pipeline {job.spec.pipeline} asks for no such input; it takes {takes}"
            )
        if (problem := input_problem(given)) is not None:
            raise InvalidSpecError(f"spec.inputs[{given.name}]{problem[0]}", problem[1])
        total += text_bytes(given)
        if total > MAX_TEXTS_BYTES:
            raise InvalidSpecError(
                f"spec.inputs[{given.name}].text",
                f"all texts must have at most {MAX_TEXTS_BYTES} bytes; upload longer ones and use object",
            )


def _check_reviews(job: AudioJob, pipeline: AudioPipelineSpec) -> None:
    """What a job brings along for a gate that is to come can be used there."""
    for wrong in Reviews.of(job.spec, pipeline).passed_over:
        raise InvalidSpecError(f"spec.reviews[{wrong.index}].{wrong.field}", wrong.why)
    gates = [phase.name for phase in pipeline.phases if phase.gate]
    for index, review in enumerate(job.spec.reviews):
        if review.handed_in and review.phase not in gates:
            raise InvalidSpecError(
                f"spec.reviews[{index}].phase",
                f"pipeline {job.spec.pipeline} has no such phase with a gate; it has {', '.join(gates) or 'none'}",
            )


def _check_values(job: AudioJob, pipeline: AudioPipelineSpec) -> None:
    """A value for a program must be one that some phase has a default for; else it would be lost without a word."""
    known: dict[str, set[str]] = {}
    for phase in pipeline.phases:
        if phase.task.descriptor.runs_program:
            known.setdefault(phase.task.parameter_key, set()).update(program_defaults(phase))
    for key, names in known.items():
        given = ((job.spec.parameters or {}).get(key) or {}).get("values") or {}
        for name in given:
            if name not in names:
                raise InvalidSpecError(
                    f"parameters.{key}.values.{name}",
                    f"pipeline {job.spec.pipeline} knows no such value; it knows {', '.join(sorted(names)) or 'none'}",
                )


def _check_destination(job: AudioJob, pipeline: AudioPipelineSpec) -> None:
    """A destination and phases that publish go together."""
    publishing = [phase for phase in pipeline.phases if phase.task.descriptor.publishes]
    if job.spec.destination is not None and not publishing:
        raise InvalidSpecError(
            "spec.destination",
            f"pipeline {job.spec.pipeline} has no phase that publishes; leave destination out, then publish the "
            "results with pipeline publish and source.jobRef",
        )
    if job.spec.destination is None and len(publishing) == len(pipeline.phases):
        raise InvalidSpecError("spec.destination", f"pipeline {job.spec.pipeline} only publishes; name a library")
