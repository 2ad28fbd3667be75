"""A phase's input bindings, resolved: where each file comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audiojob_operator.invalid import InvalidSpecError
from audiojob_types.contract import PhaseInputFile
from audiojob_types.job import AudioJob, JobOutput, PhaseStatus, Source
from audiojob_types.pipeline import Phase, PhaseInputBinding

FROM_JOB = "Job"


def uploads_prefix(namespace: str) -> str:
    """The folder of the store that users upload into."""
    return f"{namespace}/uploads"


def phase_inputs(
    job: AudioJob, phase: Phase, phases: Mapping[str, PhaseStatus], outputs: Sequence[JobOutput]
) -> tuple[PhaseInputFile, ...]:
    """The inputs of an attempt. Earlier phases that are bound must have succeeded.

    Raises :class:`InvalidSpecError` for a binding that leads nowhere.
    """
    resolved = []
    for binding in phase.inputs:
        if binding.from_ == FROM_JOB:
            file = source_file(job, phase, binding)
        else:
            file = _phase_file(phase, binding, phases, outputs)
        if file is not None:
            resolved.append(file)
    return tuple(resolved)


def source_file(job: AudioJob, phase: Phase, binding: PhaseInputBinding) -> PhaseInputFile | None:
    """The job's source as an input; None where it is optional and absent."""
    source = job.spec.source
    if source is None:
        if binding.optional:
            return None
        raise InvalidSpecError(
            "spec.source",
            f"phase {phase.name} of pipeline {job.spec.pipeline} needs a source; give source.url or source.object",
        )
    if (source.url is None) == (source.object is None):
        raise InvalidSpecError("spec.source", "must have exactly one of url, object")
    return _source_input(job.metadata.namespace, binding.name, source)


def _source_input(namespace: str, name: str, source: Source) -> PhaseInputFile:
    if source.object is None:
        return PhaseInputFile(name=name, url=source.url)
    key = source.object.key
    # Admission refuses these too; a key becomes a path, so nothing rests on one check alone.
    if key.startswith("/") or "\\" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise InvalidSpecError(
            "spec.source.object.key", "must be a relative path such as albums/song.flac, without '..'"
        )
    return PhaseInputFile(name=name, key=f"{uploads_prefix(namespace)}/{key}")


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
    return PhaseInputFile(name=binding.name, manifest=record.manifest, output=output)
