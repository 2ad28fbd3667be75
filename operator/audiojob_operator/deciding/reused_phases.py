"""Phases that need no Job, because another job has done their work or is at it."""

from __future__ import annotations

from typing import Final

from audiojob_operator.building.handed_in import handed_in, names_handed_in
from audiojob_operator.building.inputs import phase_inputs
from audiojob_operator.deciding.attempts.attempt import folder_of
from audiojob_operator.deciding.draft import Draft
from audiojob_operator.deciding.policies.blocker import Facts, blocker
from audiojob_operator.deciding.policies.ready import ready_phases
from audiojob_operator.deciding.policies.review import approved
from audiojob_operator.deciding.policies.sites import site_host
from audiojob_operator.deciding.reuse.keys import Work, ask, given_back, may_donate, may_take, reuse_key, taken_over
from audiojob_operator.deciding.reuse.references import finished_before
from audiojob_operator.deciding.reuse.verified import RecordedFiles, all_verified, is_confirmed, with_verified
from audiojob_operator.deciding.revisions import make_revision, own_pipeline
from audiojob_operator.records.changes import clip, updated
from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_operator.records.observation import Failed, PhaseObservation, Succeeded
from audiojob_operator.records.observed import Retried
from audiojob_operator.records.reuse import Donor, SameWork
from audiojob_types import constants as c
from audiojob_types.contract import PhaseInputFile
from audiojob_types.parameters import InvalidParameters
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import Phase
from audiojob_types.resources.source import ReviewInput

_LOST_FILES: Final = frozenset({Reason.INPUT_MISSING, Reason.CHECKSUM_MISMATCH})


def phase_reuse_key(draft: Draft, phase: Phase) -> str | None:
    """The key of a ready phase's work; None where another's result could not stand for it."""
    if not may_donate(phase):
        return None
    assert draft.revision is not None, "a pipeline is bound before its phases are looked at"
    try:
        work = Work(draft.observed.job.spec, phase, draft.revision, inputs_of(draft, phase))
        return reuse_key(work, draft.observed.settings)
    except (InvalidSpecError, InvalidParameters):
        return None  # said when the phase starts


def begin(draft: Draft) -> None:
    """Take the pipeline as it is now, if the job has none, and what the job that it retries has finished."""
    if draft.revision is None:
        assert draft.observed.pipeline is not None, "without a pipeline the job waits"
        if draft.made is None:
            own = own_pipeline(draft.observed.job, draft.observed.pipeline)
            draft.made = make_revision(own, draft.observed.settings.images)
        draft.bind(draft.made)
        _take_over(draft)


def _take_over(draft: Draft) -> None:
    """A retry begins with what the other job has finished."""
    assert draft.revision is not None, "a pipeline is bound before its phases are looked at"
    records, outputs = finished_before(draft.observed, draft.revision, draft.now)
    name = draft.observed.job.spec.retry_of
    for record in records:
        draft.phases[record.name] = PhaseStatus(
            name=record.name,
            task=record.task,
            state=PhaseState.SUCCEEDED,
            completion_time=record.completion_time,
            manifest=record.manifest,
            output_prefix=folder_of(record.manifest),
            log_key=record.log_key,
            expires_time=record.expires_time,
            reuse_key=record.reuse_key,
            reused_from=record.reused_from or name,
            review_asked=record.review_asked,
            review_inputs=record.review_inputs,
            message=f"Taken over from AudioJob {name}.",
        )
    draft.outputs = outputs
    _keep_warnings(draft, [record.name for record in records])


def _keep_warnings(draft: Draft, phases: list[str]) -> None:
    """What the retried job's phases could not do is still missing."""
    retried = draft.observed.retried
    if isinstance(retried, Retried):
        draft.warnings = [warning for warning in retried.job.status.warnings if warning.phase in phases]


def take_finished(draft: Draft) -> None:
    """Ready phases whose work another job has done are done too, and so may be those that come after them.

    What is not known yet is asked; then the decision is made again with the answers.
    """
    if draft.observed.reuse is None:
        return
    seen: set[str] = set()
    while new := [phase for phase in ready_phases(draft.pipeline, draft.phases) if phase.name not in seen]:
        for phase in new:
            seen.add(phase.name)
            _take(draft, phase)


def _take(draft: Draft, phase: Phase) -> None:
    observed = draft.observed
    key = _wanted_key(draft, phase)
    if key is None or observed.reuse is None:
        return
    assert draft.revision is not None, "a pipeline is bound before its phases are looked at"
    if key not in observed.reuse:
        wanted = ask(key, observed.job.spec, phase, draft.revision, observed.settings, draft.now)
        if all(wanted.key != other.key for other in draft.asks):
            draft.asks.append(wanted)
    elif isinstance(donor := observed.reuse[key], Donor) and all_verified(
        phase, inputs_of(draft, phase), _record(draft)
    ):
        message = f"Phase {phase.name} needs no Job: AudioJob {donor.job} has done the same work."
        draft.phases[phase.name] = _given(draft, phase, donor, key, message)


def _given(draft: Draft, phase: Phase, donor: Donor, key: str, message: str) -> PhaseStatus:
    """The phase with the donor's result, and its outputs among the job's."""
    names = names_handed_in(phase.name, draft.reviews, draft.phases)
    record = updated(taken_over(draft.phases[phase.name], donor, key), {"review_inputs": names or None})
    draft.put_outputs(phase.name, donor.outputs)
    draft.warn_of(phase.name, donor.warnings)
    draft.emit(Reason.PHASE_REUSED, message, phase=phase.name, attempt=record.attempt)
    return record


