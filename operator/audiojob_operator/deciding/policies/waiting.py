"""Why a job that is neither cancelled nor suspended may not start yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from audiojob_operator.building.handed_in import Reviews
from audiojob_operator.deciding.policies.blocker import Facts
from audiojob_operator.deciding.policies.ready import lacks_all_models
from audiojob_operator.deciding.reuse.references import NotYet
from audiojob_operator.records.changes import clip
from audiojob_operator.records.observed import Observed, Unreadable
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason


@dataclass(frozen=True, slots=True)
class Wait:
    """A reason to wait; ``until`` if time alone ends it, ``other`` is the AudioJob whose end does.

    ``missing``: what it waits for does not exist, and may never.
    """

    reason: Reason
    message: str
    until: datetime | None = None
    other: str | None = None
    missing: bool = False


def unprepared(observed: Observed) -> Wait | None:
    """Nothing can run where the administrator has put no service account and no store."""
    if observed.namespace_prepared:
        return None
    namespace = observed.job.metadata.namespace
    return Wait(
        Reason.NAMESPACE_NOT_PREPARED,
        f"Namespace {namespace} is not prepared for jobs. Ask the administrator to add it to jobNamespaces: "
        "helm upgrade audiojob charts/audiojob -n audiojob-system --reuse-values "
        f"--set 'jobNamespaces={{<current namespaces>,{namespace}}}'",
        missing=True,
    )


def no_pipeline(observed: Observed) -> Wait | None:
    """The job starts by itself when its pipeline appears."""
    if observed.pipeline is not None:
        return None
    name = observed.job.spec.pipeline
    return Wait(
        Reason.PIPELINE_NOT_FOUND,
        f"There is no AudioPipeline {name}. See the names with: kubectl get audiopipelines",
        missing=True,
    )


def unreadable_revision(revision: Unreadable) -> Wait:
    """A later version admitted the job and was rolled back. What runs goes on; nothing new starts."""
    message = f"The job needs the later version of the operator that started it. {revision.problem}"
    return Wait(Reason.REVISION_UNREADABLE, clip(message))


def unresolved_job(why: NotYet | None) -> Wait | None:
    """An AudioJob that this one names has not ended or cannot be read; this one is looked at again when it has."""
    if why is None:
        return None
    return Wait(Reason.WAITING_FOR_JOB, why.message, other=why.job, missing=why.missing)


def start_time_ahead(observed: Observed, now: datetime) -> Wait | None:
    """spec.startTime is the earliest moment."""
    start = observed.job.spec.start_time
    if start is None or now >= start:
        return None
    return Wait(Reason.START_TIME_AHEAD, f"The job waits for its startTime, {format_time(start)}.", until=start)


def no_model(observed: Observed, now: datetime) -> Wait | None:
    """A job that has not begun, and whose first phases all need a model that is on its way."""
    if observed.pipeline is None or observed.models is None:
        return None
    reviews = Reviews.of(observed.job.spec, observed.pipeline.spec)
    facts = Facts(observed.job.spec, unready=observed.models.unready, models=observed.models, reviews=reviews)
    found = lacks_all_models(observed.pipeline.spec, facts, now)
    return Wait(found.reason, found.message, found.until) if found is not None else None


def not_admitted(observed: Observed) -> Wait | None:
    """The job is not admitted."""
    if observed.admitted.admitted:
        return None
    reason = observed.admitted.reason
    return Wait(reason, observed.admitted.message, missing=reason is Reason.QUEUE_NOT_FOUND)
