"""Which of the waiting jobs may start: one serial pass over the pool, the most urgent first, then the oldest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from audiojob_operator.model import Admission, AdmissionSnapshot, Candidate, Key
from audiojob_operator.resolve import effective_priority
from audiojob_operator.status import holds_slot, is_finished
from audiojob_types.job import AudioJob
from audiojob_types.pipeline import AudioPipelineSpec
from audiojob_types.reasons import Reason

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
ADMITTED: Final = Admission(admitted=True)


def candidate(
    job: AudioJob, pipeline: AudioPipelineSpec | None, now: datetime, *, assumed: bool = False
) -> Candidate | None:
    """The job as admission sees it; None if it does not want to run now.

    ``pipeline`` is the named pipeline, for its default priority; a job without one cannot start and must not keep a
    place from others. ``assumed``: it was let in a moment ago and its status does not say so yet.
    """
    spec, metadata = job.spec, job.metadata
    if is_finished(job) or spec.suspend or spec.cancel or metadata.deletion_timestamp is not None:
        return None
    holds = assumed or holds_slot(job)
    if not holds:
        startable = pipeline is not None or job.status.pipeline_revision is not None
        if not startable or (spec.start_time is not None and now < spec.start_time):
            return None
    return Candidate(
        key=(metadata.namespace, metadata.name),
        priority=effective_priority(spec, pipeline),
        created=metadata.creation_timestamp or _EPOCH,
        holds_slot=holds,
    )


def admit(snapshot: AdmissionSnapshot) -> dict[Key, Admission]:
    """The answer for every candidate. Jobs that hold a place keep it."""
    if snapshot.max_running is None:
        return {each.key: ADMITTED for each in snapshot.candidates}
    held = [each for each in snapshot.candidates if each.holds_slot]
    waiting = sorted(
        (each for each in snapshot.candidates if not each.holds_slot),
        key=lambda each: (-each.priority, each.created, each.key),
    )
    free = max(0, snapshot.max_running - len(held))
    running = len(held) + min(free, len(waiting))
    full = Admission(
        admitted=False,
        reason=Reason.QUEUE_FULL,
        message=f"{running} of {snapshot.max_running} jobs are running; the job waits for a place.",
    )
    answers = {each.key: ADMITTED for each in (*held, *waiting[:free])}
    return answers | {each.key: full for each in waiting[free:]}
