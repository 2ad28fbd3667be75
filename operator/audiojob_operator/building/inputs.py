"""A phase's input bindings, resolved: where each file comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_types.contract import ALL_OUTPUTS, PhaseInputFile
from audiojob_types.resources.job import AudioJob, JobOutput, PhaseStatus, ResolvedSource
from audiojob_types.resources.pipeline import Phase, PhaseInputBinding
from audiojob_types.resources.source import SOURCE_KINDS, ObjectSource, SideInput, Source, is_relative

FROM_JOB = "Job"


def uploads_prefix(namespace: str) -> str:
    """The folder of the store that users upload into."""
    return f"{namespace}/uploads"


def phase_inputs(
    job: AudioJob,
    phase: Phase,
    phases: Mapping[str, PhaseStatus],
    outputs: Sequence[JobOutput],
    resolved: ResolvedSource | None = None,
    handed: Mapping[str, SideInput] = MappingProxyType({}),
) -> tuple[PhaseInputFile, ...]:
    """The inputs of an attempt. Earlier phases that are bound must have succeeded; ``resolved`` is what
    spec.source.jobRef led to; ``handed`` are inputs, by their names, that a review has handed in.

    Raises :class:`InvalidSpecError` for a binding that leads nowhere.
    """
    files = list[PhaseInputFile]()
    for binding in phase.inputs:
        file: PhaseInputFile | None
        if binding.output == ALL_OUTPUTS and binding.from_ == FROM_JOB:
            files += _other_files(job, phase, binding)
            continue
        if (given := handed.get(binding.name)) is not None:
            file = _given_file(job, binding, given, f"spec.reviews[].inputs[{given.name}]")
        elif binding.from_ == FROM_JOB:
            file = job_file(job, phase, binding, resolved)
        else:
            file = _phase_file(phase, binding, phases, outputs)
        if file is not None:
            files.append(file)
    _check_names(phase, files)
    return tuple(files)


def _other_files(job: AudioJob, phase: Phase, wildcard: PhaseInputBinding) -> list[PhaseInputFile]:
    """The job's inputs that the phase does not name, each under its own name."""
    named = {binding.output for binding in phase.inputs if binding.from_ == FROM_JOB}
    bindings = ((given, wildcard.model_copy(update={"name": given.name})) for given in job.spec.inputs)
    return [
        _given_file(job, binding, given, f"spec.inputs[{given.name}]")
        for given, binding in bindings
        if given.name not in named
    ]


def _check_names(phase: Phase, files: Sequence[PhaseInputFile]) -> None:
    """Inputs of a job may be called anything; a phase knows each of its inputs by another name."""
    seen = set[str]()
    for file in files:
        if file.name in seen:
            raise InvalidSpecError(
                f"spec.inputs[{file.name}]", f"phase {phase.name} has another input of that name; call it otherwise"
            )
        seen.add(file.name)


def input_durations(
    phase: Phase,
    outputs: Sequence[JobOutput],
    source: ResolvedSource | None,
    handed: Mapping[str, SideInput] = MappingProxyType({}),
) -> tuple[int | None, ...]:
    """How long the phase's inputs play, in milliseconds; None where nobody measured."""
    found: list[int | None] = []
    for binding in phase.inputs:
        if binding.name in handed:
            found.append(None)
            continue
        if binding.from_ == FROM_JOB:
            found.append(source.duration_milliseconds if source and binding.output is None else None)
        else:
            found += [
                output.duration_milliseconds
                for output in outputs
                if output.phase == binding.from_ and binding.output in (None, ALL_OUTPUTS, output.name)
            ]
    return tuple(found)


