"""What admission reads of the caches about one AudioJob."""

from __future__ import annotations

from collections import Counter

from pydantic import ValidationError

from audiojob_operator.admission.roster import ChildFacts, JobFacts
from audiojob_operator.records.admission import SITE_GPUS, kind_of_workers
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import SiteUse
from audiojob_operator.state.caches import Caches


def job_facts(caches: Caches, key: Key) -> JobFacts:
    """What the caches know of an AudioJob."""
    known = caches.audiojobs.get(key)
    if known is None:
        return JobFacts()
    if key[0] not in caches.namespaces:
        return JobFacts(known.uid, active=False)
    try:
        job = known.job
    except ValidationError:
        return JobFacts(known.uid)  # reported when its own turn comes
    begins = not caches.begins_nothing(key)
    if not begins and not caches.has_work(key):
        return JobFacts(known.uid)  # its slot and GPUs are free once nothing of its work is left
    return JobFacts(
        known.uid,
        job,
        caches.spec_of(known),
        caches.unready_models(key[0]),
        not known.finished,
        begins,
        gpu_pools=caches.workers.gpu_pools(key[0]),
    )


def child_facts(caches: Caches, key: Key) -> ChildFacts:
    """What the caches know of an AudioJob's Jobs."""
    cache = caches.namespaces.get(key[0])
    if cache is None:
        return ChildFacts()
    kueue_gpus, gpus = 0, Counter[str]()
    for each in cache.gpus_of(key[1]):
        if each.managed:
            kueue_gpus += each.gpus
        else:
            gpus[caches.gpu_pool(each.resource)] += each.gpus
    for pool, job_name in caches.workers.workers_of(key):
        worker = cache.live_gpus.get((key[0], job_name))
        if worker is not None:  # Kueue gives a pool its GPUs, and to whom the pool gives them is ours
            gpus[kind_of_workers(pool)] += worker.gpus
    downloads = tuple(SiteUse(each.host, each.created, each.live) for each in cache.fetches_of(key[1]))
    live = cache.has_live_job(key[1]) or (caches.begins_nothing(key) and caches.has_work(key))
    unplaced = sum(caches.gpu_pool(each) == SITE_GPUS for each in cache.unplaced_gpus_of(key[1]))
    return ChildFacts(live, gpus.pop(SITE_GPUS, 0), kueue_gpus, downloads, gpus, unplaced)
