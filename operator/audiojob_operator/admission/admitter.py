"""The shell around the scheduler: when a cycle is due, whom it wakes, and what a reconcile has reserved."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from audiojob_operator.admission.cycle import ADMITTED
from audiojob_operator.admission.gpus.sharing import Claim, GpusForPool
from audiojob_operator.admission.known import child_facts, job_facts
from audiojob_operator.admission.limits import GpuOffer, Growth, Limits
from audiojob_operator.admission.scheduler import QueueNumbers, Scheduler
from audiojob_operator.deciding.policies.sites import site_host
from audiojob_operator.records.admission import Admission, Backlog, QueueKey, Rest
from audiojob_operator.records.objects import Key
from audiojob_operator.records.reuse import Fresh, ReuseAnswer, SameWork
from audiojob_operator.records.sites import SiteRules
from audiojob_operator.settings import Capacity
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.jobstore import Known
from audiojob_operator.state.listener import WorkKey
from audiojob_operator.state.reuse_index import ReuseIndex
from audiojob_types.resources.job import AudioJob

_log = logging.getLogger(__name__)

_NO_LIMITS = SiteRules()


@dataclass(frozen=True, slots=True)
class Pace:
    """Pauses between two cycles, in seconds. A cycle is followed by ``cost_factor`` times what it took: about a tenth
    of the time goes into cycles. Free slots stay empty meanwhile, so it is at most ``longest``.
    """

    shortest: float = 0.05
    longest: float = 1.0
    cost_factor: float = 10.0

    def pause(self, took: float, *, idle: bool) -> float:
        """How long after its beginning a cycle is followed by the next; where nothing is limited there is no hurry."""
        return self.longest if idle else min(max(self.cost_factor * took, self.shortest), self.longest)


_PACE = Pace()


class Wake(Protocol):
    """Has a job reconciled: `first` before all others."""

    def __call__(self, key: Key, /, *, first: bool) -> None: ...


class Admitter:
    """One serial scheduling cycle over all jobs that want to run, repeated when something changed, but not for each
    change.

    ``wake`` is called for a job whose answer changed. Where slots are scarce, one that may run goes first: its slot
    must not stay empty until thousands know that they wait.
    """

    def __init__(
        self,
        caches: Caches,
        capacity: Capacity,
        wake: Wake,
        sites: SiteRules = _NO_LIMITS,
        reuse: ReuseIndex | None = None,
        pace: Pace = _PACE,
    ) -> None:
        self._caches = caches
        self._capacity = capacity
        self._wake = wake
        self._sites = sites
        self._reuse = reuse
        self._pace = pace
        self._scheduler = Scheduler(sites)
        self._changed: dict[Key, None] = {}
        self._rests: dict[Key, Rest] = {}
        self._early: set[Key] = set()  # reconciles that are about to make a Job whose pod begins early
        self._claims: dict[Key, Claim] = {}  # by pool
        self._workers_soon: Counter[str] = Counter()  # GPUs of workers that are about to be made, by resource
        self._limits: Limits | None = None  # None: to be read again
        self._open = False
        self._due = True
        self._not_before = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None  # for what time alone changes

    # ---------------------------------------------------------------- what the caches report

    def open(self) -> None:
        """All that holds a slot is known from now on. No cycle is made before: it would give slots away twice.

        The first one is made here: until then no host would be known that must not be asked.
        """
        self._open = True
        for key, _ in self._caches.audiojobs.active():
            self._changed[key] = None
        for namespace, cache in self._caches.namespaces.items():
            self._changed |= {(namespace, owner): None for owner in cache.owners()}
        self.touch()
        self._try_cycle()

    def changed(self, key: Key) -> None:
        """What is known of a job or of its Jobs changed."""
        self._changed[key] = None
        self.touch()

    def capacity_changed(self) -> None:
        """Queues or nodes changed."""
        self._limits = None
        self.touch()

    def touch(self) -> None:
        """Something changed that admission may depend on."""
        self._due = True
        if self._timer is None and self._open:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, self._not_before - loop.time()), self._on_timer)

    # ---------------------------------------------------------------- the cycle

    def cycle(self) -> None:
        """Make a scheduling cycle now."""
        began, now = time.monotonic(), datetime.now(UTC)
        self._take_over(now)
        contended = self._scheduler.contended
        woken = self._scheduler.cycle(self._current_limits(), now)
        if self._scheduler.contended != contended or any(map(self._may_be_met, self._claims.values())):
            self._caches.wake_pools()  # one may have to give way, or have a GPU now
        self._due = False
        pause = self._pace.pause(time.monotonic() - began, idle=self._scheduler.idle)
        self._not_before = asyncio.get_running_loop().time() + pause
        self._set_alarm(now)
        for each in woken:
            self._wake(each.key, first=each.first)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._cycle_if_due() and self._due:
            self.touch()

    def _cycle_if_due(self) -> bool:
        due = self._due and self._open and asyncio.get_running_loop().time() >= self._not_before
        if due:
            self._try_cycle()
        return due

    def _try_cycle(self) -> None:
        """A fault of ours ends neither the process nor the cycles, and is not laid to the job that asked for one."""
        try:
            self.cycle()
        except Exception:  # noqa: BLE001
            _log.exception("a scheduling cycle failed; the next is made in %.0f s", self._pace.longest)
            self._not_before = asyncio.get_running_loop().time() + self._pace.longest
            self._due = True
            self.touch()

    def _take_over(self, now: datetime) -> None:
        while self._changed:
            key, _ = self._changed.popitem()
            try:
                self._update(key, now)
            except Exception:  # noqa: BLE001 - its own reconcile meets the same fault, and parks it
                _log.exception("%s/%s: admission cannot tell what the job means to it", *key)

    def _update(self, key: Key, now: datetime) -> None:
        facts, rest = job_facts(self._caches, key), self._rests.get(key)
        if rest is not None and rest.uid == facts.uid and now < rest.until:
            facts = replace(facts, rest=rest)
        elif rest is not None:
            del self._rests[key]
        self._scheduler.update(key, facts, child_facts(self._caches, key), now)

    def _current_limits(self) -> Limits:
        if self._limits is None:
            capacity, caches = self._capacity, self._caches
            offered, most, site = caches.gpus.offered, caches.gpus.per_node, caches.gpu_resource
            workers = caches.worker_gpus + self._workers_soon
            total = offered.get(site, 0) if capacity.gpus is None else capacity.gpus
            self._limits = Limits(
                max_running=capacity.max_running,
                gpus=max(0, total - workers[site]),
                gpus_strict=capacity.gpus is not None,
                gpus_per_node=most.get(site, 0),
                gpu_resource=site,
                other_gpus={
                    name: GpuOffer(max(0, count - workers[name]), most[name])
                    for name, count in offered.items()
                    if name != site
                },
                workers_have=workers[site] > 0,
                claims=dict(self._claims),
                queues={key: queue.spec for key, queue in caches.queues.items()},
                ageing_seconds=capacity.ageing_seconds,
                site_rules=self._sites,
                growth=growth_of(capacity),
            )
        return self._limits

    def _set_alarm(self, now: datetime) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if (moment := self._scheduler.next_moment(now)) is not None:
            self._alarm = asyncio.get_running_loop().call_later((moment - now).total_seconds(), self.touch)

    # ---------------------------------------------------------------- a reconcile

    def reservation(self, key: Key, known: Known) -> Reservation:
        """What the job was given, for one reconcile: ``with admitter.reservation(key, known) as reservation``."""
        return Reservation(self, key, known)

    def reserve(self, key: Key, known: Known) -> Admission | None:
        """Hold what the job was given until :meth:`release`."""
        if self._reuse is not None:
            self._reuse.forget_waits(key)
        if known.finished:
            return ADMITTED
        if not self._open:
            return None
        now = datetime.now(UTC)
        self._changed.pop(key, None)
        self._update(key, now)
        found = self._scheduler.answer(key)
        if found is None or not found.admitted:
            if self._scheduler.idle:
                self._not_before = 0.0  # the first one that must ask does not pay for the rest taken before it
            self._cycle_if_due()
        return self._scheduler.reserve(key, self._current_limits(), now)

    def claim(self, work: WorkKey, key: Key) -> None:
        """The job may begin the work: until :meth:`release` others wait for it."""
        self._scheduler.ledger.claim(key, work)

    def wait(self, work: WorkKey, key: Key) -> None:
        """The job waits for those who do the work."""
        assert self._reuse is not None, "a decision asks only where there is somebody to answer"
        self._reuse.wait(work, key)

    def begin_early(self, key: Key, most: int) -> bool:
        """Whether one more pod may begin early, of so many at the same time. Held until :meth:`release`."""
        if len(self._early) + sum(cache.untold for cache in self._caches.namespaces.values()) >= most:
            return False
        self._early.add(key)
        return True

    def rest(self, key: Key, rest: Rest) -> None:
        """Give the job nothing until then."""
        self._rests[key] = rest

    def release(self, key: Key) -> None:
        """The reconcile has ended."""
        self._early.discard(key)
        for work in self._scheduler.release(key):
            assert self._reuse is not None, "work is claimed only where it is reused"
            begun = key[1] in self._caches.namespaces[work[0]].workers_on(work[1])
            self._reuse.unclaimed(work, key, begun=begun)
        # A host that has just asked for rest must not be asked by those that come before the next cycle.
        self._changed.pop(key, None)
        self._update(key, datetime.now(UTC))
        self.touch()

    # ---------------------------------------------------------------- questions

    def claimed_by(self, work: WorkKey) -> Key | None:
        """The AudioJob whose reconcile is about to begin a piece of work."""
        return self._scheduler.ledger.claimed_by(work)

    def cooling(self, job: AudioJob) -> datetime | None:
        """Until when the job's host must not be asked; None if it may be asked."""
        host = site_host(job.spec)
        return self._scheduler.cooling(host, job.metadata.namespace, datetime.now(UTC)) if host else None

    def goes_first(self, key: Key) -> bool:
        """Whether to reconcile the job before those that only wait: it holds a slot that others may be waiting for."""
        found = self._scheduler.answer(key)
        return not self._scheduler.idle and found is not None and found.admitted

    def somebody_waits(self) -> bool:
        """Whether a job waits for a slot or a GPU, a pod for a node, or a Job for a quota to leave room for its pod, so
        that nobody may hold any ahead of time."""
        return self._scheduler.somebody_waits or self._caches.pod_waits(datetime.now(UTC))

    def gpus_for(self, pool: Key, resource: str, has: int, waiting: Iterable[Key]) -> GpusForPool:
        """What a pool may have of that resource; ``waiting`` AudioJobs wait for its workers, which have ``has``."""
        wanted = self._scheduler.wanted(self._current_limits(), datetime.now(UTC))
        return wanted.for_pool(pool, self._caches.gpu_pool(resource), has, waiting)

    def _may_be_met(self, claim: Claim) -> bool:
        return self._current_limits().there(claim.kind) - self.gpus.get(claim.kind, 0) >= claim.gpus

    def workers_lack(self, pool: Key, resource: str, workers: int, gpus: int, waiting: Iterable[Key]) -> None:
        """A pool lacks so many workers (or none) with so many GPUs each: free ones are kept for them in their turn."""
        first = self._scheduler.wanted(self._current_limits(), datetime.now(UTC)).first(waiting)
        claim = Claim(self._caches.gpu_pool(resource), workers, gpus, first) if workers and first is not None else None
        if claim == self._claims.get(pool):
            return
        if claim is not None:
            self._claims[pool] = claim
        else:
            del self._claims[pool]
        self.capacity_changed()
        self._caches.wake_pools()  # those that may give way, or need not any more

    def workers_soon(self, resource: str, gpus: int) -> None:
        """Workers are about to be made that have so many GPUs: nobody else is given these. Negative: that is over."""
        self._workers_soon[resource] += gpus
        self.capacity_changed()

    @property
    def numbers(self) -> Mapping[QueueKey, QueueNumbers]:
        """Queues at the last cycle."""
        return self._scheduler.numbers

    def backlog(self) -> Backlog:
        """What waits for slots and GPUs."""
        return self._scheduler.backlog(self._current_limits(), datetime.now(UTC))

    @property
    def gpus(self) -> Mapping[str, int]:
        """GPUs of live Jobs, or given to phases that are about to start, by the pool of their kind; those that Kueue
        counts are not in it."""
        return self._scheduler.ledger.gpus_by_pool

    @property
    def running(self) -> int:
        """AudioJobs that hold a slot, in all queues."""
        return self._scheduler.running


