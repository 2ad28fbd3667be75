"""What an attempt is built from, whether its inputs are there or not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from audiojob_operator.building.handed_in import names_handed_in
from audiojob_operator.building.inputs import phase_inputs
from audiojob_operator.building.request import AttemptRequest
from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.policies.deadline import active_deadline
from audiojob_operator.deciding.policies.sites import site_host
from audiojob_operator.deciding.reused_phases import handed, inputs_of, offered, phase_reuse_key
from audiojob_types.contract import Device, ManifestRef, PhaseInputFile
from audiojob_types.resources.job import PhaseState
from audiojob_types.resources.pipeline import Phase

_NO_SHA256 = "0" * 64


@dataclass(frozen=True, slots=True)
class Begun:
    """What was chosen for an attempt."""

    attempt: int
    device: Device
    device_reason: str
    memory_bytes: int


def attempt_request(draft: Draft, phase: Phase, begun: Begun) -> AttemptRequest:
    """An attempt that begins now. Raises ``InvalidSpecError`` for a binding that leads nowhere."""
    return replace(
        _request(draft, phase, begun, inputs_of(draft, phase)),
        reuse_key=phase_reuse_key(draft, phase),
        donor=offered(draft, phase),
        review_inputs=names_handed_in(phase.name, draft.reviews, draft.phases),
    )


def early_request(draft: Draft, phase: Phase, begun: Begun, before: str, wait_until: datetime) -> AttemptRequest:
    """An attempt whose pod begins while the phase ``before`` works. Raises as :func:`attempt_request` does."""
    ahead = [each for each in phase.inputs if each.from_ == before and each.name not in handed(draft, phase)]
    known = phase.model_copy(update={"inputs": tuple(each for each in phase.inputs if each not in ahead)})
    there = phase_inputs(draft.observed.job, known, draft.phases, draft.outputs, draft.source, handed(draft, phase))
    # Nobody knows its name before it is published; the folders to mount are known.
    manifest = ManifestRef(key=f"{draft.prefix(before)}/attempt/manifest.json", sha256=_NO_SHA256)
    awaited = tuple(PhaseInputFile(name=each.name, manifest=manifest, output=each.output or "any") for each in ahead)
    return replace(_request(draft, phase, begun, (*there, *awaited)), wait_until=wait_until)


def _request(draft: Draft, phase: Phase, begun: Begun, inputs: tuple[PhaseInputFile, ...]) -> AttemptRequest:
    observed = draft.observed
    assert draft.revision is not None, "a pipeline is bound before its phases are looked at"
    deadline = active_deadline(observed.job, draft.pipeline, draft.start_time)
    return AttemptRequest(
        job=observed.job,
        revision=draft.revision,
        phase=phase,
        attempt=begun.attempt,
        device=begun.device,
        device_reason=begun.device_reason,
        memory_bytes=begun.memory_bytes,
        inputs=inputs,
        done=tuple(name for name, each in draft.phases.items() if each.state is PhaseState.SUCCEEDED),
        settings=observed.settings,
        now=draft.now,
        remaining_seconds=max(1, int((deadline - draft.now).total_seconds())) if deadline else None,
        kueue_queue=observed.kueue_local_queue,
        host=site_host(observed.job.spec) if phase.task.descriptor.fetches else None,
        running=observed.running,
    )
