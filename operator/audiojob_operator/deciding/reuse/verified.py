"""Which inputs of a phase are known to be what is recorded of them.

What a phase says of its outputs is a claim: code that a stranger's file has taken over may have made it. The next
phase's pod hashes the bytes before anything decodes them, and compares. Only what is confirmed in that way may stand
for work, or be served by another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audiojob_operator.building.inputs import FROM_JOB
from audiojob_operator.records.changes import updated
from audiojob_types.contract import PhaseInputFile, ReadInput
from audiojob_types.resources.job import JobOutput, ResolvedSource
from audiojob_types.resources.pipeline import Phase


@dataclass(frozen=True, slots=True)
class RecordedFiles:
    """What the operator has recorded of files: of the job's phases, and of what spec.source.jobRef led to."""

    outputs: tuple[JobOutput, ...]
    source: ResolvedSource | None = None


def is_confirmed(files: Sequence[PhaseInputFile], read: Sequence[ReadInput]) -> bool:
    """Whether the reader has found all outputs of earlier phases to be what was recorded."""
    found = {each.name: each.sha256 for each in read}
    return all(
        file.name in found and file.recorded_sha256 in (None, found[file.name])
        for file in files
        if file.manifest is not None and file.about is None
    )


def all_verified(phase: Phase, files: Sequence[PhaseInputFile], record: RecordedFiles) -> bool:
    """Whether a reader has confirmed each input that an earlier phase made, so that nobody need look again."""
    return all(_is_verified(phase, file, record) for file in files if file.manifest is not None)


def _is_verified(phase: Phase, file: PhaseInputFile, record: RecordedFiles) -> bool:
    maker = next(binding.from_ for binding in phase.inputs if binding.name == file.name)
    if maker == FROM_JOB:
        return record.source is not None and record.source.verified is True
    # Who reads any output has compared the manifest, which is all that counts of a file that is not read or not listed.
    by_manifest = file.about is not None or file.recorded_sha256 is None
    return any(
        output.verified and output.phase == maker and (by_manifest or output.name == file.output)
        for output in record.outputs
    )


def with_verified(
    phase: Phase, files: Sequence[PhaseInputFile], read: Sequence[ReadInput], record: RecordedFiles
) -> RecordedFiles:
    """The record after the phase has read its inputs."""
    makers = {binding.name: binding.from_ for binding in phase.inputs}
    found = {each.name: each.sha256 for each in read}
    seen = {(makers[file.name], file.output, found[file.name]) for file in files if file.name in found}
    outputs = tuple(
        updated(each, {"verified": True}) if (each.phase, each.name, each.sha256) in seen else each
        for each in record.outputs
    )
    source = record.source
    if source is not None and (FROM_JOB, source.output, source.sha256) in seen:
        source = updated(source, {"verified": True})
    return RecordedFiles(outputs, source)
