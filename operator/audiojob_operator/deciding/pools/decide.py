"""What to do about a pool: how many workers there should be, what each is told, and which must go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from audiojob_operator.building.pools.worker import order_text, work_terms, worker_labels
from audiojob_operator.deciding.pools.again import due, seconds_to_next, told_again
from audiojob_operator.records.changes import clip
from audiojob_operator.records.objects import Object
from audiojob_operator.records.workers import Bound, PoolFacts, Worker, WorkerPod
from audiojob_types import constants as c
from audiojob_types.workers.order import WorkTerms
from audiojob_types.workers.pool import AudioWorkerPoolStatus

BEGIN_SECONDS: Final = 60.0
"""A worker that has not begun by then what it was told hangs."""
FIRST_SECONDS: Final = 300.0
"""The same of its first phase: it may still load libraries and networks."""
SETTLED_SECONDS: Final = 0.5
"""So long after its phase ended a worker is left alone: what it is told next replaces what it was told."""
_LATE_AFTER: Final = timedelta(seconds=30)
_MOST_AT_ONCE: Final = 10  # Jobs made in one go
_LOOK_SECONDS: Final = 15.0  # while something is in the way that nobody tells


@dataclass(frozen=True, slots=True)
class PoolObserved:
    """What a decision depends on. Phases are given by pod uid.

    ``held``: pods that a reconcile is about to give a phase, or to tell one ahead. ``hung``: they did not begin one,
    which begins anew elsewhere. ``free_since``: when a phase was last taken from a pod. ``room``: how many more workers
    the GPUs allow, None without a limit. ``wanted``: somebody waits for what idle workers hold, and has for a while.
    ``outranked``: so many workers must end for AudioJobs that go before those which wait for the pool.
    ``rests_until``: workers have failed, and none is made before. Moments are those of ``clock``.
    """

    facts: PoolFacts
    workers: tuple[Worker, ...]
    now: datetime
    clock: float = 0.0
    bound: Mapping[str, tuple[Bound, ...]] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    hung: frozenset[str] = frozenset()
    free_since: Mapping[str, float] = field(default_factory=dict)
    waiting: int = 0
    room: int | None = None
    wanted: bool = False
    outranked: int = 0
    rests_until: float = 0.0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A pod's order, and what it is to be, as long as it is that."""

    pod: str
    pod_uid: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What to do, in this order: ``delete``, ``status``, ``create``, ``rewrite``.

    The status comes before a Job that uses a number of it: after a kill between them the number stays unused, and is
    never given twice. ``retire``: pods that get no phase from now on. ``lacks``: phases wait for so many workers
    for which there is no GPU. ``stuck``: what keeps workers from their start.
    """

    status: AudioWorkerPoolStatus
    delete: tuple[Worker, ...] = ()
    create: tuple[tuple[int, str], ...] = ()
    rewrite: tuple[Rewriting, ...] = ()
    retire: frozenset[str] = frozenset()
    lacks: int = 0
    stuck: str = ""
    requeue_after: float | None = None


def decide_pool(seen: PoolObserved) -> PoolPlan:
    """The one decision about a pool."""
    live = [each for each in seen.workers if each.live]
    desired = _desired(seen, live)
    leaving = _leaving(seen, live)
    staying = [each for each in live if each not in leaving]
    create = _to_create(seen, desired, live, staying)
    stays = _stays(seen, staying)
    hung = [each for each in live if hangs(seen, each)]
    gone = [each for each in seen.workers if _is_over(seen, each)]
    # One that has not started is told nothing: nobody knows whether it ever will.
    unstarted = [each for each in leaving if not _is_up(each) and not is_taken(seen, each)]
    deleted = tuple({each.job_name: each for each in (*gone, *hung, *unstarted)}.values())
    told = [each for each in live if each not in deleted]
    rewrite, later = _rewrites(seen, told, leaving, stays)
    first = seen.facts.pool.status.next_number
    spare = max(0, seen.facts.pool.spec.min_workers - len(stays)) if not seen.wanted else 0
    return PoolPlan(
        status=_status(seen, live, desired, create),
        delete=deleted,
        create=tuple(
            (first + place, order_text(work_terms(seen.facts.pool, stays=place < spare, drain=False)))
            for place in range(create)
        ),
        rewrite=tuple(rewrite),
        retire=frozenset(each.pod.uid for each in (*leaving, *deleted) if each.pod is not None),
        lacks=desired - len(live) if seen.waiting and _lacks_gpus(seen, live, desired) else 0,
        # Of a pod that has just come the kubelet says so too: its volumes are on their way.
        stuck=clip(seen.facts.problem) or _stuck(seen, [each for each in live if _is_late(seen, each)]),
        requeue_after=_requeue(seen, live, desired, later=later),
    )


# ---------------------------------------------------------------- how many


def _desired(seen: PoolObserved, live: Sequence[Worker]) -> int:
    spec = seen.facts.pool.spec
    if seen.facts.closed:
        return 0
    busy = sum(is_taken(seen, each) for each in live)
    more = seen.waiting // spec.scale_up_queue_depth or int(seen.waiting > 0 and not busy)
    desired = max(busy + more, 0 if yields(seen) else spec.min_workers)
    if seen.waiting > spec.scale_down_queue_depth:
        desired = max(desired, len(live))
    return min(desired, spec.max_workers)


def yields(seen: PoolObserved) -> bool:
    """Whether idle workers go at once, also those that would stay: somebody waits for what they hold."""
    return seen.wanted and not seen.waiting


def _to_create(seen: PoolObserved, desired: int, live: Sequence[Worker], staying: Sequence[Worker]) -> int:
    if seen.facts.closed or seen.clock < seen.rests_until:
        return 0
    leaving_busy = sum(is_taken(seen, each) for each in live if each not in staying)
    most = [desired - leaving_busy - len(staying), seen.facts.pool.spec.max_workers - len(live), _MOST_AT_ONCE]
    return max(0, min(most if seen.room is None else [*most, seen.room]))


def _lacks_gpus(seen: PoolObserved, live: Sequence[Worker], desired: int) -> bool:
    rests = seen.clock < seen.rests_until
    return seen.room is not None and seen.room <= 0 and desired > len(live) and not rests


def _leaving(seen: PoolObserved, live: Sequence[Worker]) -> list[Worker]:
    """Those that take no phase any more, and end once they have none."""
    if seen.facts.closed:
        return list(live)
    old = [each for each in live if each.built_from != seen.facts.built_from or drains(each)]
    rest = [each for each in live if each not in old]
    if yields(seen):
        old += [each for each in rest if not is_taken(seen, each)]
    elif seen.outranked:
        going = len(old) + sum(_is_on_its_way_out(each) for each in seen.workers)
        old += _last_first(seen, rest)[: max(0, seen.outranked - going)]
    rest = [each for each in rest if each not in old]
    over = len(rest) - seen.facts.pool.spec.max_workers
    if over > 0:
        old += _last_first(seen, rest)[:over]
    return old


def _last_first(seen: PoolObserved, workers: Sequence[Worker]) -> list[Worker]:
    """The newest first, and those that work last."""
    return sorted(workers, key=lambda each: (is_taken(seen, each), -each.number))


def _stays(seen: PoolObserved, staying: Sequence[Worker]) -> list[Worker]:
    """Those that stay without work: the same ones as long as they live, so that orders are not rewritten for it."""

    def rank(worker: Worker) -> tuple[bool, int]:
        order = worker.pod.order if worker.pod is not None else None
        return order is None or order.idle_seconds is not None, worker.number

    return sorted(staying, key=rank)[: seen.facts.pool.spec.min_workers]


# ---------------------------------------------------------------- one worker


def _is_up(worker: Worker) -> bool:
    return worker.pod is not None and worker.pod.up


def drains(worker: Worker) -> bool:
    """Whether it is told to take no phase any more."""
    return worker.pod is not None and worker.pod.order is not None and worker.pod.order.drain


def is_taken(seen: PoolObserved, worker: Worker) -> bool:
    """Whether it has a phase, or gets one at this moment."""
    return worker.pod is not None and (worker.pod.uid in seen.bound or worker.pod.uid in seen.held)


def _is_on_its_way_out(worker: Worker) -> bool:
    """Whether what it holds will be free soon."""
    ends = worker.deleting or (worker.pod is not None and worker.pod.terminating)
    return ends and not worker.finished


def _is_over(seen: PoolObserved, worker: Worker) -> bool:
    """Whether its Job has told all that it can: nobody's phase may still be read from its pod."""
    bound = worker.pod is not None and worker.pod.uid in seen.bound
    return worker.finished and not worker.deleting and not bound


