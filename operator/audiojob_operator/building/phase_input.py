"""The phase file: all that a phase's process gets."""

from __future__ import annotations

import json
from typing import Final

from audiojob_operator.building.names import output_prefix
from audiojob_operator.building.precedence import is_intermediate, phase_parameters
from audiojob_operator.building.program import program_of
from audiojob_operator.building.request import AttemptRequest
from audiojob_operator.building.volumes import used_libraries
from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_types.contract import (
    MAX_PHASE_INPUT_BYTES,
    PhaseDestination,
    PhaseInput,
    PhaseLimits,
    PhaseNetwork,
    PhaseProgress,
)
from audiojob_types.outside.networks import AllowedNetwork
from audiojob_types.versions import contract_to_write

_MILLISECONDS_FOR_EACH_JOB: Final = 10  # a hundred reports a second from all runners together
_LONGEST_INTERVAL_MILLISECONDS: Final = 10_000


def report_interval(least: int, running: int) -> int:
    """Milliseconds between two reports of a runner while so many AudioJobs run: never less than ``least``."""
    return max(least, min(running * _MILLISECONDS_FOR_EACH_JOB, _LONGEST_INTERVAL_MILLISECONDS))


def phase_input(request: AttemptRequest) -> PhaseInput:
    """The contract record of an attempt. Raises ``InvalidParameters`` if the job's parameters do not fit."""
    job, phase, pipeline = request.job, request.phase, request.revision.spec
    return PhaseInput(
        contract=contract_to_write(request.revision.contract),
        job=job.metadata.name,
        namespace=request.namespace,
        uid=request.uid,
        phase=phase.name,
        attempt=request.attempt,
        task=phase.task,
        device=request.device,
        parameters=phase_parameters(job.spec, phase).to_wire_for(request.revision.contract),
        program=program_of(phase),
        inputs=request.inputs if request.wait_until is None else (),
        output_prefix=f"{output_prefix(request.namespace, request.uid)}/{phase.name}",
        store=request.settings.store,
        libraries=tuple(
            library.reached(request.namespace, request.settings.store) for library, _ in used_libraries(request)
        ),
        destination=_destination(request),
        limits=PhaseLimits(
            soft_seconds=phase.soft_limit_seconds,
            stall_seconds=phase.stall_seconds,
            max_duration_seconds=phase.max_duration_seconds,
        ),
        network=_network(request),
        progress=PhaseProgress(
            weights={each.name: each.weight for each in pipeline.phases},
            done=request.done,
            min_interval_milliseconds=report_interval(
                request.settings.min_progress_interval_milliseconds, request.running
            ),
        ),
        expires_time=request.expires,
        pipeline=request.revision.pipeline,
        intermediate=is_intermediate(pipeline, phase),
        donor=request.donor.manifest if request.donor is not None else None,
        wait_until=request.wait_until,
    )


def _destination(request: AttemptRequest) -> PhaseDestination | None:
    wanted = request.job.spec.destination
    if wanted is None or not request.phase.task.descriptor.publishes:
        return None
    return PhaseDestination(library=wanted.library, layout=wanted.layout)


def _network(request: AttemptRequest) -> PhaseNetwork:
    allowed = request.settings.allowed_cidrs
    networks = (str(AllowedNetwork.parse(text).network) for text in allowed)
    return PhaseNetwork(
        allowed_cidrs=tuple(dict.fromkeys(networks)),
        allowed=allowed or None,
        lyrics_address=request.settings.lyrics_address if request.phase.task.descriptor.asks_for_lyrics else None,
    )


def phase_file(request: AttemptRequest) -> str:
    """The phase input as the annotation's text. Raises :class:`InvalidSpecError` if it is too large."""
    wire = phase_input(request).to_wire_for(request.revision.contract)
    text = json.dumps(wire, separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode())
    if size > MAX_PHASE_INPUT_BYTES:
        raise InvalidSpecError(
            "spec",
            f"the input of phase {request.phase.name} is {size} bytes, and {MAX_PHASE_INPUT_BYTES} are allowed; "
            "use fewer or shorter inputs and parameters",
        )
    return text
