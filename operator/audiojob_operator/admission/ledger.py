"""Who has been given what: the only place where slots, GPUs and downloads are counted.

Pure: no clock, no asyncio, no caches. Two things are written down for each AudioJob: what its status and its Jobs show
(:meth:`Ledger.show`), and what admission has granted it beyond that. A grant lives like this::

    offer        reserve       release
    -----> OFFERED -----> HELD ------> SPENT      it was used: what came of it shows
              |             |--------> RETURNED   it was not
              | withdraw                  | reserve again before the next cycle
              v                           v
            gone                       MISSED     nothing is left (a slot that was returned serves again)

While a grant is held, what it was used for may show already (a Job in the cache): it is counted once. Everything but
what is held is withdrawn when the next scheduling cycle begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar

from audiojob_operator.records.admission import SITE_GPUS, QueueKey
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import SiteUsage, SiteUse
from audiojob_operator.state.listener import WorkKey

UserKey: TypeAlias = tuple[QueueKey, str]
Grants: TypeAlias = "dict[Resource, Grant]"
C = TypeVar("C", bound=Hashable)


class Resource(StrEnum):
    """What can be granted. A new one needs its part in :meth:`Holding.amount` and in :func:`_share`, no more."""

    SLOT = "slot"
    """The right to run, for the AudioJob as a whole."""
    GPUS = "gpus"
    """GPUs for Jobs that are about to be made."""
    DOWNLOAD = "download"
    """One turn at a site."""


class GrantState(StrEnum):
    """Where a grant stands; see the top of this module."""

    OFFERED = "offered"
    HELD = "held"
    SPENT = "spent"
    RETURNED = "returned"
    MISSED = "missed"


_COUNTED: Final = frozenset({GrantState.OFFERED, GrantState.HELD})


@dataclass(frozen=True, slots=True)
class Grant:
    """So much of a resource, counted in a queue and for a user; a download also at its site, from ``since`` on, and
    GPUs in the pool of their kind.

    ``baseline`` is how much of it showed when it was reserved: what shows beyond that is what the grant was used for.
    """

    resource: Resource
    queue: QueueKey
    user: str = ""
    amount: int = 1
    site: str = ""
    since: datetime | None = None
    state: GrantState = GrantState.OFFERED
    baseline: int = 0
    pool: str = SITE_GPUS


@dataclass(frozen=True, slots=True)
class Holding:
    """What the status and the Jobs of one AudioJob show. ``downloads`` name the site, not the host.

    ``gpus`` are those of the site that admission counts, ``other_gpus`` those of other kinds, ``kueue_gpus`` those that
    Kueue counts. ``unplaced`` Jobs with GPUs of the site have no node yet.
    """

    queue: QueueKey
    user: str = ""
    slot: bool = False
    gpus: int = 0
    kueue_gpus: int = 0
    unplaced: int = 0
    downloads: tuple[SiteUse, ...] = ()
    other_gpus: Mapping[str, int] = field(default_factory=dict)

    @property
    def gpus_by_pool(self) -> dict[str, int]:
        """The GPUs that admission counts."""
        return {pool: gpus for pool, gpus in ({SITE_GPUS: self.gpus} | dict(self.other_gpus)).items() if gpus}

    def amount(self, grant: Grant) -> int:
        """How much of the grant's resource shows."""
        match grant.resource:
            case Resource.SLOT:
                return int(self.slot)
            case Resource.GPUS:
                return self.gpus_by_pool.get(grant.pool, 0)
            case Resource.DOWNLOAD:
                return sum(each.live for each in self.downloads if each.host == grant.site)


@dataclass(frozen=True, slots=True)
class GpuLimits:
    """The most GPUs that may be in use: of the site, and in one queue (None: no limit of its own)."""

    pool: int
    queue: int | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a reconcile may use: GPUs of a kind, and whether it may begin a download."""

    gpus: int = 0
    download: bool = False
    pool: str = SITE_GPUS


@dataclass(frozen=True, slots=True)
class Usage:
    """What is in use, held and offered: in all, by queue, by user of a queue, by kind of GPU, and by site.

    ``held`` names the AudioJobs that a reconcile works on, with the resources it has reserved for them. ``unplaced``
    Jobs with GPUs of the site have no node yet, or are about to be made.
    """

    slots: int = 0
    queue_slots: Counter[QueueKey] = field(default_factory=Counter)
    user_slots: Counter[UserKey] = field(default_factory=Counter)
    pool_gpus: Counter[str] = field(default_factory=Counter)
    queue_gpus: Counter[QueueKey] = field(default_factory=Counter)
    kueue_gpus: Counter[QueueKey] = field(default_factory=Counter)
    sites: Mapping[str, SiteUsage] = field(default_factory=dict)
    held: Mapping[Key, frozenset[Resource]] = field(default_factory=dict)
    unplaced: int = 0

    @property
    def gpus(self) -> int:
        """GPUs of all kinds."""
        return self.pool_gpus.total()


@dataclass(frozen=True, slots=True)
class _Share:
    """One AudioJob's part of all counters."""

    slots: tuple[UserKey, ...]
    gpus: tuple[tuple[QueueKey, str, int], ...]
    kueue_gpus: tuple[tuple[QueueKey, int], ...]
    downloads: tuple[SiteUse, ...]
    unplaced: int = 0


