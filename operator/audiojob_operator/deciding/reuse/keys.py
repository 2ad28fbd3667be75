"""Which work is the same as other work, and whose result may stand for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from audiojob_operator.building.precedence import effective_priority, phase_parameters, retention_seconds
from audiojob_operator.building.program import program_of
from audiojob_operator.deciding.attempts.attempt import folder_of
from audiojob_operator.deciding.reuse.urls import normalised
from audiojob_operator.records.changes import updated
from audiojob_operator.records.reuse import Donor, ReuseAsk, SameWork
from audiojob_operator.records.settings import DecideSettings, Revision
from audiojob_types.contract import PhaseInputFile
from audiojob_types.descriptor import Reuse, TaskParameters
from audiojob_types.models import KNOWN_MODELS
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJob, AudioJobSpec, PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import Phase

_INPUTS_COMPARED_SINCE: Final = 2  # contract
_TURN_COMES: Final = frozenset({Reason.WAITING_FOR_KUEUE, Reason.EVICTED_BY_KUEUE, Reason.TOLD_TO_WORKER})


def may_donate(phase: Phase) -> bool:
    """Whether the phase's result may stand for that of another one: the pipeline's word, else the task's nature."""
    nature = phase.task.descriptor.reuse
    if nature is Reuse.NEVER:
        return False
    return nature is Reuse.BY_DEFAULT if phase.reuse is None else phase.reuse == "Allowed"


def may_take(spec: AudioJobSpec, phase: Phase, record: PhaseStatus) -> bool:
    """Whether the phase may take over another's result instead of doing its work."""
    return spec.reuse == "Allowed" and may_donate(phase) and not record.reuse_off


# ---------------------------------------------------------------- the key


@dataclass(frozen=True, slots=True)
class Work:
    """One phase of one job with its inputs resolved: all that its outputs depend on."""

    spec: AudioJobSpec
    phase: Phase
    revision: Revision
    inputs: Sequence[PhaseInputFile]


def reuse_key(work: Work, settings: DecideSettings) -> str | None:
    """sha256 of task, effective parameters, inputs by content, image or program, and model.

    None where the work cannot be known by a key: an input is a file of unknown content (an upload may be replaced under
    its name), its runner does not compare inputs with what is recorded of them, or the work is not repeatable, such as
    recording a broadcast. Raises ``InvalidParameters``.
    """
    phase = work.phase
    from_phases = any(file.manifest is not None for file in work.inputs)
    if from_phases and work.revision.contract < _INPUTS_COMPARED_SINCE:
        return None
    inputs: dict[str, str] = {}
    for file in work.inputs:
        known = _identity(file, work)
        if known is None:
            return None
        inputs[file.name] = known
    parameters = phase_parameters(work.spec, phase)
    if not parameters.repeatable:
        return None
    record: dict[str, Any] = {
        "task": phase.task.value,
        "parameters": parameters.to_wire(),
        "inputs": inputs,
        "image": work.revision.images.for_task(phase.task),
        "model": model_identity(parameters),
    }
    if from_phases:
        record["inputsVerified"] = True  # so that no key is one of before readers compared, which may be poisoned
    if (program := program_of(phase)) is not None:
        record["program"] = program.sha256
    if phase.task.descriptor.asks_for_lyrics:
        record["lyricsAddress"] = settings.lyrics_address
    if phase.task.descriptor.reaches_out:
        # What was fetched from a network that is not allowed any more must not be had by other means.
        record["allowedCidrs"] = sorted(settings.allowed_cidrs)
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def model_identity(parameters: TaskParameters) -> str | None:
    """What tells the models of a phase from others: the names of their files, which hold their checksums.

    Of a model that nobody has published only its name is known here. None where the work needs no model.
    """
    identities = []
    for name in parameters.models:
        known = KNOWN_MODELS.get(name)
        identities.append(",".join((name, *known.files)) if known is not None else name)
    return ";".join(identities) or None


def _identity(file: PhaseInputFile, work: Work) -> str | None:
    """An input by what it is and not by where it lies; None if that is not known."""
    if file.url is not None:
        return f"url:{normalised(file.url)}"
    if file.text is not None:
        return f"sha256:{hashlib.sha256(file.text.encode()).hexdigest()}"
    if file.sha256 is not None:
        return f"sha256:{file.sha256}"
    if file.manifest is None:
        return None
    reads_more = file.about is not None or work.phase.task.descriptor.reads_metadata
    if reads_more or file.recorded_sha256 is None:
        # The same manifest has the same files, and says the same of them.
        return f"manifest:{file.manifest.sha256}/{file.output}"
    return f"sha256:{file.recorded_sha256}"