class Reservation:
    """What one reconcile of a job may use: reserved at the beginning of a ``with`` block, released at its end."""

    _keeps = False

    def __init__(self, admitter: Admitter, key: Key, known: Known) -> None:
        self._admitter = admitter
        self._key = key
        self._known = known
        self.admission: Admission | None = None
        """None: no scheduling cycle has looked at the job yet; it is woken after the one that does."""

    def __enter__(self) -> Reservation:
        self.admission = self._admitter.reserve(self._key, self._known)
        return self

    def __exit__(self, *_: object) -> None:
        if not self._keeps:
            self._admitter.release(self._key)

    def keep(self) -> None:
        """Release nothing: a Job may have been made. The next reconcile finds out, and releases it."""
        self._keeps = True

    def rest(self, rest: Rest | None) -> None:
        """Give the job nothing for a while, where a rest is due."""
        if rest is not None:
            self._admitter.rest(self._key, rest)

    def begin_early(self, most: int) -> bool:
        """Whether a pod of the job may begin before its inputs are there, as one of so many at the same time."""
        return self._admitter.begin_early(self._key, most)

    def take(self, reuse_key: str, answer: ReuseAnswer) -> ReuseAnswer:
        """Act on what was answered about reusable work, before anything else runs: what nobody does, this job may begin
        (others wait for it until the reservation ends), and what another does, it waits for. Returns the answer.
        """
        work = (self._key[0], reuse_key)
        match answer:
            case Fresh() if self.admission is not None and self.admission.admitted:
                self._admitter.claim(work, self._key)
            case SameWork():
                self._admitter.wait(work, self._key)
        return answer


def growth_of(capacity: Capacity) -> Growth | None:
    """What an autoscaler may add."""
    rules = capacity.scale_up
    return Growth(rules.max_gpus, rules.max_unschedulable) if rules.enabled else None


def new_node_gpus(capacity: Capacity) -> int:
    """GPUs of a node that an autoscaler would add; 0: none adds any."""
    return capacity.scale_up.gpus_per_node if capacity.scale_up.enabled else 0
