"""All unfinished jobs in the order in which they may start, kept from one scheduling cycle to the next.

Pure: what a job means to admission (its :class:`Row`) is worked out again only when something of it changed, and
waiting jobs stay sorted: among those of the same priority the oldest goes first whatever the time, so ageing moves
whole lines, never jobs within a line.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from audiojob_operator.admission.candidates import candidate
from audiojob_operator.admission.ledger import Holding
from audiojob_operator.deciding.policies.ready import by_name, gpus_soon
from audiojob_operator.deciding.policies.sites import limit_for, site_host
from audiojob_operator.records.admission import Candidate, FetchRequest, GpuRequest, QueueKey, Rest
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import SiteLimit, SiteRules, SiteUse
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipelineSpec

Turn: TypeAlias = tuple[datetime, Key]  # when a waiting job was created, and which it is


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What admission reads of one AudioJob.

    ``job`` is None where it is gone or this version cannot read it; ``pipeline`` is the one that it runs or would run,
    ``unready`` are models that are not there yet. ``active``: it is unfinished, and jobs can run in its namespace.
    ``begins``: something new may be begun for it; else it keeps its slot for what is at work, and asks for no more.
    ``rest``: it asks for nothing before a moment. ``gpu_pools``: the pools of its namespace whose workers have GPUs and
    take phases, with how many each worker has.
    """

    uid: str = ""
    job: AudioJob | None = None
    pipeline: AudioPipelineSpec | None = None
    unready: frozenset[str] = frozenset()
    active: bool = True
    begins: bool = True
    rest: Rest | None = None
    gpu_pools: Mapping[str, int] = field(default_factory=dict)

    def rests(self, now: datetime) -> bool:
        """Whether it asks for nothing now."""
        return self.rest is not None and now < self.rest.until


@dataclass(frozen=True, slots=True)
class ChildFacts:
    """What the Jobs of one AudioJob use. ``live``: one of them runs, or will. ``downloads`` name their hosts.

    ``gpus`` are those of the site, ``other_gpus`` are counted by resource. ``unplaced`` Jobs with GPUs of the site have
    no node yet.
    """

    live: bool = False
    gpus: int = 0
    kueue_gpus: int = 0
    downloads: tuple[SiteUse, ...] = ()
    other_gpus: Mapping[str, int] = field(default_factory=dict)
    unplaced: int = 0


class Needs(NamedTuple):
    """What decides whether a waiting job may start: those that need the same wait for the same.

    ``gpus``: its first phase waits for them (``must``: for ever), so it needs no slot before; they are of the kind
    ``resource`` (None: the site's). ``fetch`` likewise.
    """

    user: str = ""
    gpus: int = 0
    must: bool = False
    fetch: FetchRequest | None = None
    resource: str | None = None

    @property
    def gpu_request(self) -> GpuRequest:
        """The GPUs that it waits for."""
        return GpuRequest(self.gpus, self.must, resource=self.resource)


_NOTHING: Final = Needs()

Lines: TypeAlias = dict[Needs, dict[int, list[Turn]]]  # by needs and priority


@dataclass(frozen=True, slots=True)
class Row:
    """What one version of a job means to admission. ``until``: it must be worked out again then, by time alone."""

    facts: JobFacts
    live: bool
    candidate: Candidate | None = None
    needs: Needs = _NOTHING
    gpus_soon: int = 0
    site: SiteLimit | None = None
    until: datetime | None = None


def make_row(facts: JobFacts, live: bool, rules: SiteRules, now: datetime) -> Row:
    """Work out what a job means to admission."""
    job, spec = facts.job, facts.pipeline
    if job is None:
        return Row(facts, live)
    found = (
        candidate(job, spec, now, live=live, unready=facts.unready, gpu_pools=facts.gpu_pools) if facts.active else None
    )
    site = limit_for(rules, site_host(job.spec))
    if found is not None and site is None:
        found = replace(found, fetch=None)  # nobody counts its downloads
    rests = facts.rests(now)
    if found is not None and (rests or not facts.begins):
        found = None if rests and not found.holds_slot else replace(found, requests=(), fetch=None)
    soon = gpus_soon(job.spec, spec, by_name(job.status.phases)) if spec is not None and not rests else 0
    return Row(facts, live, found, needs_of(found, now), soon, site, _until(facts, job.spec.start_time, found, now))


def holding_of(key: Key, facts: JobFacts, row: Row, children: ChildFacts, rules: SiteRules) -> Holding | None:
    """What a job holds for all to see; None for one that has nothing and wants nothing."""
    if row.candidate is None and not (
        children.gpus or children.other_gpus or children.kueue_gpus or children.downloads
    ):
        return None
    limits = ((limit_for(rules, each.host), each) for each in children.downloads)
    return Holding(
        queue=(key[0], facts.job.spec.queue_name if facts.job is not None else ""),
        user=row.candidate.user if row.candidate is not None else "",
        slot=row.candidate is not None and row.candidate.holds_slot,
        gpus=children.gpus,
        kueue_gpus=children.kueue_gpus,
        other_gpus=children.other_gpus,
        unplaced=children.unplaced,
        downloads=tuple(SiteUse(limit.host, each.started, each.live) for limit, each in limits if limit is not None),
    )