def hangs(seen: PoolObserved, worker: Worker) -> bool:
    """Whether it was told a phase, and does not begin it."""
    if worker.pod is None:
        return False
    uid = worker.pod.uid
    seconds = BEGIN_SECONDS if uid in seen.free_since else FIRST_SECONDS
    # What it was told ahead it fetches first: a large file may be on its way.
    late = (
        seen.clock - each.since > (FIRST_SECONDS if each.ahead else seconds) for each in due(seen.bound.get(uid, ()))
    )
    return uid in seen.hung or any(late)


# ---------------------------------------------------------------- what they are told


def _rewrites(
    seen: PoolObserved, workers: Sequence[Worker], leaving: Sequence[Worker], stays: Sequence[Worker]
) -> tuple[list[Rewriting], bool]:
    """Orders that are not as they should be, and whether some must be looked at again soon."""
    found, later = [], False
    for worker in workers:
        if worker.pod is None:
            continue
        if not _may_rewrite(seen, worker.pod):
            later = True
            continue
        terms = work_terms(seen.facts.pool, stays=worker in stays, drain=worker in leaving)
        after = _order_after(seen, worker.pod, terms)
        after = told_again(worker.pod.order_text, after, seen.bound.get(worker.pod.uid, ()), seen.clock)
        if after != worker.pod.order_text:
            found.append(Rewriting(worker.pod.name, worker.pod.uid, worker.pod.order_text, after))
    return found, later