def offered(draft: Draft, phase: Phase) -> Donor | None:
    """Whose result stands for an attempt's work, once its pod has found the inputs to be what is recorded of them.

    A program of the administrator's runs before our runner can tell, so it is offered nothing.
    """
    if draft.observed.reuse is None or phase.task.descriptor.runs_program:
        return None
    key = _wanted_key(draft, phase)
    answer = draft.observed.reuse.get(key) if key is not None else None
    return answer if isinstance(answer, Donor) else None


def inputs_read(draft: Draft, phase: Phase, success: Succeeded) -> bool:
    """Note which inputs the phase found to be what is recorded of them; whether those were all that phases made."""
    try:
        files = inputs_of(draft, phase)
    except InvalidSpecError:
        return False  # a phase that it read from is being done again
    read = success.result.inputs
    found = with_verified(phase, files, read, _record(draft))
    draft.outputs, draft.source = list(found.outputs), found.source
    return is_confirmed(files, read)


def take_offered(draft: Draft, phase: Phase, donor: Donor) -> PhaseStatus:
    """The phase whose pod has found that the donor's result stands for its work."""
    record = draft.phases[phase.name]
    assert record.reuse_key is not None, "only work with a key is offered a donor"
    message = f"Phase {phase.name} only compared its inputs: AudioJob {donor.job} has done the same work."
    return _given(draft, phase, donor, record.reuse_key, message)


def inputs_of(draft: Draft, phase: Phase) -> tuple[PhaseInputFile, ...]:
    """What the phase reads. Raises ``InvalidSpecError`` for a binding that leads nowhere."""
    given = handed(draft, phase)
    return phase_inputs(draft.observed.job, phase, draft.phases, draft.outputs, draft.source, given)


def handed(draft: Draft, phase: Phase) -> dict[str, ReviewInput]:
    """What reviews have handed in for the phase to read, by the names of its inputs."""
    return handed_in(phase, draft.pipeline, draft.reviews, draft.phases)


def _record(draft: Draft) -> RecordedFiles:
    return RecordedFiles(tuple(draft.outputs), draft.source)


def _wanted_key(draft: Draft, phase: Phase) -> str | None:
    spec = draft.observed.job.spec
    if not may_take(spec, phase, draft.phases[phase.name]) or not approved(draft.reviews, phase, draft.phases):
        return None
    return phase_reuse_key(draft, phase)


def same_work(draft: Draft) -> dict[str, SameWork]:
    """The jobs that do the work of ready phases at this moment, by phase, where the phase is to wait for them."""
    answers = draft.observed.reuse
    if not answers or not any(isinstance(answer, SameWork) for answer in answers.values()):
        return {}
    keys = ((phase.name, _wanted_key(draft, phase)) for phase in ready_phases(draft.pipeline, draft.phases))
    found = ((name, answers.get(key)) for name, key in keys if key is not None)
    return {name: answer for name, answer in found if isinstance(answer, SameWork)}


def facts(draft: Draft) -> Facts:
    """What may block the phases of the job."""
    observed = draft.observed
    return Facts(
        spec=observed.job.spec,
        reviews=draft.reviews,
        phases=draft.phases,
        unready=observed.models.unready if observed.models else frozenset(),
        models=observed.models,
        same_work=same_work(draft),
        host=site_host(observed.job.spec),
        cooling_until=observed.cooling_until,
        site=observed.admitted.site,
        fetch_begun=any(c.ANNOTATION_HOST in job["metadata"]["annotations"] for job in draft.jobs),
    )


def only_waits_for_others(draft: Draft) -> bool:
    """Whether all that the job could do is done by others at this moment. Notes what each ready phase waits for."""
    if any(record.state is PhaseState.RUNNING or record.told_ahead for record in draft.phases.values()):
        return False
    known = facts(draft)
    ready = ready_phases(draft.pipeline, draft.phases)
    if not ready or any(phase.name not in known.same_work for phase in ready):
        return False
    for phase in ready:
        if (found := blocker(phase, known, draft.now)) is not None:
            draft.block(found)
    return True


def without_lost_files(draft: Draft, phase: Phase, record: PhaseStatus, failed: Failed) -> PhaseStatus | None:
    """The phase as it waits for its inputs anew, where files that were taken over from another job are missing.

    Each phase that was taken over gives its result back at most once, and only attempts from before it was made again
    are excused, so that this ends. None: it failed by itself.
    """
    if failed.reason not in _LOST_FILES:
        return None
    names = {binding.from_ for binding in phase.inputs}
    sources = [each for name, each in draft.phases.items() if name in names]
    lost = [each for each in sources if each.reused_from is not None]
    child = draft.child(phase.name, record.attempt)
    if not lost and not any(_was_lost_before(each, child) for each in sources):
        return None
    for each in lost:
        draft.phases[each.name] = given_back(each)
        draft.outputs = [output for output in draft.outputs if output.phase != each.name]
        draft.warn_of(each.name, ())
        message = f"Files of AudioJob {each.reused_from} are not in the store; phase {each.name} does its work itself."
        draft.emit(Reason.REUSE_FAILED, message, kind="Warning", phase=each.name, attempt=each.attempt)
    update = {"state": PhaseState.WAITING, "reason": failed.reason, "message": clip(failed.message)}
    return updated(record, update)


def _was_lost_before(source: PhaseStatus, reader: PhaseObservation | None) -> bool:
    """Whether another reader has found the files missing, and those made anew are younger than this reader's Job."""
    if not source.reuse_off:
        return False
    if source.state is not PhaseState.SUCCEEDED:
        return True
    made = source.completion_time
    return reader is not None and made is not None and made > reader.created
