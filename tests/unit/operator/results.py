"""What pods are given, told and leave behind, in tests of the operator's core."""

from __future__ import annotations

import json
from typing import Any

from tests.support.podrunner import read_by
from tests.unit.operator.jsonpatch import apply_patch

from audiojob_operator.building.telling import inputs_patch
from audiojob_operator.records.objects import Object
from audiojob_operator.records.plan import Telling, TellingAgain
from audiojob_types import constants as c
from audiojob_types.contract import ManifestRef, OutputRef, PhaseInput, PhaseResult
from audiojob_types.contract import Outcome as ResultOutcome

SHA = "0" * 64


def result_message(
    job: Object, *, outputs: tuple[str, ...] = ("audio",), outcome: str = "Succeeded", **more: Any
) -> str:
    """The termination message of the pod of a phase Job, as the runner would leave it."""
    given = phase_input_of(job)
    succeeded = outcome == ResultOutcome.SUCCEEDED
    if succeeded and given.donor is not None:
        outputs = ()  # the runner has only compared its inputs
    manifest = given.donor or ManifestRef(
        key=f"{given.output_prefix}/{given.attempt}-abcd1234/manifest.json", sha256=SHA, count=len(outputs)
    )
    result = PhaseResult(
        outcome=ResultOutcome(outcome),
        manifest=manifest if succeeded else None,
        outputs=tuple(OutputRef(name=name, media_type="audio/flac", bytes=10, sha256=SHA) for name in outputs)
        if succeeded
        else (),
        **{"inputs": read_by(given) if succeeded else (), **more},
    )
    return json.dumps(result.to_wire())


def phase_input_of(job: Object) -> PhaseInput:
    """What the Job's pod is told."""
    text = job["spec"]["template"]["metadata"]["annotations"][c.ANNOTATION_PHASE]
    return PhaseInput.model_validate_json(text)


def tell_pod(pod: Object, telling: Telling | TellingAgain) -> None:
    """The patch that tells a pod its inputs, as the API server carries it out."""
    assert pod["metadata"]["uid"] == telling.uid
    untold = pod["metadata"]["annotations"][c.ANNOTATION_INPUTS] == ""
    assert untold == isinstance(telling, Telling), "it is told once, and again only then"
    changed = apply_patch(pod, inputs_patch(telling))
    pod |= changed