def _may_rewrite(seen: PoolObserved, pod: WorkerPod) -> bool:
    """Whether nobody else is about to write the order: a reconcile that has taken the seat tells its phase."""
    bound = seen.bound.get(pod.uid, ())
    if pod.uid in seen.held or not all(pod.tells(*each.identity) for each in bound):
        return False
    told = pod.order.told if pod.order is not None else ()
    settled = seen.clock - seen.free_since.get(pod.uid, 0.0) >= SETTLED_SECONDS
    return settled or len(told) <= len(bound)


def _order_after(seen: PoolObserved, pod: WorkerPod, terms: WorkTerms) -> str:
    """The order as it should be: as it stands there, if that says so."""
    if pod.order is None:
        return order_text(terms)
    bound = {each.identity for each in seen.bound.get(pod.uid, ())}
    kept = [(each.uid, each.phase, each.attempt) in bound for each in pod.order.told]
    now = WorkTerms.model_validate({name: getattr(pod.order, name) for name in WorkTerms.model_fields})
    if now == terms and all(kept):
        return pod.order_text
    # As they stand there: a later version may have told more than this one knows.
    raw: list[Object] = json.loads(pod.order_text).get("told") or []
    return order_text(terms, [each for each, keep in zip(raw, kept, strict=True) if keep])


# ---------------------------------------------------------------- status


