"""When a job may start and take GPUs: keeps the result of the admission pass, and counts those about to start."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from pydantic import ValidationError

from audiojob_operator.admission.candidates import candidate
from audiojob_operator.admission.scheduler import ADMITTED, admit
from audiojob_operator.deciding.attempts.cooldown import cooling_until
from audiojob_operator.deciding.policies.ready import by_name, gpus_soon
from audiojob_operator.deciding.policies.sites import limit_for, site_host
from audiojob_operator.records.admission import Admission, AdmissionSnapshot, Candidate, QueueKey, SiteAnswer
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import SiteLimit, SiteRules, SiteUse
from audiojob_operator.settings import Capacity
from audiojob_operator.state.caches import Caches, LiveGpus
from audiojob_operator.state.jobstore import Known
from audiojob_types.constants import DEFAULT_QUEUE
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipelineSpec

_log = logging.getLogger(__name__)

_SHORTEST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0  # free places stay empty between passes
_COST_FACTOR = 10  # about 1/10 of the time goes into passes
_NO_LIMITS = SiteRules()
_LATER = SiteAnswer(False, "The download waits for its turn at the site.")
_NOT_ASKED = Admission(False, Reason.QUEUE_FULL, "The job has not asked for a place yet.")


@dataclass(frozen=True, slots=True)
class QueueNumbers:
    """A queue at the last pass: AudioJobs that hold a place, those that wait for one, and GPUs of live Jobs."""

    running: int = 0
    pending: int = 0
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    """What one version of a job means to admission; kept until the job or its pipeline changes, or ``until``."""

    known: Known
    spec: AudioPipelineSpec | None
    candidate: Candidate | None
    gpus_soon: int
    limit: SiteLimit | None
    until: datetime | None = None
    unready: frozenset[str] = frozenset()


class Wake(Protocol):
    """Has a job looked at again: `first` before all others."""

    def __call__(self, key: Key, /, *, first: bool) -> None: ...


class Gate:
    """One serial pass over all jobs that want to run, repeated when something changed, but not for each change.

    ``wake`` is called for a job whose answer changed. Where places are scarce, one that may run goes first: its place
    must not stay empty until thousands have been told that they wait.
    """

    def __init__(self, caches: Caches, capacity: Capacity, wake: Wake, sites: SiteRules = _NO_LIMITS) -> None:
        self._caches = caches
        self._capacity = capacity
        self._wake = wake
        self._sites = sites
        self._fetching: dict[Key, SiteUse] = {}  # downloads that a round over the job may begin
        self._told: set[Key] = set()  # granted a download since the last pass: one only
        self._put_off: set[Key] = set()  # not granted one for want of a pass
        self._result: dict[Key, Admission] = {}
        self._rows: dict[Key, _Row] = {}
        self._assumed: set[Key] = set()  # let in, and their status does not say so yet
        self._taken: dict[Key, int] = {}  # GPUs that a round over the job may take
        self._granted: dict[Key, int] = {}  # GPUs that the last pass gave, and no round has been told of
        self._gpus_told: set[Key] = set()  # a round has had them: they serve no second one before the next pass
        self._gpus_put_off: set[Key] = set()  # asked again before the next pass
        self._contended = False  # somebody waits for GPUs: nobody is served out of turn
        self._cooling: dict[str, datetime] = {}
        self._open = False
        self._dirty = True
        self._idle = False  # nothing limits any of the jobs: passes only count them
        self._not_before = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None  # for what time alone changes
        self.numbers: dict[QueueKey, QueueNumbers] = {}
        self.running = 0  # AudioJobs that hold a place, in all queues

    def open(self) -> None:
        """All that holds a place is known from now on. No pass is made before: it would give places away twice.

        The first one is made here: until then no host would be known that must be left alone.
        """
        self._open = True
        self.touch()
        try:
            self._pass_if_due()
        except Exception:  # noqa: BLE001 - here as later a fault in a pass must not end the process
            _log.exception("the first pass failed")

    def admission(self, key: Key, known: Known) -> Admission | None:
        """The job's admission, or None while it has not been through a pass (it is woken after the next one).

        What it gives counts as used until :meth:`settle` is called for the job.
        """
        if known.finished:
            return ADMITTED
        row = self._row(key, known, datetime.now(UTC))
        wanted = row.candidate
        if wanted is None:
            return _NOT_ASKED  # no pass will ever look at it, and the decision rests on what it waits for
        if not wanted.holds_slot and self._has_live_job(key):
            wanted = replace(wanted, holds_slot=True)
        if not wanted.holds_slot and row.limit is None and self._is_unlimited(wanted):
            return ADMITTED
        found = self._result.get(key)
        if found is None or not found.admitted:
            if self._idle:
                self._not_before = 0.0  # the first one that must ask does not pay for the rest taken before it
            self._pass_if_due()
            found = self._result.get(key)
        if wanted.holds_slot and (found is None or not (found.admitted or found.drained)):
            found = ADMITTED
        if found is None or not found.admitted:
            return found
        if not wanted.holds_slot:
            self._assumed.add(key)
        return self._with_site(key, row, self._with_gpus(key, row, found))

    def settle(self, key: Key) -> None:
        """A round over the job has ended: what it holds is told by its status and its Jobs alone from now on."""
        self._assumed.discard(key)
        self._taken.pop(key, None)
        self._fetching.pop(key, None)
        if (known := self._caches.audiojobs.get(key)) is not None and not known.finished:
            # A host that has just asked for rest must not be asked by those that come before the next pass.
            self._row(key, known, datetime.now(UTC))
        self.touch()

    def touch(self) -> None:
        """Something changed that admission may depend on."""
        self._dirty = True
        if self._timer is None:
            delay = max(0.0, self._not_before - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def cooling(self, job: AudioJob, now: datetime) -> datetime | None:
        """Until when the job's host must be left alone; None if it may be asked."""
        host = site_host(job.spec)
        until = self._cooling.get(host) if host else None
        return until if until is not None and until > now else None

    # ---------------------------------------------------------------- sites

    def _with_site(self, key: Key, row: _Row, found: Admission) -> Admission:
        """Where the site has a limit, a download begins only if the last pass has granted it."""
        if row.limit is None:
            return replace(found, site=None) if found.site is not None else found
        site = found.site if found.site is not None and key not in self._told else _LATER
        if site is _LATER:
            self._put_off.add(key)
        elif site.granted:
            self._told.add(key)
            self._fetching[key] = SiteUse(row.limit.host, datetime.now(UTC), live=True)
        return replace(found, site=site)

    def _site_uses(self) -> tuple[SiteUse, ...]:
        """Every download that runs or has lately begun, from the Jobs that there are; and those about to begin."""
        if not self._sites.limits and self._sites.max_per_host is None:
            return ()
        found: list[SiteUse] = []
        known: set[Key] = set()
        for namespace, cache in self._caches.namespaces.items():
            for fetch in cache.fetches.values():
                found.append(SiteUse(fetch.host, fetch.created, fetch.live))
                if fetch.live:
                    known.add((namespace, fetch.owner))
        return (*found, *(use for key, use in self._fetching.items() if key not in known))

    # ---------------------------------------------------------------- GPUs out of turn

    def _with_gpus(self, key: Key, row: _Row, found: Admission) -> Admission:
        """A phase that becomes ready in this very round is served at once where nobody else waits."""
        withheld = key in self._gpus_told and key not in self._taken
        gpus = 0 if withheld else found.gpus
        if found.gpus:
            self._gpus_told.add(key)
        self._granted.pop(key, None)
        used, total = self._gpus_used(), self._pool
        if not gpus and row.gpus_soon and not self._contended and row.candidate is not None:
            gpus = max(0, min(row.gpus_soon, total - used, self._left_in_queue(row.candidate)))
        if gpus:
            self._taken[key] = gpus
        elif withheld:
            self._gpus_put_off.add(key)
        return replace(found, gpus=gpus, gpus_used=found.gpus_used or used, gpus_total=found.gpus_total or total)

    def _gpus_used(self) -> int:
        live = sum(job.gpus for _, job in self._live_gpus() if not job.managed)
        return live + sum(self._taken.values()) + sum(self._granted.values())

    def _live_gpus(self) -> Iterator[tuple[Key, LiveGpus]]:
        """GPUs of all live Jobs, with the AudioJobs that own these."""
        for namespace, cache in self._caches.namespaces.items():
            for job in cache.live_gpus.values():
                yield (namespace, job.owner), job

    def _left_in_queue(self, wanted: Candidate) -> int:
        queue = self._caches.queues.get(wanted.queue_key)
        if queue is None or queue.spec.max_gpus is None:
            return self._pool
        namespace, name = wanted.queue_key
        taken = sum(gpus for key, gpus in self._taken.items() if key[0] == namespace)
        return queue.spec.max_gpus - self.numbers.get((namespace, name), QueueNumbers()).gpus - taken

    @property
    def _pool(self) -> int:
        return self._caches.gpus_offered if self._capacity.gpus is None else self._capacity.gpus

    # ---------------------------------------------------------------- the pass

    def _on_timer(self) -> None:
        self._timer = None
        self._pass_if_due()

    def _pass_if_due(self) -> None:
        began = time.monotonic()
        if not self._dirty or not self._open:
            return
        if began < self._not_before:
            self.touch()
            return
        before, now = self._result, datetime.now(UTC)
        put_off, self._told, self._put_off = self._put_off, set(self._fetching), set()
        gpus_told, self._gpus_told = self._gpus_told, set(self._taken)
        gpus_put_off, self._gpus_put_off = self._gpus_put_off, set()
        snapshot = self._snapshot(now)
        self._result = admit(snapshot, now)
        self._dirty = False
        self._granted = {
            key: found.gpus for key, found in self._result.items() if found.gpus and key not in self._taken
        }
        self._contended = any(_wanted(each, now) > self._result[each.key].gpus for each in snapshot.candidates)
        self.numbers = _numbers(snapshot, self._result)
        self.running = sum(each.running for each in self.numbers.values())
        self._idle = all(self._is_unlimited(each) for each in snapshot.candidates)
        pause = _LONGEST_PAUSE_SECONDS if self._idle else _COST_FACTOR * (time.monotonic() - began)
        self._not_before = began + min(max(pause, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        self._set_alarm(snapshot, now)
        for key, admission in self._result.items():
            earlier = before.get(key)
            if earlier is not None and key in gpus_told:
                # A round has had them in hand. If it did not use them, nothing has changed by getting them again.
                earlier = replace(earlier, gpus=admission.gpus)
            granted = admission.site is not None and admission.site.granted
            late = (granted and key in put_off) or (admission.gpus and key in gpus_put_off)
            if earlier is None or late or _answer(earlier) != _answer(admission):
                self._wake(key, first=admission.admitted and not self._idle)

    def goes_first(self, key: Key) -> bool:
        """Whether to look at the job before those that only wait: it holds a place that others may be waiting for."""
        found = self._result.get(key)
        return not self._idle and found is not None and found.admitted

    def _set_alarm(self, snapshot: AdmissionSnapshot, now: datetime) -> None:
        """A wait for a GPU that ends, or a backoff, changes answers though nothing happens."""
        if self._alarm is not None:
            self._alarm.cancel()
        moments = [
            moment
            for each in snapshot.candidates
            for request in each.requests
            for moment in (request.until, request.not_before)
            if moment is not None and moment > now
        ]
        sites = (answer.site.until for answer in self._result.values() if answer.site is not None)
        moments += [moment for moment in sites if moment is not None and moment > now]
        soonest = min(moments, default=None)
        delay = (soonest - now).total_seconds() if soonest is not None else 0.0
        self._alarm = asyncio.get_running_loop().call_later(delay, self.touch) if soonest is not None else None

    def _snapshot(self, now: datetime) -> AdmissionSnapshot:
        held: Counter[Key] = Counter()
        for key, job in self._live_gpus():
            held[key] += job.gpus
        rows = {key: self._row(key, known, now) for key, known in self._caches.audiojobs.active()}
        self._rows = rows  # those that are gone are forgotten
        self._cooling = {host: until for host, until in self._cooling.items() if until > now}
        candidates = tuple(
            self._as_it_is(key, row.candidate, held[key]) for key, row in rows.items() if row.candidate is not None
        )
        return AdmissionSnapshot(
            candidates=candidates,
            max_running=self._capacity.max_running,
            gpus=self._pool,
            gpus_strict=self._capacity.gpus is not None,
            gpus_leaving=self._gpus_leaving(rows),
            queues={key: queue.spec for key, queue in self._caches.queues.items()},
            ageing_seconds=self._capacity.ageing_seconds,
            site_rules=self._sites,
            site_uses=self._site_uses(),
        )

    def _gpus_leaving(self, rows: Mapping[Key, _Row]) -> Counter[QueueKey]:
        """GPUs of Jobs that live, or are being made, though their AudioJob asks for nothing any more.

        Those of Kueue's Jobs are Kueue's.
        """
        held = [(key, job.gpus) for key, job in self._live_gpus() if not job.managed]
        found: Counter[QueueKey] = Counter()
        for key, gpus in (*held, *self._taken.items()):
            row = rows.get(key)
            if row is None or row.candidate is None:
                found[key[0], self._queue_of(key)] += gpus
        return found

    def _queue_of(self, key: Key) -> str:
        """The queue that a job names; '' where nobody knows."""
        known = self._caches.audiojobs.get(key)
        try:
            return known.job.spec.queue_name if known is not None else ""
        except ValidationError:
            return ""

    def _as_it_is(self, key: Key, row: Candidate, held: int) -> Candidate:
        if key in self._fetching:
            row = replace(row, fetch=None)
        elif row.fetch is not None and (cooling := self._cooling.get(row.fetch.host)) is not None:
            row = replace(row, fetch=replace(row.fetch, not_before=cooling))  # its turn would be of no use to it
        taken = self._taken.get(key)
        assumed = key in self._assumed or (not row.holds_slot and self._has_live_job(key))
        if not held and taken is None and not assumed:
            return row
        return replace(
            row,
            gpus_held=held + (taken or 0),
            holds_slot=row.holds_slot or assumed,
            requests=() if taken is not None else row.requests,
        )

    def _has_live_job(self, key: Key) -> bool:
        """Whether it runs though its status does not say so: the operator ended between the two writes."""
        return self._caches.namespaces[key[0]].has_live_job(key[1])

    def _row(self, key: Key, known: Known, now: datetime) -> _Row:
        spec, unready = self._caches.spec_of(known), self._caches.unready_models(key[0])
        row = self._rows.get(key)
        same = row is not None and row.known is known and row.spec is spec and row.unready == unready
        if row is not None and same and (row.until is None or now < row.until):
            return row
        try:
            job = known.job
        except ValidationError:
            return _Row(known, spec, None, 0, None)  # told when its own turn comes
        host = site_host(job.spec)
        if host and (until := cooling_until(job.status.phases, now)) is not None:
            self._cooling[host] = max(until, self._cooling.get(host, until))
        found = candidate(job, spec, now, unready=unready) if key[0] in self._caches.namespaces else None
        soon = gpus_soon(job.spec, spec, by_name(job.status.phases)) if spec is not None else 0
        start = job.spec.start_time
        limit = limit_for(self._sites, host)
        until = start if start is not None and now < start else None
        row = _Row(known, spec, found, soon, limit, until, unready)
        self._rows[key] = row
        return row

    def _is_unlimited(self, wanted: Candidate) -> bool:
        return (
            self._capacity.max_running is None
            and wanted.queue == DEFAULT_QUEUE
            and self._caches.queues.get(wanted.queue_key) is None
            and not wanted.requests
            and (wanted.fetch is None or limit_for(self._sites, wanted.fetch.host) is None)
        )


def _wanted(each: Candidate, now: datetime) -> int:
    """GPUs that the job would take now."""
    return sum(request.gpus for request in each.requests if request.not_before is None or request.not_before <= now)


def _answer(admission: Admission) -> tuple[object, ...]:
    """What a decision rests on; the numbers in the message are for people."""
    site = admission.site.granted if admission.site is not None else None
    return admission.admitted, admission.reason, admission.gpus, admission.drained, site


def _numbers(snapshot: AdmissionSnapshot, result: dict[Key, Admission]) -> dict[QueueKey, QueueNumbers]:
    running: Counter[QueueKey] = Counter()
    pending: Counter[QueueKey] = Counter()
    gpus: Counter[QueueKey] = Counter(snapshot.gpus_leaving)
    for each in snapshot.candidates:
        (running if result[each.key].admitted else pending)[each.queue_key] += 1
        gpus[each.queue_key] += each.gpus_held
    keys = running.keys() | pending.keys() | gpus.keys()
    return {key: QueueNumbers(running[key], pending[key], gpus[key]) for key in keys}