class Ledger:
    """For one event loop; every call is one step."""

    def __init__(self) -> None:
        self._shown: dict[Key, Holding] = {}
        self._grants: dict[Key, Grants] = {}
        self._shares: dict[Key, _Share] = {}
        self._user_slots: Counter[UserKey] = Counter()
        self._queue_gpus: Counter[QueueKey] = Counter()
        self._pool_gpus: Counter[str] = Counter()
        self._kueue_gpus: Counter[QueueKey] = Counter()
        self._downloads: dict[Key, tuple[SiteUse, ...]] = {}
        self._unplaced = 0
        self._works: dict[WorkKey, Key] = {}

    # ---------------------------------------------------------------- facts

    def show(self, key: Key, holding: Holding | None) -> None:
        """Take over what the AudioJob's status and Jobs show; None: there is nothing of it any more."""
        if holding is not None:
            self._shown[key] = holding
        else:
            self._shown.pop(key, None)
        self._recount(key)

    def forget(self, key: Key) -> None:
        """The name belongs to another AudioJob now: what was granted to the former one is void, unless in use."""
        self._set(key, {each.resource: each for each in self._of(key) if each.state is GrantState.HELD})

    # ---------------------------------------------------------------- the scheduling cycle

    def withdraw(self) -> dict[Key, dict[Resource, GrantState]]:
        """Before a cycle: take back whatever no reconcile holds. Returns how all grants stood."""
        stood = {key: {each.resource: each.state for each in grants.values()} for key, grants in self._grants.items()}
        for key in stood:
            self.forget(key)
        return stood

    def offer(self, offers: Mapping[Key, Iterable[Grant]]) -> None:
        """After a cycle: what it gave to whom. What a reconcile holds already stays as it is."""
        for key, grants in offers.items():
            self._set(key, {each.resource: each for each in grants} | self._grants.get(key, {}))

    # ---------------------------------------------------------------- a reconcile

    def reserve(self, key: Key, now: datetime) -> Reserved:
        """A reconcile of the AudioJob begins: it holds what was offered until :meth:`release`."""
        grants = {each.resource: self._reserved(key, each, now) for each in self._of(key)}
        self._set(key, grants)
        gpus, download = grants.get(Resource.GPUS), grants.get(Resource.DOWNLOAD)
        return Reserved(
            pool=gpus.pool if gpus is not None else SITE_GPUS,
            gpus=gpus.amount if gpus is not None and gpus.state is GrantState.HELD else 0,
            download=download is not None and download.state is GrantState.HELD,
        )

    def reserve_spare(self, key: Key, wanted: int, limits: GpuLimits) -> int:
        """Reserve GPUs of the site that nobody has or was offered, for a phase that becomes ready in this reconcile.

        Returns how many: those wanted, or as many as there are.
        """
        shown = self._shown.get(key)
        if shown is None:
            return 0
        left = limits.pool - self._pool_gpus[SITE_GPUS]
        if limits.queue is not None:
            left = min(left, limits.queue - self._queue_gpus[shown.queue])
        amount = max(0, min(wanted, left))
        if amount:
            held = Grant(Resource.GPUS, shown.queue, shown.user, amount, state=GrantState.HELD, baseline=shown.gpus)
            self._set(key, self._grants.get(key, {}) | {Resource.GPUS: held})
        return amount

    def claim(self, key: Key, work: WorkKey) -> bool:
        """Reserve a piece of work that can be reused. False: another reconcile is about to begin it."""
        return self._works.setdefault(work, key) == key

    def claimed_by(self, work: WorkKey) -> Key | None:
        """The AudioJob whose reconcile is about to begin the work."""
        return self._works.get(work)

    def release(self, key: Key) -> list[WorkKey]:
        """The reconcile has ended: from now on only what shows counts. Returns the work that it had claimed."""
        self._set(key, {each.resource: self._released(key, each) for each in self._of(key)})
        works = [work for work, holder in self._works.items() if holder == key]
        for work in works:
            del self._works[work]
        return works

    # ---------------------------------------------------------------- questions

    def grant(self, key: Key, resource: Resource) -> Grant | None:
        """The AudioJob's grant of a resource, if it has one."""
        return self._grants.get(key, {}).get(resource)

    def usage(self) -> Usage:
        """A copy of all counters."""
        queue_slots: Counter[QueueKey] = Counter()
        for (queue, _), count in self._user_slots.items():
            queue_slots[queue] += count
        held = {key: _held(grants) for key, grants in self._grants.items()}
        about_to_be_made = sum(Resource.GPUS in resources for resources in held.values())
        return Usage(
            slots=self._user_slots.total(),
            queue_slots=queue_slots,
            user_slots=self._user_slots.copy(),
            pool_gpus=self._pool_gpus.copy(),
            queue_gpus=self._queue_gpus.copy(),
            kueue_gpus=self._kueue_gpus.copy(),
            sites=_by_site(self._downloads.values()),
            held={key: resources for key, resources in held.items() if resources},
            unplaced=self._unplaced + about_to_be_made,
        )

    @property
    def gpus(self) -> int:
        """GPUs in use, held and offered, in all queues."""
        return self._queue_gpus.total()

    @property
    def gpus_by_pool(self) -> Mapping[str, int]:
        """The same, by the pool of their kind. A view: it moves with the ledger."""
        return self._pool_gpus

    def pool_gpus(self, pool: str) -> int:
        """GPUs of one kind in use, held and offered."""
        return self._pool_gpus[pool]

    def queue_gpus(self, queue: QueueKey) -> int:
        """GPUs in use, held and offered in a queue."""
        return self._queue_gpus[queue]

    # ---------------------------------------------------------------- steps

    def _of(self, key: Key) -> tuple[Grant, ...]:
        return tuple(self._grants.get(key, {}).values())

    def _reserved(self, key: Key, grant: Grant, now: datetime) -> Grant:
        if grant.state is GrantState.HELD:
            return grant
        again = grant.resource is Resource.SLOT and grant.state is GrantState.RETURNED
        if grant.state is GrantState.OFFERED or again:
            shown = self._shown.get(key)
            baseline = shown.amount(grant) if shown is not None and grant.resource is not Resource.SLOT else 0
            return replace(grant, state=GrantState.HELD, baseline=baseline, since=now)
        return replace(grant, state=GrantState.MISSED)

    def _released(self, key: Key, grant: Grant) -> Grant:
        if grant.state is not GrantState.HELD:
            return grant
        used = _unused(self._shown.get(key), grant) < grant.amount
        return replace(grant, state=GrantState.SPENT if used else GrantState.RETURNED)

    def _set(self, key: Key, grants: Grants) -> None:
        if grants:
            self._grants[key] = grants
        else:
            self._grants.pop(key, None)
        self._recount(key)

    def _recount(self, key: Key) -> None:
        before, after = self._shares.get(key), _share(self._shown.get(key), self._grants.get(key, {}))
        if before == after:
            return
        if before is not None:
            self._count(before, -1)
        if after is not None:
            self._count(after, 1)
            self._shares[key] = after
        else:
            del self._shares[key]
        if after is not None and after.downloads:
            self._downloads[key] = after.downloads
        else:
            self._downloads.pop(key, None)

    def _count(self, share: _Share, sign: int) -> None:
        for user in share.slots:
            _add(self._user_slots, user, sign)
        for queue, pool, gpus in share.gpus:
            _add(self._queue_gpus, queue, sign * gpus)
            _add(self._pool_gpus, pool, sign * gpus)
        for queue, gpus in share.kueue_gpus:
            _add(self._kueue_gpus, queue, sign * gpus)
        self._unplaced += sign * share.unplaced


