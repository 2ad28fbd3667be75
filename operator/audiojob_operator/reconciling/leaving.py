"""What an operator takes with it when it ends: the pods that wait to be told their inputs.

The next one may be of a version that knows nothing of such pods. It would take one for an attempt at work, wait until
it ends by itself, and count a failure.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from audiojob_kube.errors import ApiError, TransportError
from audiojob_kube.objects import Object, key_of
from audiojob_operator.reconciling.apply import Applier
from audiojob_operator.records.plan import JobRef
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.projections import controller
from audiojob_types import constants as c
from audiojob_types.resources.job import PhaseState

_log = logging.getLogger(__name__)

_CALL_SECONDS: Final = 3.0  # for all of them together: the Lease is to be given back


async def take_back_early(caches: Caches, applier: Applier) -> None:
    """Delete the Jobs that began early and whose turn has not come. To be called when nothing else decides any more.

    Never raises API errors: what stays is taken over by the next operator, or ends by itself.
    """
    waiting = [job for cache in caches.namespaces.values() for job in cache.untold_jobs() if _awaits_turn(caches, job)]
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            for job in waiting:
                namespace, name = key_of(job)
                await applier.delete_job(JobRef(name, job["metadata"]["uid"]), namespace)
    except (ApiError, TransportError, TimeoutError) as error:
        _log.warning("pods that began early were not taken back: %s", str(error) or "no answer in time")


def _awaits_turn(caches: Caches, job: Object) -> bool:
    """Whether no status calls the Job an attempt at work: one whose pod is only not told yet counts."""
    metadata = job["metadata"]
    known = caches.audiojobs.get((metadata["namespace"], controller(job).get("name", "")))
    if known is None:
        return False
    labels = metadata["labels"]
    phase, attempt = labels.get(c.LABEL_PHASE), labels.get(c.LABEL_ATTEMPT)
    records = known.status.get("phases") or ()
    return all(
        each.get("state") == PhaseState.WAITING and str(each.get("attempt", 0)) != attempt
        for each in records
        if each.get("name") == phase
    )
