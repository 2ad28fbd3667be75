"""Admission without a clock or a cluster: what is known of all jobs, what they were granted, and what changed for whom.

Facts come in by :meth:`Scheduler.update`; a cycle gives out what there is and names the jobs whose answer changed; a
reconcile reserves what its job was given, and releases it at its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from audiojob_operator.admission.backlog import find_backlog
from audiojob_operator.admission.cooldowns import CoolDowns
from audiojob_operator.admission.cycle import ADMITTED, Cycle, run_cycle
from audiojob_operator.admission.gpus.wanted import Wanted
from audiojob_operator.admission.ledger import GpuLimits, GrantState, Ledger, Reserved, Resource, Usage
from audiojob_operator.admission.limits import GpuUse, Limits, gpu_use
from audiojob_operator.admission.positions import with_position
from audiojob_operator.admission.roster import ChildFacts, JobFacts, Roster, Row, holding_of, make_row
from audiojob_operator.deciding.attempts.cooldown import refusals
from audiojob_operator.deciding.policies.sites import site_host
from audiojob_operator.records.admission import SITE_GPUS, Admission, Backlog, QueueKey, SiteAnswer
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import SiteRules
from audiojob_operator.state.listener import WorkKey
from audiojob_types.constants import DEFAULT_QUEUE
from audiojob_types.reasons import Reason

_SCARCE: Final = frozenset({Reason.QUEUE_FULL, Reason.WAITING_FOR_GPU})
_LATER: Final = SiteAnswer(False, "The download waits for its turn at the site.")
_NOT_ASKED: Final = Admission(False, Reason.QUEUE_FULL, "The job has not asked for a slot yet.")


@dataclass(frozen=True, slots=True)
class QueueNumbers:
    """A queue at the last cycle: AudioJobs that hold a slot, those that wait for one, and GPUs of live Jobs."""

    running: int = 0
    pending: int = 0
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Wakeup:
    """A job whose answer changed. ``first``: before those that only wait, for others may be waiting for its slot."""

    key: Key
    first: bool


class Scheduler:
    """For one event loop; ``now`` is passed in, limits are those of the moment."""

    def __init__(self, rules: SiteRules) -> None:
        self._rules = rules
        self._roster = Roster()
        self._cycle = Cycle()
        self._before: dict[Key, Admission | None] = {}  # answers of jobs that changed since the last cycle
        self._new: set[Key] = set()  # since the last cycle
        self._unanswered: set[Key] = set()  # a reconcile asked before the cycle that answers
        self._cool_downs = CoolDowns(rules.cool_down)
        self.ledger: Final = Ledger()
        self.idle = False
        """Nothing limits any of the jobs: cycles only count them."""
        self.numbers: dict[QueueKey, QueueNumbers] = {}
        self.running = 0
        """AudioJobs that hold a slot, in all queues."""
        self.somebody_waits = False
        """For a slot or for GPUs that others have."""

    # ---------------------------------------------------------------- facts

    def update(self, key: Key, facts: JobFacts, children: ChildFacts, now: datetime) -> None:
        """Take over what is known of a job. One that means the same as before is not worked out again."""
        row = self._roster.get(key)
        if row is None or row.live != children.live or not _same(row.facts, facts) or _is_over(row, now):
            row = self._put(key, make_row(facts, children.live, self._rules, now), now)
        holding = holding_of(key, facts, row, children, self._rules)
        self.ledger.show(key, holding)
        if holding is None and (facts.job is None or not facts.active):
            self._roster.drop(key)
            self._cool_downs.put(key, {}, now)

    def _put(self, key: Key, row: Row, now: datetime) -> Row:
        before = self._roster.get(key)
        self._before.setdefault(key, self._answer(key))
        if before is None or before.facts.uid != row.facts.uid:
            self.ledger.forget(key)  # an AudioJob of the same name was another one, perhaps of another queue
            self._new.add(key)
        elif before.candidate is None:
            self._new.add(key)
        self._roster.put(key, row)
        self._cool_downs.put(key, self._refusals(row), now)
        return row

    def _refusals(self, row: Row) -> dict[str, datetime]:
        job = row.facts.job
        if job is None or not row.facts.active or job.spec.cancel:
            return {}
        return refusals(job.status.phases, self._rules.cool_down.since)

    # ---------------------------------------------------------------- the cycle

    def cycle(self, limits: Limits, now: datetime) -> list[Wakeup]:
        """Give out what there is, and name the jobs that must be reconciled for it."""
        for key in self._roster.due(now):
            row = self._roster.get(key)
            assert row is not None, "only jobs of the roster are due"
            self._put(key, make_row(row.facts, row.live, self._rules, now), now)
        stood = self.ledger.withdraw()
        usage = self.ledger.usage()
        old, self._cycle = self._cycle, run_cycle(self._roster, usage, limits, self._cool_downs, now)
        self.ledger.offer(self._cycle.offers)
        self.idle = self._is_idle(limits)
        answers = (answer for row in self._cycle.waiting.values() for answer in row.values())
        self.somebody_waits = self._cycle.contended or any(answer.reason in _SCARCE for answer in answers)
        self._count(usage)
        before, self._before = self._before, {}
        unanswered, self._unanswered = self._unanswered, set()
        self._new.clear()
        woken = []
        for key in dict.fromkeys((*before, *old.one, *self._cycle.one, *unanswered, *self._regrouped(old))):
            after = self._answer(key)
            if after is None:
                continue
            known = before[key] if key in before else old.answer(key, self._roster.get(key))
            if known is None or key in unanswered or _is_news(known, after, stood.get(key, {})):
                woken.append(Wakeup(key, first=after.admitted and not self.idle))
        return [*woken, *self._eased()]

    def _eased(self) -> Iterator[Wakeup]:
        """Jobs whose host may be asked sooner than they were told, as the job that was refused is gone."""
        hosts, self._cool_downs.eased = self._cool_downs.eased, set()
        if hosts:
            for key, job in self._roster.jobs():
                if site_host(job.spec) in hosts:
                    yield Wakeup(key, first=False)

    def _regrouped(self, old: Cycle) -> Iterator[Key]:
        """Jobs whose common answer changed."""
        for queue, answers in self._cycle.waiting.items():
            former = old.waiting.get(queue, {})
            for needs, answer in answers.items():
                if needs in former and _gist(former[needs]) != _gist(answer):
                    yield from self._roster.members(queue, needs)
        for queue in old.drained.keys() ^ self._cycle.drained.keys():
            yield from self._roster.holding.get(queue, ())

    def _count(self, usage: Usage) -> None:
        cycle, roster = self._cycle, self._roster
        starting = (row.candidate for key in usage.held if (row := roster.get(key)) and row.candidate)
        counted = Counter(each.queue_key for each in starting if not each.holds_slot)
        gpus = usage.queue_gpus + usage.kueue_gpus
        numbers = {}
        for queue in roster.queues() | gpus.keys():
            running, pending = usage.queue_slots[queue] + cycle.started[queue], roster.waiting_in[queue]
            pending -= cycle.started[queue] + counted[queue]
            if queue in cycle.drained:
                running, pending = 0, pending + running
            numbers[queue] = QueueNumbers(running, pending, gpus[queue])
        self.numbers = numbers
        self.running = sum(each.running for each in numbers.values())

    def next_moment(self, now: datetime) -> datetime | None:
        """When time alone changes an answer: a wait for a GPU or a backoff ends, or a pause of a site."""
        answers = [*self._cycle.one.values(), *(each for row in self._cycle.waiting.values() for each in row.values())]
        moments = [answer.site.until for answer in answers if answer.site is not None]
        moments.append(self._roster.next_moment())
        return min((moment for moment in moments if moment is not None and moment > now), default=None)

    # ---------------------------------------------------------------- a reconcile

    def reserve(self, key: Key, limits: Limits, now: datetime) -> Admission | None:
        """The job's admission; what it gives is held until :meth:`release`.

        None before the cycle that answers: it names the job then.
        """
        row = self._roster.get(key)
        wanted = row.candidate if row is not None else None
        if row is not None and wanted is None and row.facts.rest is not None and row.facts.rests(now):
            return Admission(False, Reason.CREATE_REFUSED, row.facts.rest.message)
        if row is None or wanted is None:
            return _NOT_ASKED  # no cycle will ever look at it, and the decision rests on what it waits for
        if not wanted.holds_slot and is_unlimited(row, limits):
            return ADMITTED
        found = self._answer(key)
        if wanted.holds_slot and (found is None or not (found.admitted or found.drained)):
            found = ADMITTED
        if found is None:
            self._unanswered.add(key)
            return None
        if not found.admitted:
            return with_position(found, row, self._roster, self._cycle, (now, limits.ageing_seconds))
        reserved = self.ledger.reserve(key, now)
        return self._with_site(row, self._with_gpus(key, row, found, reserved, limits), reserved)

    def _with_gpus(self, key: Key, row: Row, found: Admission, reserved: Reserved, limits: Limits) -> Admission:
        """A phase that becomes ready in this very reconcile is served at once where nobody else waits."""
        assert row.candidate is not None, "only candidates are admitted"
        queue = row.candidate.queue_key
        if limits.managed(queue):
            return found  # Kueue counts them
        gpus, pool, spec = reserved.gpus, reserved.pool if reserved.gpus else found.gpu_pool, limits.queue(queue)
        if not gpus and row.gpus_soon and not self._cycle.contended:
            gpus = self.ledger.reserve_spare(key, row.gpus_soon, GpuLimits(limits.gpus, spec.max_gpus))
            pool = SITE_GPUS if gpus else pool
        use = gpu_use(limits, queue, self.ledger.queue_gpus(queue), pool, self.ledger.pool_gpus(pool))
        if pool == found.gpu_pool and found.gpus_total:
            use = GpuUse(found.gpus_used, found.gpus_total)
        return replace(found, gpus=gpus, gpus_used=use.used, gpus_total=use.total, gpu_pool=pool)

    def _with_site(self, row: Row, found: Admission, reserved: Reserved) -> Admission:
        """Where the site has a limit, a download begins only if the last cycle has given a turn."""
        if row.site is None:
            return replace(found, site=None) if found.site is not None else found
        if reserved.download:
            return replace(found, site=SiteAnswer(True))
        known = found.site is not None and not found.site.granted
        return found if known else replace(found, site=_LATER)

    def release(self, key: Key) -> list[WorkKey]:
        """The reconcile has ended. Returns the reusable work that it had claimed."""
        return self.ledger.release(key)

    # ---------------------------------------------------------------- questions

    def cooling(self, host: str, namespace: str, now: datetime) -> datetime | None:
        """Until when jobs of a namespace must not ask a host; None if they may."""
        return self._cool_downs.until(host, namespace, now)

    def backlog(self, limits: Limits, now: datetime) -> Backlog:
        """What waits for slots and GPUs."""
        return find_backlog(self._roster, self.ledger, limits, now)

    def wanted(self, limits: Limits, now: datetime) -> Wanted:
        """Who waits for GPUs."""
        return Wanted(self._roster, self.ledger, self._cycle, limits, now)

    @property
    def contended(self) -> bool:
        """Whether somebody waits for GPUs."""
        return self._cycle.contended

    def answer(self, key: Key) -> Admission | None:
        """What the last cycle answered."""
        return self._answer(key)

    def _answer(self, key: Key) -> Admission | None:
        return None if key in self._new else self._cycle.answer(key, self._roster.get(key))

    def _is_idle(self, limits: Limits) -> bool:
        free = limits.max_running is None and not self._roster.demanding
        return free and all(_is_free(queue, limits) for queue in self._roster.queues())


def is_unlimited(row: Row, limits: Limits) -> bool:
    """Whether nothing stands between a waiting job and its start, so that no cycle need look at it."""
    wanted = row.candidate
    return (
        wanted is not None
        and limits.max_running is None
        and _is_free(wanted.queue_key, limits)
        and not wanted.requests
        and row.site is None
    )


def _is_free(queue: QueueKey, limits: Limits) -> bool:
    return queue[1] == DEFAULT_QUEUE and queue not in limits.queues


def _same(one: JobFacts, other: JobFacts) -> bool:
    """Whether both are the very same objects: comparing what is in them would cost more than working it out."""
    return (
        one.job is other.job
        and one.pipeline is other.pipeline
        and one.rest is other.rest
        and (one.uid, one.unready, one.active, one.begins) == (other.uid, other.unready, other.active, other.begins)
        and one.gpu_pools == other.gpu_pools
    )


def _is_over(row: Row, now: datetime) -> bool:
    return row.until is not None and row.until <= now


def _gist(admission: Admission) -> tuple[object, ...]:
    """What a decision rests on; the numbers in the message are for people."""
    site = admission.site.granted if admission.site is not None else None
    return admission.admitted, admission.reason, admission.gpus, admission.gpu_pool, admission.drained, site


def _is_news(before: Admission, after: Admission, stood: Mapping[Resource, GrantState]) -> bool:
    """Whether a job must be reconciled for its answer. ``stood``: what became of what the last cycle gave it."""
    gpus, download = stood.get(Resource.GPUS), stood.get(Resource.DOWNLOAD)
    granted = after.site is not None and after.site.granted
    if (after.gpus and gpus is GrantState.MISSED) or (granted and download is GrantState.MISSED):
        return True
    if gpus in (GrantState.RETURNED, GrantState.HELD):
        # A reconcile has had them in hand and did not use them: nothing has changed by getting them again.
        before = replace(before, gpus=after.gpus)
    elif gpus is GrantState.SPENT:
        before = replace(before, gpus=0)
    if download in (GrantState.SPENT, GrantState.HELD):
        if granted:
            return True
        before = replace(before, site=None) if after.site is None else before
    return _gist(before) != _gist(after)