def _share(shown: Holding | None, grants: Grants) -> _Share | None:
    """What counts of one AudioJob: what shows, and what its grants are still good for."""
    counted = [(each, _unused(shown, each)) for each in grants.values() if each.state in _COUNTED]
    slots: list[UserKey] = [(shown.queue, shown.user)] if shown is not None and shown.slot else []
    gpus = [(shown.queue, *pair) for pair in shown.gpus_by_pool.items()] if shown is not None else []
    downloads = list(shown.downloads) if shown is not None else []
    for grant, unused in counted:
        if not unused:
            continue
        match grant.resource:
            case Resource.SLOT:
                slots.append((grant.queue, grant.user))
            case Resource.GPUS:
                gpus.append((grant.queue, grant.pool, unused))
            case Resource.DOWNLOAD:
                assert grant.since is not None, "a turn begins at a moment"
                downloads.append(SiteUse(grant.site, grant.since, live=True))
    kueue = ((shown.queue, shown.kueue_gpus),) if shown is not None and shown.kueue_gpus else ()
    if not (slots or gpus or downloads or kueue):
        return None
    return _Share(tuple(slots), tuple(gpus), kueue, tuple(downloads), shown.unplaced if shown is not None else 0)


def _unused(shown: Holding | None, grant: Grant) -> int:
    """How much of a grant does not show yet. A slot is the same one, granted or shown; of all else, what shows when a
    grant is only offered is something else."""
    if shown is None or (grant.state is GrantState.OFFERED and grant.resource is not Resource.SLOT):
        return grant.amount
    return max(0, grant.amount - max(0, shown.amount(grant) - grant.baseline))


def _held(grants: Grants) -> frozenset[Resource]:
    return frozenset(each.resource for each in grants.values() if each.state is GrantState.HELD)


def _by_site(downloads: Iterable[Iterable[SiteUse]]) -> dict[str, SiteUsage]:
    found: dict[str, SiteUsage] = {}
    for uses in downloads:
        for use in uses:
            known = found.get(use.host, SiteUsage(0, use.started))
            found[use.host] = SiteUsage(known.running + use.live, max(known.last, use.started))
    return found


def _add(counter: Counter[C], key: C, number: int) -> None:
    """Count, and keep no zeros: names come and go for ever."""
    counter[key] += number
    if not counter[key]:
        del counter[key]