def _status(seen: PoolObserved, live: Sequence[Worker], desired: int, create: int) -> AudioWorkerPoolStatus:
    pool, before = seen.facts.pool, seen.facts.pool.status
    busy = sum(is_taken(seen, each) for each in live)
    idle = sum(_is_up(each) and not is_taken(seen, each) for each in live)
    scaled = desired != before.desired
    return AudioWorkerPoolStatus(
        observed_generation=pool.metadata.generation,
        workers=len(live),
        starting=len(live) - busy - idle,
        idle=idle,
        busy=busy,
        desired=desired,
        waiting=seen.waiting,
        phases_done=before.phases_done,
        next_number=before.next_number + create,
        last_scale_time=seen.now.replace(microsecond=0) if scaled else before.last_scale_time,
        selector=f"{c.LABEL_POOL}={worker_labels(pool.metadata.name)[c.LABEL_POOL]}",
        message=_message(seen, live, desired) or None,
    )


def _message(seen: PoolObserved, live: Sequence[Worker], desired: int) -> str:
    if seen.facts.problem:
        return clip(seen.facts.problem)
    if seen.facts.closed:
        return "The pool is closed, as maxWorkers is 0: phases that wait take Jobs of their own."
    if stuck := _stuck(seen, live) or _waits_for_kueue(seen, live):
        return stuck
    if seen.clock < seen.rests_until:
        return clip(f"Workers end before they have done anything; the next one is made later. {seen.failure}")
    if seen.outranked and seen.waiting:
        return "Workers end after their phase for AudioJobs that wait for a GPU and go before those of the pool."
    if _lacks_gpus(seen, live, desired):
        return "All GPUs are in use: a worker is made when some are free."
    if yields(seen):
        return "Idle workers end, as others wait for what they hold."
    return _who_waits(seen, live) if seen.waiting else ""


def _who_waits(seen: PoolObserved, live: Sequence[Worker]) -> str:
    busy = sum(is_taken(seen, each) for each in live)
    starting = sum(not _is_up(each) and not is_taken(seen, each) for each in live)
    workers = (
        f"{busy} of {len(live)} have a phase, {starting} start, and maxWorkers is {seen.facts.pool.spec.max_workers}"
    )
    return f"Phases that wait: {seen.waiting}. Of the workers {workers}."


def _stuck(seen: PoolObserved, live: Sequence[Worker]) -> str:
    """What keeps a worker from its start, where only a person can help."""
    for worker in live:
        if worker.pod is not None and worker.pod.trouble:
            return clip(f"Worker {worker.job_name} cannot start: {worker.pod.trouble}")
    # A Job that has no pod looks like one that starts, and nobody else tells why.
    without = _without_pod(seen, live)
    if without is None or seen.facts.pool.spec.kueue_local_queue is not None:
        return ""
    return clip(
        f"Worker {without.job_name} gets no pod: a quota of the namespace may be full. Its events tell more: "
        f"kubectl describe job {without.job_name} -n {seen.facts.pool.metadata.namespace}"
    )


def _waits_for_kueue(seen: PoolObserved, live: Sequence[Worker]) -> str:
    worker, queue = _without_pod(seen, live), seen.facts.pool.spec.kueue_local_queue
    if worker is None or queue is None:
        return ""
    return clip(f"Worker {worker.job_name} waits for Kueue: LocalQueue {queue} has not admitted its Job.")


def _without_pod(seen: PoolObserved, live: Sequence[Worker]) -> Worker | None:
    return next((each for each in live if each.pod is None and _is_late(seen, each)), None)


def _is_late(seen: PoolObserved, worker: Worker) -> bool:
    return seen.now - worker.created > _LATE_AFTER


def _requeue(seen: PoolObserved, live: Sequence[Worker], desired: int, *, later: bool) -> float | None:
    """When time alone may change the decision."""
    moments = [SETTLED_SECONDS] if later else []
    if seen.clock < seen.rests_until:
        moments.append(seen.rests_until - seen.clock)
    if any(map(due, seen.bound.values())):
        moments.append(BEGIN_SECONDS)
    again = (seconds_to_next(bound, seen.clock) for bound in seen.bound.values())
    moments += [each for each in again if each is not None]
    if live or desired or seen.waiting:
        moments.append(_LOOK_SECONDS)
    return min(moments, default=None)
