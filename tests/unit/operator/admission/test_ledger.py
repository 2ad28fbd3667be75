"""The ledger: what a grant goes through, and that nothing is counted twice or lost, whatever happens in what order."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.operator.builders import NOW

from audiojob_operator.admission.ledger import GpuLimits, Grant, GrantState, Holding, Ledger, Reserved, Resource
from audiojob_operator.records.admission import QueueKey
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import SiteUsage, SiteUse

FAST: Final = ("music", "fast")
SLOW: Final = ("music", "slow")
SONG: Final = ("music", "song")
OTHER: Final = ("music", "other")
WIDE: Final = GpuLimits(pool=8)


def gpus(amount: int, queue: QueueKey = FAST) -> Grant:
    return Grant(Resource.GPUS, queue, amount=amount)


def download(site: str = "tube.example") -> Grant:
    return Grant(Resource.DOWNLOAD, FAST, site=site, since=NOW)


def slot(queue: QueueKey = FAST) -> Grant:
    return Grant(Resource.SLOT, queue)


def state(ledger: Ledger, resource: Resource) -> GrantState | None:
    grant = ledger.grant(SONG, resource)
    return grant.state if grant is not None else None


# ---------------------------------------------------------------- a grant's life


@pytest.mark.parametrize(
    ("grant", "used"),
    [
        pytest.param(gpus(1), Holding(FAST, gpus=1), id="GPUs"),
        pytest.param(download(), Holding(FAST, downloads=(SiteUse("tube.example", NOW, live=True),)), id="a download"),
    ],
)
def test_what_was_used_is_spent_and_serves_no_second_reconcile(grant: Grant, used: Holding) -> None:
    ledger = Ledger()
    ledger.show(SONG, Holding(FAST))
    ledger.offer({SONG: [grant]})
    assert ledger.reserve(SONG, NOW) == Reserved(
        gpus=grant.amount * (grant.resource is Resource.GPUS), download=grant.resource is Resource.DOWNLOAD
    )
    assert state(ledger, grant.resource) is GrantState.HELD
    ledger.show(SONG, used)
    ledger.release(SONG)
    assert state(ledger, grant.resource) is GrantState.SPENT
    assert ledger.reserve(SONG, NOW) == Reserved()
    assert state(ledger, grant.resource) is GrantState.MISSED


@pytest.mark.parametrize("grant", [gpus(1), download()], ids=["GPUs", "a download"])
def test_what_was_not_used_is_returned(grant: Grant) -> None:
    ledger = Ledger()
    ledger.show(SONG, Holding(FAST))
    ledger.offer({SONG: [grant]})
    ledger.reserve(SONG, NOW)
    ledger.release(SONG)
    assert state(ledger, grant.resource) is GrantState.RETURNED
    assert (ledger.usage().gpus, ledger.usage().sites) == (0, {})


def test_a_slot_serves_again_until_the_next_cycle() -> None:
    ledger = Ledger()
    ledger.show(SONG, Holding(FAST))
    ledger.offer({SONG: [slot()]})
    for _ in range(2):
        ledger.reserve(SONG, NOW)
        assert ledger.usage().queue_slots == {FAST: 1}
        ledger.release(SONG)
        assert ledger.usage().slots == 0
    assert ledger.withdraw() == {SONG: {Resource.SLOT: GrantState.RETURNED}}
    ledger.reserve(SONG, NOW)
    assert ledger.usage().slots == 0


def test_a_cycle_takes_back_all_offers_and_leaves_what_is_held() -> None:
    ledger = Ledger()
    for key in (SONG, OTHER):
        ledger.show(key, Holding(FAST))
    ledger.offer({SONG: [slot(), gpus(2)], OTHER: [slot(), gpus(1)]})
    ledger.reserve(SONG, NOW)
    ledger.withdraw()
    assert (ledger.usage().slots, ledger.usage().gpus) == (1, 2)
    assert ledger.usage().held == {SONG: {Resource.SLOT, Resource.GPUS}}
    ledger.offer({SONG: [gpus(5)]})
    assert ledger.usage().gpus == 2, "what is held already is not granted again"


@pytest.mark.parametrize(
    ("shown", "total"),
    [
        pytest.param(0, 2, id="no Job is seen yet"),
        pytest.param(1, 2, id="one of two Jobs is seen"),
        pytest.param(2, 2, id="both Jobs are seen"),
        pytest.param(3, 3, id="more is seen than was granted"),
    ],
)
def test_gpus_of_a_job_that_was_just_made_count_once(shown: int, total: int) -> None:
    ledger = Ledger()
    ledger.show(SONG, Holding(FAST))
    ledger.offer({SONG: [gpus(2)]})
    ledger.reserve(SONG, NOW)
    ledger.show(SONG, Holding(FAST, gpus=shown))
    assert ledger.usage().gpus == total
    ledger.release(SONG)
    assert ledger.usage().gpus == shown


def test_gpus_that_a_job_had_before_are_not_what_it_was_granted() -> None:
    ledger = Ledger()
    ledger.show(SONG, Holding(FAST, gpus=1))
    ledger.offer({SONG: [gpus(1)]})
    assert ledger.usage().gpus == 2
    ledger.reserve(SONG, NOW)
    assert ledger.usage().gpus == 2
    ledger.show(SONG, Holding(FAST, gpus=2))
    assert ledger.usage().gpus == 2


def test_the_download_that_a_reconcile_begins_counts_once_and_from_its_beginning() -> None:
    ledger, before = Ledger(), SiteUse("tube.example", NOW - timedelta(hours=1), live=False)
    ledger.show(SONG, Holding(FAST, downloads=(before,)))
    ledger.offer({SONG: [download()]})
    ledger.reserve(SONG, NOW)
    assert ledger.usage().sites == {"tube.example": SiteUsage(1, NOW)}
    ledger.show(SONG, Holding(FAST, downloads=(before, SiteUse("tube.example", NOW, live=True))))
    assert ledger.usage().sites == {"tube.example": SiteUsage(1, NOW)}
    ledger.release(SONG)
    assert ledger.usage().sites == {"tube.example": SiteUsage(1, NOW)}


def test_another_audiojob_of_the_same_name_gets_nothing_of_what_the_former_was_offered() -> None:
    ledger = Ledger()
    ledger.show(SONG, Holding(FAST))
    ledger.offer({SONG: [slot(), gpus(1)]})
    ledger.forget(SONG)
    ledger.show(SONG, Holding(SLOW))
    assert ledger.reserve(SONG, NOW) == Reserved()
    assert ledger.usage().slots == 0


# ---------------------------------------------------------------- GPUs out of turn


@pytest.mark.parametrize(
    ("others", "limits", "got"),
    [
        pytest.param({}, GpuLimits(4), 3, id="as many as are wanted"),
        pytest.param({}, GpuLimits(2), 2, id="as many as there are"),
        pytest.param({OTHER: Holding(SLOW, gpus=3)}, GpuLimits(4), 1, id="what another queue has is not in the pool"),
        pytest.param({OTHER: Holding(SLOW, gpus=3)}, GpuLimits(8, 2), 2, id="but is not charged to this queue"),
        pytest.param({OTHER: Holding(FAST, gpus=1)}, GpuLimits(8, 2), 1, id="what this queue has is"),
        pytest.param({("films", "x"): Holding(("films", "fast"), gpus=2)}, GpuLimits(8, 2), 2,
                     id="a queue of the same name in another namespace is another one"),
        pytest.param({OTHER: Holding(FAST, kueue_gpus=8)}, GpuLimits(8, 2), 2, id="Kueue counts its own"),
        pytest.param({OTHER: Holding(FAST, gpus=9)}, GpuLimits(4, 2), 0, id="nothing where limits were lowered"),
    ],
)  # fmt: skip
def test_spare_gpus(others: dict[Key, Holding], limits: GpuLimits, got: int) -> None:
    ledger = Ledger()
    for key, holding in {SONG: Holding(FAST), **others}.items():
        ledger.show(key, holding)
    assert ledger.reserve_spare(SONG, 3, limits) == got
    assert ledger.usage().queue_gpus[FAST] == got + sum(each.gpus for each in others.values() if each.queue == FAST)


def test_what_was_offered_to_another_is_not_spare() -> None:
    ledger = Ledger()
    for key in (SONG, OTHER):
        ledger.show(key, Holding(FAST))
    ledger.offer({OTHER: [gpus(1)]})
    assert ledger.reserve_spare(SONG, 1, GpuLimits(4, 1)) == 0


def test_who_has_missed_its_turn_and_got_spare_gpus_holds_these() -> None:
    ledger = Ledger()
    ledger.show(SONG, Holding(FAST))
    ledger.offer({SONG: [gpus(1)]})
    for _ in range(2):
        ledger.reserve(SONG, NOW)
        ledger.release(SONG)
    assert state(ledger, Resource.GPUS) is GrantState.MISSED
    assert ledger.reserve_spare(SONG, 1, WIDE) == 1
    assert state(ledger, Resource.GPUS) is GrantState.HELD


# ---------------------------------------------------------------- work


def test_work_is_claimed_once_and_until_the_end_of_the_reconcile() -> None:
    ledger, work = Ledger(), ("music", "k")
    assert ledger.claim(SONG, work)
    assert ledger.claim(SONG, work)
    assert not ledger.claim(OTHER, work)
    assert ledger.release(OTHER) == []
    assert ledger.claimed_by(work) == SONG
    assert ledger.release(SONG) == [work]
    assert ledger.claimed_by(work) is None


# ---------------------------------------------------------------- whatever happens


POOL, QUEUE_GPUS, SLOTS, TURNS = 4, 2, 3, 2
KEYS: Final = tuple((namespace, name) for namespace in ("music", "films") for name in ("a", "b", "c"))
SITE: Final = "tube.example"


def queue_of(key: Key) -> QueueKey:
    """`a` and `b` share a queue."""
    return key[0], "slow" if key[1] == "c" else "fast"


class Grants(RuleBasedStateMachine):
    """A cycle that keeps to the limits, reconciles that use what they reserved or not, and Jobs that end.

    The model keeps each holder's promises and Jobs as plain numbers and adds them up anew for each comparison.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.now = NOW
        self.shown = {key: Holding(queue_of(key)) for key in KEYS}
        self.offered: dict[Key, dict[Resource, int]] = {}  # and not taken yet
        self.again: set[Key] = set()  # whose slot may be reserved again
        self.held: dict[Key, dict[Resource, int]] = {}  # by the reconciles under way, and not used yet
        self.reserved: dict[Key, set[Resource]] = {}  # by them, used or not
        for key, holding in self.shown.items():
            self.ledger.show(key, holding)

    # ---------------------------------------------------------------- what happens

    @rule(wishes=st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 3), st.booleans()), max_size=8))
    def cycle(self, wishes: list[tuple[Key, int, bool]]) -> None:
        self.ledger.withdraw()
        self.offered, self.again = {}, set()
        offers: dict[Key, list[Grant]] = {}
        for key, wanted, fetches in wishes:
            if key in offers:
                continue
            mine = self.offered[key] = dict[Resource, int]()
            free = set(Resource) - self.reserved.get(key, set())
            if not self.shown[key].slot and Resource.SLOT in free and self.total(Resource.SLOT) < SLOTS:
                mine[Resource.SLOT] = 1
            if wanted and Resource.GPUS in free and self.gpus_left(key) >= wanted:
                mine[Resource.GPUS] = wanted
            if fetches and Resource.DOWNLOAD in free and self.total(Resource.DOWNLOAD) < TURNS:
                mine[Resource.DOWNLOAD] = 1
            offers[key] = [
                Grant(name, queue_of(key), amount=amount, site=SITE, since=self.now) for name, amount in mine.items()
            ]
        self.ledger.offer(offers)

    @rule(key=st.sampled_from(KEYS), spare=st.integers(0, 2))
    def a_reconcile_begins(self, key: Key, spare: int) -> None:
        if key in self.held:
            return
        promised = self.offered.pop(key, {}) | ({Resource.SLOT: 1} if key in self.again else {})
        got = self.ledger.reserve(key, self.now)
        assert got == Reserved(promised.get(Resource.GPUS, 0), Resource.DOWNLOAD in promised)
        self.held[key] = dict(promised)
        if not got.gpus and spare:
            expected = max(0, min(spare, self.gpus_left(key)))
            assert self.ledger.reserve_spare(key, spare, GpuLimits(POOL, QUEUE_GPUS)) == expected
            if expected:
                self.held[key][Resource.GPUS] = expected
        self.reserved[key] = set(self.held[key])

    @precondition(lambda self: self.held)
    @rule(data=st.data(), resource=st.sampled_from(Resource))
    def a_reconcile_uses_what_it_holds(self, data: st.DataObject, resource: Resource) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        amount = self.held[key].pop(resource, 0)
        if not amount:
            return
        shown = self.shown[key]
        match resource:
            case Resource.SLOT:
                self.show(key, slot=True)
            case Resource.GPUS:
                self.show(key, gpus=shown.gpus + amount)
            case Resource.DOWNLOAD:
                self.show(key, downloads=(*shown.downloads, SiteUse(SITE, self.now, live=True)))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_reconcile_ends(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.held)))
        before, held = self.counted(), self.held.pop(key)
        del self.reserved[key]
        self.ledger.release(key)
        self.again |= {key} if Resource.SLOT in held else set()
        freed = Counter(held)
        assert before - self.counted() == freed, "exactly what was held and not used"

    @rule(key=st.sampled_from(KEYS), what=st.sampled_from(Resource))
    def something_ends(self, key: Key, what: Resource) -> None:
        if key in self.held:
            return  # the model does not follow what ends while more of it begins
        shown = self.shown[key]
        match what:
            case Resource.SLOT:
                self.show(key, slot=False)
            case Resource.GPUS:
                self.show(key, gpus=max(0, shown.gpus - 1))
            case Resource.DOWNLOAD:
                self.show(key, downloads=tuple(SiteUse(SITE, each.started, live=False) for each in shown.downloads))

    @rule()
    def time_passes(self) -> None:
        self.now += timedelta(seconds=1)

    # ---------------------------------------------------------------- the model

    def show(self, key: Key, **changes: object) -> None:
        fields = ("queue", "user", "slot", "gpus", "kueue_gpus", "downloads")
        now = {name: getattr(self.shown[key], name) for name in fields} | changes
        self.shown[key] = Holding(**now)
        self.ledger.show(key, self.shown[key])

    def amount(self, key: Key, resource: Resource) -> int:
        shown = self.shown[key].amount(Grant(resource, queue_of(key), site=SITE))
        promised = self.held.get(key, {}).get(resource, 0) + self.offered.get(key, {}).get(resource, 0)
        return max(shown, promised) if resource is Resource.SLOT else shown + promised

    def total(self, resource: Resource, queue: QueueKey | None = None) -> int:
        return sum(self.amount(key, resource) for key in KEYS if queue in (None, queue_of(key)))

    def gpus_left(self, key: Key) -> int:
        return min(POOL - self.total(Resource.GPUS), QUEUE_GPUS - self.total(Resource.GPUS, queue_of(key)))

    def counted(self) -> Counter[Resource]:
        usage = self.ledger.usage()
        site = usage.sites.get(SITE)
        return Counter(
            {Resource.SLOT: usage.slots, Resource.GPUS: usage.gpus, Resource.DOWNLOAD: site.running if site else 0}
        )

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def everything_is_counted_once(self) -> None:
        usage = self.ledger.usage()
        for resource, count in self.counted().items():
            assert count == self.total(resource), resource
        for queue in {queue_of(key) for key in KEYS}:
            assert usage.queue_gpus[queue] == self.total(Resource.GPUS, queue)
            assert usage.queue_slots[queue] == self.total(Resource.SLOT, queue)
        assert usage.gpus == usage.queue_gpus.total() == self.ledger.gpus

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        usage = self.ledger.usage()
        assert usage.slots <= SLOTS
        assert usage.gpus <= POOL
        assert all(count <= QUEUE_GPUS for count in usage.queue_gpus.values())
        assert all(site.running <= TURNS for site in usage.sites.values())

    @invariant()
    def what_is_held_belongs_to_a_reconcile(self) -> None:
        assert self.ledger.usage().held.keys() <= self.held.keys()


TestGrants = Grants.TestCase
TestGrants.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
