"""The termination message: one line of JSON, small enough that the kubelet does not cut it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from audiojob_runner.errors import PhaseError
from audiojob_runner.store.manifest import Published
from audiojob_types.contract import (
    MAX_RESULT_BYTES,
    MAX_RESULT_OUTPUTS,
    MAX_RESULT_WARNINGS,
    MAX_WARNING_CHARACTERS,
    Manifest,
    ManifestOutput,
    ManifestRef,
    Outcome,
    OutputRef,
    PhaseResult,
    ReadInput,
)
from audiojob_types.outside.redaction import redact

_MAX_DURATION_MILLISECONDS = 2**53


def success(
    published: Published, log_key: str | None, peak_memory_bytes: int | None, inputs: tuple[ReadInput, ...] = ()
) -> PhaseResult:
    """The result of a phase that published; ``inputs`` are those whose bytes were hashed before they were decoded."""
    refs = tuple(
        OutputRef(
            name=item.name,
            media_type=item.media_type,
            bytes=item.bytes,
            sha256=item.sha256,
            duration_milliseconds=duration_milliseconds(item),
        )
        for item in published.manifest.outputs[:MAX_RESULT_OUTPUTS]
    )
    return PhaseResult(
        outcome=Outcome.SUCCEEDED,
        manifest=published.ref,
        outputs=refs,
        inputs=inputs,
        warnings=warnings_of(published.manifest),
        log_key=log_key,
        peak_memory_bytes=peak_memory_bytes,
        review_asked=published.manifest.review_asked,
    )


def confirmed(donor: ManifestRef, inputs: tuple[ReadInput, ...], log_key: str | None) -> PhaseResult:
    """The result of a phase whose inputs are what was recorded, so that the donor's result stands for its own."""
    return PhaseResult(outcome=Outcome.SUCCEEDED, manifest=donor, inputs=inputs, log_key=log_key)


def failure(error: PhaseError, log_key: str | None = None, peak_memory_bytes: int | None = None) -> PhaseResult:
    """The result of a phase that did not."""
    return PhaseResult(
        outcome=Outcome.FAILED,
        reason=error.reason.value,
        message=error.message,
        suggestion=error.suggestion,
        log_key=log_key,
        peak_memory_bytes=peak_memory_bytes,
        retry_after_seconds=error.retry_after_seconds,
        refused_by=error.refused_by,
    )


def warnings_of(manifest: Manifest) -> tuple[str, ...]:
    """What the task could not do: the ``warnings`` of the run and of its outputs, each once and clipped."""
    found: dict[str, None] = {}
    for metadata in (manifest.metadata, *(output.metadata for output in manifest.outputs)):
        told = metadata.get("warnings")
        for text in told if isinstance(told, list) else ():
            if isinstance(text, str) and (line := redact(" ".join(text.split()))):
                found[_clip(line)] = None
    return tuple(found)[:MAX_RESULT_WARNINGS]


def _clip(text: str) -> str:
    return text if len(text) <= MAX_WARNING_CHARACTERS else f"{text[: MAX_WARNING_CHARACTERS - 1]}…"


def duration_milliseconds(output: ManifestOutput) -> int | None:
    """How long the output plays, from its metadata's ``durationSeconds``; None where that is not told."""
    seconds = output.metadata.get("durationSeconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    if not 0 <= seconds <= _MAX_DURATION_MILLISECONDS / 1000:
        return None
    return round(seconds * 1000)


def encode(result: PhaseResult, most: int = MAX_RESULT_BYTES) -> bytes:
    """One line of at most ``most`` bytes: warnings go first, the last before the first, then outputs' durations,
    then inputs, without which nobody reuses the result, then outputs, then the ends of suggestion and message."""
    record: dict[str, Any] = result.to_wire()
    for field in ("warnings", "inputs"):
        if not record[field]:
            del record[field]
    content = _dump(record)
    while len(content) > most and record.get("warnings"):
        record["warnings"] = record["warnings"][:-1]
        content = _dump(record)
    for output in reversed(record.get("outputs", ())):
        if len(content) > most and output.pop("durationMilliseconds", None) is not None:
            content = _dump(record)
    if len(content) > most and record.pop("inputs", None) is not None:
        content = _dump(record)
    while len(content) > most and record.get("outputs"):
        record["outputs"] = record["outputs"][:-1]
        content = _dump(record)
    for field in ("suggestion", "message"):
        while len(content) > most and record.get(field):
            record[field] = record[field][: len(record[field]) * 3 // 4]
            content = _dump(record)
    return content


def write(path: Path, result: PhaseResult) -> None:
    """Leave the result where the kubelet looks for it. A failure is printed: the exit code still speaks."""
    try:
        # Opened for writing, not replaced: in a pod it is a single mounted file.
        with path.open("wb") as file:
            file.write(encode(result))
    except OSError as error:
        sys.stderr.write(f"The termination message {path} cannot be written: {error.strerror or error}\n")


def _dump(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
