"""The manifest: what a phase published, and how a later attempt knows that the work is already done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from audiojob_runner.errors import PhaseError
from audiojob_runner.store.base import Store
from audiojob_types.base import WireModel
from audiojob_types.constants import MANIFEST_NAME
from audiojob_types.contract import Manifest, ManifestOutput, ManifestRef, PhaseInput
from audiojob_types.reasons import Reason

MAX_MANIFEST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Published:
    """A manifest that lies in the store, with the reference that results carry."""

    manifest: Manifest
    ref: ManifestRef


def fingerprint(phase_input: PhaseInput, parameters: WireModel) -> str:
    """sha256 of task, program, parameters, inputs and destination: equal for attempts that would do the same work."""
    record = {
        "task": phase_input.task.value,
        "parameters": parameters.to_wire(),
        "inputs": [item.to_wire() for item in sorted(phase_input.inputs, key=lambda item: item.name)],
    }
    if phase_input.program is not None:
        record["program"] = phase_input.program.sha256
    if phase_input.destination is not None:
        record["destination"] = phase_input.destination.to_wire()
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def build_manifest(
    phase_input: PhaseInput,
    mark: str,
    outputs: Sequence[ManifestOutput],
    metadata: dict[str, Any],
    now: datetime,
    review_asked: str | None = None,
) -> Manifest:
    """The manifest of an attempt; ``mark`` is its fingerprint."""
    return Manifest(
        job=phase_input.job,
        namespace=phase_input.namespace,
        uid=phase_input.uid,
        phase=phase_input.phase,
        attempt=phase_input.attempt,
        task=phase_input.task,
        fingerprint=mark,
        outputs=tuple(outputs),
        created_time=now,
        expires_time=phase_input.expires_time,
        pipeline=phase_input.pipeline,
        intermediate=phase_input.intermediate,
        metadata=metadata,
        review_asked=review_asked,
    )


def encode(manifest: Manifest) -> bytes:
    """The manifest's bytes in the store."""
    return json.dumps(manifest.to_wire(), ensure_ascii=False, indent=1, allow_nan=False).encode() + b"\n"


def reference(key: str, content: bytes, manifest: Manifest) -> ManifestRef:
    """What points at a stored manifest."""
    return ManifestRef(key=key, sha256=hashlib.sha256(content).hexdigest(), count=len(manifest.outputs))


def find_published(store: Store, prefix: str, mark: str) -> Published | None:
    """The first whole attempt below ``prefix`` that did the same work: its manifest fits ``mark`` and its files are
    there with their sizes. Attempts that are damaged or of another kind are passed over.
    """
    for folder in sorted(store.folders(prefix), key=_attempt_order):
        key = f"{folder}/{MANIFEST_NAME}"
        content = _read_manifest(store, key)
        if content is None:
            continue
        try:
            manifest = Manifest.read(content)
        except ValidationError:
            continue
        if manifest.fingerprint == mark and _is_whole(store, folder, manifest):
            return Published(manifest=manifest, ref=reference(key, content, manifest))
    return None


def _read_manifest(store: Store, key: str) -> bytes | None:
    try:
        return store.read(key, MAX_MANIFEST_BYTES)
    except PhaseError as error:
        if error.reason is Reason.CHECKSUM_MISMATCH:  # absurdly large: not a manifest of ours
            return None
        raise


def _is_whole(store: Store, folder: str, manifest: Manifest) -> bool:
    return all(store.size(f"{folder}/{output.file}") == output.bytes for output in manifest.outputs)


def _attempt_order(folder: str) -> tuple[int, str]:
    """Folders are named ``<attempt>-<pod>``; anything else comes last."""
    attempt, _, pod = folder.rsplit("/", 1)[-1].partition("-")
    return (int(attempt), pod) if attempt.isdecimal() else (2**31, pod)