def is_due(request: GpuRequest, now: datetime) -> bool:
    """Whether the phase could start now if it had its GPUs."""
    return request.not_before is None or request.not_before <= now


def needs_of(found: Candidate | None, now: datetime) -> Needs:
    """What a job that has not begun must have before a slot is of any use to it."""
    if found is None or found.holds_slot:
        return _NOTHING
    first = found.requests[0] if found.requests else None
    if first is not None and is_due(first, now) and (first.must or (first.until is not None and now < first.until)):
        needs = Needs(found.user, first.gpus, first.must, resource=first.resource)
    else:
        needs = Needs(found.user)
    return needs._replace(fetch=found.fetch) if found.fetch is not None and found.fetch.only else needs


def _until(facts: JobFacts, start: datetime | None, found: Candidate | None, now: datetime) -> datetime | None:
    moments = [start, facts.rest.until if facts.rest is not None else None]
    if found is not None:
        moments += [moment for each in found.requests for moment in (each.until, each.not_before)]
        moments += [found.fetch.not_before] if found.fetch is not None else []
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


class Roster:
    """Rows by key, and the lines of those that wait."""

    def __init__(self) -> None:
        self._rows: dict[Key, Row] = {}
        self._moments: list[tuple[datetime, Key]] = []  # a heap; rows that changed since leave their moment in it
        self.waiting: dict[QueueKey, Lines] = {}
        self.holding: defaultdict[QueueKey, dict[Key, None]] = defaultdict(dict)
        self.asking: dict[Key, Candidate] = {}  # of those that hold a slot: for GPUs, or for a download
        self.waiting_in: Counter[QueueKey] = Counter()
        self.demanding = 0  # candidates that want GPUs, or a site with a limit

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: Key) -> Row | None:
        return self._rows.get(key)

    def jobs(self) -> Iterator[tuple[Key, AudioJob]]:
        """Those that this version can read."""
        return ((key, row.facts.job) for key, row in self._rows.items() if row.facts.job is not None)

    def candidate(self, key: Key) -> Candidate:
        """A candidate that is known to be one."""
        found = self._rows[key].candidate
        assert found is not None, "only candidates stand in lines"
        return found

    def queues(self) -> set[QueueKey]:
        """Those that have candidates."""
        return {*self.waiting, *self.holding}

    def members(self, queue: QueueKey, needs: Needs) -> Iterator[Key]:
        """The jobs of a queue that wait for the same."""
        for line in self.waiting.get(queue, {}).get(needs, {}).values():
            yield from (key for _, key in line)

    def put(self, key: Key, row: Row) -> None:
        """Take over what a job means now."""
        before = self._rows.get(key)
        self.drop(key)
        self._rows[key] = row
        if row.until is not None and (before is None or before.until != row.until):
            heapq.heappush(self._moments, (row.until, key))
        if (found := row.candidate) is None:
            return
        self.demanding += bool(found.requests or found.fetch)
        if found.holds_slot:
            self.holding[found.queue_key][key] = None
            if found.requests or found.fetch:
                self.asking[key] = found
            return
        line = self.waiting.setdefault(found.queue_key, {}).setdefault(row.needs, {}).setdefault(found.priority, [])
        insort(line, (found.created, key))
        self.waiting_in[found.queue_key] += 1

    def drop(self, key: Key) -> None:
        """Forget a job."""
        row = self._rows.pop(key, None)
        if row is None or (found := row.candidate) is None:
            return
        self.demanding -= bool(found.requests or found.fetch)
        queue = found.queue_key
        if found.holds_slot:
            self.asking.pop(key, None)
            del self.holding[queue][key]
            if not self.holding[queue]:
                del self.holding[queue]
            return
        line = self.waiting[queue][row.needs][found.priority]
        del line[bisect_left(line, (found.created, key))]
        self._drop_empty(queue, row.needs, found.priority)
        self.waiting_in[queue] -= 1

    def due(self, now: datetime) -> Iterator[Key]:
        """Jobs that time alone has changed: put their new rows before you ask for the next."""
        while self._moments and self._moments[0][0] <= now:
            moment, key = heapq.heappop(self._moments)
            row = self._rows.get(key)
            if row is not None and row.until == moment:
                yield key

    def next_moment(self) -> datetime | None:
        """When time alone changes a job next."""
        while self._moments:
            moment, key = self._moments[0]
            row = self._rows.get(key)
            if row is not None and row.until == moment:
                return moment
            heapq.heappop(self._moments)
        return None

    def _drop_empty(self, queue: QueueKey, needs: Needs, priority: int) -> None:
        lines = self.waiting[queue]
        if not lines[needs][priority]:
            del lines[needs][priority]
        if not lines[needs]:
            del lines[needs]
        if not lines:
            del self.waiting[queue]
