"""An AudioJob as admission sees it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from audiojob_operator.building.handed_in import Reviews
from audiojob_operator.building.precedence import effective_priority
from audiojob_operator.deciding.policies.blocker import Facts
from audiojob_operator.deciding.policies.ready import by_name, can_go_on, gpu_requests, lacks_all_models
from audiojob_operator.deciding.policies.sites import fetch_request
from audiojob_operator.deciding.status import holds_slot, is_finished
from audiojob_operator.records.admission import Candidate
from audiojob_types import constants as c
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipelineSpec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_POOLS: Final[Mapping[str, int]] = {}


def candidate(
    job: AudioJob,
    pipeline: AudioPipelineSpec | None,
    now: datetime,
    *,
    live: bool = False,
    unready: frozenset[str] = frozenset(),
    gpu_pools: Mapping[str, int] = _NO_POOLS,
) -> Candidate | None:
    """The job as admission sees it; None if a slot would be of no use to it now.

    ``pipeline`` is the one that the job runs, or would run: a job without one cannot start and must not keep a slot
    from others. ``live``: one of its Jobs runs or will, whether its status says so or the operator ended between the
    two writes. ``unready`` are models that are not there yet. ``gpu_pools``: how many GPUs each
    worker of those pools has.
    """
    spec, metadata = job.spec, job.metadata
    if is_finished(job) or spec.suspend or spec.cancel or metadata.deletion_timestamp is not None:
        return None
    holds = live or holds_slot(job)
    reviews = Reviews.of(spec, pipeline) if pipeline is not None else Reviews()
    facts = Facts(spec, by_name(job.status.phases), unready, reviews=reviews, gpu_pools=gpu_pools)
    if not holds and (pipeline is None or _waits_for_another(job, pipeline, facts, now)):
        return None
    created = metadata.creation_timestamp or _EPOCH
    eligible = max(created, spec.start_time or created)
    return Candidate(
        key=(metadata.namespace, metadata.name),
        priority=effective_priority(spec, pipeline),
        created=created,
        holds_slot=holds,
        queue=spec.queue_name,
        user=metadata.labels.get(c.LABEL_USER, ""),
        requests=gpu_requests(pipeline, facts, eligible, now) if pipeline is not None else (),
        fetch=fetch_request(pipeline, facts, now) if pipeline is not None else None,
    )


def _waits_for_another(job: AudioJob, pipeline: AudioPipelineSpec, facts: Facts, now: datetime) -> bool:
    """Whether the job waits for something that no slot would bring."""
    if job.spec.start_time is not None and now < job.spec.start_time:
        return True
    if job.status.pipeline_revision is None:
        if lacks_all_models(pipeline, facts, now) is not None:
            return True
    elif not can_go_on(pipeline, facts, now):
        return True
    if job.status.waiting_for is not None:
        return True  # until a reconcile finds that it does not; then it asks for a slot
    source = job.spec.source
    return source is not None and source.job_ref is not None and job.status.source is None
