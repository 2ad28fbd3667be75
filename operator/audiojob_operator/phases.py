"""The phases of a started job: what became of their attempts, and which start next."""

from __future__ import annotations

from typing import Final

from audiojob_operator.build.inputs import phase_inputs
from audiojob_operator.build.job import build_job
from audiojob_operator.build.request import AttemptRequest
from audiojob_operator.draft import Draft
from audiojob_operator.model import Failed, PhaseObservation, Running, Succeeded
from audiojob_operator.policies.attempt import AttemptPolicy, adopted, after_failure, after_success, clip, started
from audiojob_operator.policies.deadline import active_deadline
from audiojob_operator.policies.device import choose_device
from audiojob_operator.policies.verdict import NO_POD_AFTER, Verdict, judge
from audiojob_operator.resolve import effective_device, effective_retry, phases_before
from audiojob_types.base import format_time
from audiojob_types.constants import MAX_STATUS_OUTPUTS
from audiojob_types.job import JobOutput, PhaseState, PhaseStatus
from audiojob_types.pipeline import Phase
from audiojob_types.reasons import Reason

_STOPPABLE: Final = (PhaseState.RUNNING, PhaseState.WAITING)


def settle(draft: Draft) -> None:
    """Bring every phase up to what its Jobs say, adopting Jobs whose status write was lost."""
    for phase in draft.pipeline.phases:
        draft.phases[phase.name] = _settle_phase(draft, phase)


def _settle_phase(draft: Draft, phase: Phase) -> PhaseStatus:
    record = draft.phases[phase.name]
    while not record.state.finished:
        if record.state is PhaseState.RUNNING:
            child = draft.child(phase.name, record.attempt)
            verdict = judge(child, phase, draft.prefix(phase.name), draft.now)
            match verdict.outcome:
                case Running():
                    return _working(draft, record, verdict)
                case Succeeded() as success:
                    assert child is not None, "only a Job's pod succeeds"
                    record = _succeeded(draft, record, success, child)
                case Failed() as failed:
                    record = _failed(draft, phase, record, failed)
        else:
            child = draft.child(phase.name, record.attempt + 1)
            if child is None:
                break
            record = adopted(record, child)
            _tell_start(draft, phase, record)
            draft.start_time = draft.start_time or child.created
    return record


def _working(draft: Draft, record: PhaseStatus, verdict: Verdict) -> PhaseStatus:
    """A live attempt: only why it has not started is written, and only when the reason changes."""
    draft.wake(verdict.wake)
    problem = verdict.problem
    if problem is None:
        return record.model_copy(update={"reason": None, "message": None})
    if record.reason == problem.reason:
        return record  # numbers in the message change all the time
    draft.tell(
        problem.reason,
        f"Phase {record.name} cannot start: {problem.message} {problem.suggestion}",
        kind="Warning",
        phase=record.name,
        attempt=record.attempt,
    )
    return record.model_copy(update={"reason": problem.reason, "message": clip(problem.message)})


def _succeeded(draft: Draft, record: PhaseStatus, success: Succeeded, child: PhaseObservation) -> PhaseStatus:
    others = [output for output in draft.outputs if output.phase != record.name]
    own = [JobOutput(phase=record.name, **output.model_dump()) for output in success.result.outputs]
    # The last phases' outputs are what people came for; all of them are in the manifests.
    draft.outputs = [*others, *own][-MAX_STATUS_OUTPUTS:]
    done = after_success(record, success, child, draft.now)
    rest = [each for name, each in draft.phases.items() if name != record.name]
    if any(each.state is not PhaseState.SUCCEEDED for each in rest):  # the last one is told as Completed
        count = success.result.manifest.count if success.result.manifest else 0
        draft.tell(
            Reason.PHASE_SUCCEEDED,
            f"Phase {record.name} published {count} output{'' if count == 1 else 's'}.",
            phase=record.name,
            attempt=record.attempt,
        )
    return done