# ---------------------------------------------------------------- donors


def ask(key: str, spec: AudioJobSpec, phase: Phase, revision: Revision, settings: DecideSettings,
        now: datetime) -> ReuseAsk:  # fmt: skip
    """What is wanted of a donor."""
    finished_since = None
    if phase.task.descriptor.reaches_out:
        finished_since = now - timedelta(seconds=settings.download_reuse_seconds)
    return ReuseAsk(
        key=key,
        priority=effective_priority(spec, revision.spec),
        finished_since=finished_since,
        kept_until=kept_until(revision, phase, now),
    )


def kept_until(revision: Revision, phase: Phase, now: datetime) -> datetime | None:
    """Who asks for files that are kept for a while gets at least half of that; None: for files kept for ever."""
    kept = retention_seconds(revision, phase)
    return None if kept is None else now + timedelta(seconds=kept / 2)


def lasts(expires: datetime | None, wanted: datetime | None) -> bool:
    """Whether files that expire then are kept for as long as wanted; None is for ever."""
    return expires is None or (wanted is not None and expires >= wanted)


def donor_in(job: AudioJob, key: str) -> Donor | None:
    """The phase of a job that has done the work of that key.

    None if none has, its manifest is not what it was, or its only output, which readers need not name, is not listed
    any more.
    """
    for record in job.status.phases:
        if record.reuse_key == key and record.state is PhaseState.SUCCEEDED and record.manifest is not None:
            parts = record.manifest.key.split("/")
            if len(parts) != 5 or parts[0] != job.metadata.namespace:  # a phase's manifest, of this namespace
                return None
            outputs = tuple(each for each in job.status.outputs if each.phase == record.name)
            if record.manifest.count == 1 and not outputs:
                return None
            return Donor(
                job=record.reused_from or job.metadata.name,
                phase=parts[2],
                manifest=record.manifest,
                outputs=outputs,
                warnings=tuple(each.message for each in job.status.warnings if each.phase == record.name),
                log_key=record.log_key,
                review_asked=record.review_asked,
                finished=record.completion_time,
                expires=record.expires_time,
            )
    return None


def fits(wanted: ReuseAsk, donor: Donor) -> bool:
    """Whether the donor's result is young enough and is kept for long enough."""
    if wanted.finished_since is not None and (donor.finished is None or donor.finished < wanted.finished_since):
        return False
    return lasts(donor.expires, wanted.kept_until)


def must_wait(wanted: ReuseAsk, other: SameWork) -> bool:
    """Whether to wait for another job that does the same work: not if it gets nowhere, which may be for ever.

    In Kueue's queue, or told ahead to a worker, its turn comes, so that only more urgent ones do not wait for it.
    """
    if other.held in _TURN_COMES:
        return other.priority >= wanted.priority
    return not other.held


def taken_over(record: PhaseStatus, donor: Donor, key: str) -> PhaseStatus:
    """The phase, done by another job. Its end stays the moment when the work was done, so that its age is known."""
    return updated(
        record,
        {
            "state": PhaseState.SUCCEEDED,
            "completion_time": donor.finished,
            "manifest": donor.manifest,
            "output_prefix": folder_of(donor.manifest),
            "log_key": donor.log_key,
            "review_asked": donor.review_asked,
            "expires_time": donor.expires,
            "reuse_key": key,
            "reused_from": donor.job,
            "next_attempt_time": None,
            "cool_down": None,
            "reason": None,
            "message": f"Taken over from phase {donor.phase} of AudioJob {donor.job}.",
        },
    )


def given_back(record: PhaseStatus) -> PhaseStatus:
    """The phase after its donor's files turned out to be missing: it does its work itself, and takes no more."""
    return updated(
        record,
        {
            "state": PhaseState.WAITING,
            "completion_time": None,
            "manifest": None,
            "output_prefix": None,
            "log_key": None,
            "review_asked": None,
            "expires_time": None,
            "reused_from": None,
            "reuse_off": True,
            "message": f"Files of AudioJob {record.reused_from} were missing; the phase does its work itself.",
        },
    )