def job_file(
    job: AudioJob, phase: Phase, binding: PhaseInputBinding, resolved: ResolvedSource | None = None
) -> PhaseInputFile | None:
    """The job's source, or the one of its inputs that the binding names. None where that is optional and absent, or
    another job has yet to make it."""
    if binding.output is not None:
        return _side_file(job, phase, binding, binding.output)
    source = job.spec.source
    if source is None:
        if binding.optional:
            return None
        raise InvalidSpecError(
            "spec.source",
            f"phase {phase.name} of pipeline {job.spec.pipeline} needs a source; give one of {', '.join(SOURCE_KINDS)}",
        )
    if [source.url, source.object, source.library, source.job_ref].count(None) != 3:
        raise InvalidSpecError("spec.source", f"must have exactly one of {', '.join(SOURCE_KINDS)}")
    if source.job_ref is not None:
        if resolved is None:
            return None
        about = _only_about(phase, binding)
        return PhaseInputFile(
            name=binding.name,
            manifest=resolved.manifest,
            output=resolved.output,
            about=about,
            recorded_sha256=resolved.sha256,
        )
    return _source_input(job.metadata.namespace, binding.name, source)


def _source_input(namespace: str, name: str, source: Source) -> PhaseInputFile:
    if source.library is not None:
        path = _relative(source.library.path, "spec.source.library.path")
        return PhaseInputFile(name=name, key=path, library=source.library.name)
    if source.object is None:
        return PhaseInputFile(name=name, url=source.url)
    return PhaseInputFile(name=name, key=_upload_key(namespace, "spec.source.object.key", source.object))


def _side_file(job: AudioJob, phase: Phase, binding: PhaseInputBinding, wanted: str) -> PhaseInputFile | None:
    given: SideInput | None = next((each for each in job.spec.inputs if each.name == wanted), None)
    if given is None:
        if binding.optional:
            return None
        raise InvalidSpecError(
            "spec.inputs",
            f"phase {phase.name} of pipeline {job.spec.pipeline} needs an input {wanted}; "
            f"give inputs: [{{name: {wanted}, text: …}}]",
        )
    return _given_file(job, binding, given, f"spec.inputs[{wanted}]")


def _given_file(job: AudioJob, binding: PhaseInputBinding, given: SideInput, field: str) -> PhaseInputFile:
    if given.object is not None:
        key = _upload_key(job.metadata.namespace, f"{field}.object.key", given.object)
        return PhaseInputFile(name=binding.name, key=key)
    return PhaseInputFile(name=binding.name, text=given.text or "")


def _upload_key(namespace: str, field: str, upload: ObjectSource) -> str:
    return f"{uploads_prefix(namespace)}/{_relative(upload.key, field)}"


def _relative(path: str, field: str) -> str:
    """Admission refuses other paths too; a key becomes a path, so nothing rests on one check alone."""
    if not is_relative(path):
        raise InvalidSpecError(field, "must be a relative path such as albums/song.flac, without '..'")
    return path


def _phase_file(
    phase: Phase, binding: PhaseInputBinding, phases: Mapping[str, PhaseStatus], outputs: Sequence[JobOutput]
) -> PhaseInputFile | None:
    record = phases.get(binding.from_)
    if record is None or record.manifest is None:
        if binding.optional:
            return None
        raise InvalidSpecError(
            f"pipeline.phases[{phase.name}].inputs[{binding.name}].from",
            f"phase {binding.from_} has no results; let {phase.name} run after it",
        )
    names = [output.name for output in outputs if output.phase == binding.from_]
    complete = len(names) == record.manifest.count
    if binding.output == ALL_OUTPUTS:
        return PhaseInputFile(name=binding.name, manifest=record.manifest, output=ALL_OUTPUTS)
    if binding.output is not None:
        if binding.optional and complete and binding.output not in names:
            return None
        output = binding.output
    elif complete and len(names) == 1:
        output = names[0]
    else:
        raise InvalidSpecError(
            f"pipeline.phases[{phase.name}].inputs[{binding.name}].output",
            f"phase {binding.from_} has {record.manifest.count} outputs; name one of them",
        )
    about = _only_about(phase, binding)
    # Status lists the first outputs only: of others the manifest's own hash is all that is recorded.
    known = [each.sha256 for each in outputs if (each.phase, each.name) == (binding.from_, output)]
    return PhaseInputFile(
        name=binding.name,
        manifest=record.manifest,
        output=output,
        about=about,
        recorded_sha256=known[0] if known else None,
    )


def _only_about(phase: Phase, binding: PhaseInputBinding) -> Literal[True] | None:
    return True if phase.task.descriptor.reads_metadata_only(binding.name) else None