def _failed(draft: Draft, phase: Phase, record: PhaseStatus, failed: Failed) -> PhaseStatus:
    spec = draft.observed.job.spec
    policy = AttemptPolicy(
        uid=draft.uid,
        wish=effective_device(spec, phase),
        retry=effective_retry(spec, phase, draft.pipeline),
    )
    after = after_failure(record, failed, policy, draft.child(phase.name, record.attempt), draft.now)
    if after.state is PhaseState.FAILED:
        draft.failure = draft.failure or (phase.name, failed)
        return after
    when = f"again at {format_time(after.next_attempt_time)}" if after.next_attempt_time else "again at once"
    where = " on the CPU" if after.device is not record.device else ""
    draft.tell(
        Reason.PHASE_RETRIED,
        f"Attempt {record.attempt} of phase {phase.name} failed ({failed.reason}): {failed.message} "
        f"It is tried {when}{where}.",
        kind="Warning",
        phase=phase.name,
        attempt=record.attempt,
    )
    return after


def start_ready(draft: Draft) -> None:
    """Create the next attempt of every phase that may have one now.

    Raises ``InvalidParameters`` or ``InvalidSpecError`` for what cannot be built.
    """
    for phase in draft.pipeline.phases:
        record = draft.phases[phase.name]
        before = [draft.phases[name] for name in phases_before(draft.pipeline, phase)]
        if record.state is not PhaseState.WAITING or any(each.state is not PhaseState.SUCCEEDED for each in before):
            continue
        if record.next_attempt_time is not None and draft.now < record.next_attempt_time:
            draft.wake(record.next_attempt_time)
            continue
        draft.phases[phase.name] = _start(draft, phase, record)


def _start(draft: Draft, phase: Phase, record: PhaseStatus) -> PhaseStatus:
    observed, job = draft.observed, draft.observed.job
    assert draft.revision is not None
    draft.start_time = draft.start_time or draft.now
    deadline = active_deadline(job, draft.pipeline, draft.start_time)
    request = AttemptRequest(
        job=job,
        revision=draft.revision,
        phase=phase,
        attempt=record.attempt + 1,
        device=choose_device(effective_device(job.spec, phase), record, gpu_offered=observed.gpu_offered),
        inputs=phase_inputs(job, phase, draft.phases, draft.outputs),
        done=tuple(name for name, each in draft.phases.items() if each.state is PhaseState.SUCCEEDED),
        settings=observed.settings,
        now=draft.now,
        remaining_seconds=max(1, int((deadline - draft.now).total_seconds())) if deadline else None,
    )
    body = build_job(request)
    draft.jobs.append(body)
    draft.wake(deadline)
    draft.wake(draft.now + NO_POD_AFTER)
    after = started(record, request.attempt, body["metadata"]["name"], request.device, draft.now)
    _tell_start(draft, phase, after)
    return after


def _tell_start(draft: Draft, phase: Phase, record: PhaseStatus) -> None:
    attempt = f", attempt {record.attempt}" if record.attempt > 1 else ""
    draft.tell(
        Reason.PHASE_STARTED,
        f"Created Job {record.job_name} for {draft.place(phase)}{attempt}, on the {record.device}.",
        phase=phase.name,
        attempt=record.attempt,
    )


def stop_phases(draft: Draft, state: PhaseState, reason: str, message: str) -> None:
    """End every phase that has begun and not finished; those never started stay Waiting."""
    for name, record in draft.phases.items():
        if record.state in _STOPPABLE and record.attempt > 0:
            draft.phases[name] = record.model_copy(
                update={
                    "state": state,
                    "reason": reason,
                    "message": clip(message),
                    "next_attempt_time": None,
                    "completion_time": draft.now,
                }
            )


def pause_phases(draft: Draft) -> None:
    """Take back live attempts. They count as nothing; the next one has the next number."""
    for name, record in draft.phases.items():
        if record.state is PhaseState.RUNNING:
            draft.phases[name] = record.model_copy(
                update={
                    "state": PhaseState.WAITING,
                    "reason": Reason.SUSPENDED,
                    "message": "The attempt was stopped because the job is suspended.",
                }
            )
