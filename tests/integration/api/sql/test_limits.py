"""Limits in both databases: exact whoever asks at once, told with their end, given back, compared with the jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from audiojob_api.access.authorizer import Grant, Identity, Role, Scope
from audiojob_api.access.config import Limits
from audiojob_api.access.keys.store import MOST_KEYS, Key, KeyStore
from audiojob_api.access.limits.ledger import DAY, HOUR, Bounds, Exceeded, Ledger, Wish
from audiojob_api.access.limits.left import Left
from audiojob_api.access.limits.quota import Fate, Quota, Seen
from audiojob_api.problems import Problem
from audiojob_api.sql.database import Database
from audiojob_api.sql.errors import DatabaseUnavailable
from audiojob_api.sql.url import parse

pytestmark = pytest.mark.integration

NOON = 20_000 * DAY + 12 * HOUR
ANN = Identity("oidc:corp:ann", grants=(Grant("band", "team", Role.SUBMITTER),), tier="free")


def wish(name: str, user: str = "ann", address: str = "192.0.2.1") -> Wish:
    return Wish("team", name, user, address)


@pytest.fixture
async def twin(database: Database, url: str) -> AsyncIterator[Database]:
    """What a second replica has; of SQLite there is none."""
    if database.is_sqlite:
        yield database
        return
    other = Database(parse(url))
    await other.open()
    yield other
    await other.close()


async def test_400_at_once_against_100_are_exactly_100(database: Database, twin: Database) -> None:
    ledgers = [Ledger(database), Ledger(twin)]
    bounds = Bounds(day=100, address_hour=1_000)
    asked = [ledgers[number % 2].reserve(wish(f"job-{number}"), bounds, NOON + number) for number in range(400)]
    answers = await asyncio.gather(*asked)
    assert answers.count(True) == 100
    assert {each for each in answers if each is not True} == {Exceeded("jobs a day", 100, 20_001 * DAY)}


async def test_asked_for_together_each_counts_for_its_user_its_address_and_its_name(database: Database) -> None:
    ledger, bounds = Ledger(database), Bounds(day=2, address_hour=3)
    wishes = [
        wish("a"),
        wish("a"),
        wish("b"),
        wish("c"),
        wish("d", "bob"),
        wish("e", "bob"),
        wish("f", "bob", "192.0.2.2"),
    ]
    answers = await asyncio.gather(*(ledger.reserve(each, bounds, NOON) for each in wishes))
    day = Exceeded("jobs a day", 2, 20_001 * DAY)
    address = Exceeded("jobs an hour from one address", 3, NOON + HOUR)
    assert answers == [True, False, True, day, True, address, True]


async def test_who_has_gone_has_no_place(database: Database) -> None:
    ledger, bounds = Ledger(database), Bounds(at_once=1)
    first = asyncio.create_task(ledger.reserve(wish("a"), bounds, NOON))
    waiting = asyncio.create_task(ledger.reserve(wish("b"), bounds, NOON))
    await asyncio.sleep(0)
    first.cancel()
    waiting.cancel()
    await asyncio.gather(first, waiting, return_exceptions=True)
    assert await ledger.reserve(wish("c"), bounds, NOON) is True


async def test_who_has_gone_takes_nobody_elses_place_where_the_database_fails(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, bounds = Ledger(database), Bounds(day=5)

    async def fail(_: Wish) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(ledger, "release", fail)
    gone = asyncio.create_task(ledger.reserve(wish("a"), bounds, NOON))
    stays = asyncio.create_task(ledger.reserve(wish("b"), bounds, NOON))
    decide = ledger._decide

    async def leave(batch: Any) -> Any:
        answers = await decide(batch)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        return answers

    monkeypatch.setattr(ledger, "_decide", leave)
    assert await stays is True


HISTORY = {
    "the day's are made": (Bounds(day=3), [NOON] * 3, NOON, Exceeded("jobs a day", 3, 20_001 * DAY)),
    "yesterday's do not count": (Bounds(day=3), [NOON - DAY] * 3, NOON, True),
    "the day ends at midnight": (Bounds(day=3), [NOON] * 3, 20_001 * DAY, True),
    "none a day": (Bounds(day=0), [], NOON, Exceeded("jobs a day", 0, 20_001 * DAY)),
    "the hour's are made": (
        Bounds(hour=2), [NOON - HOUR // 2, NOON - 5], NOON, Exceeded("jobs an hour", 2, NOON + HOUR // 2),
    ),
    "an hour ago": (Bounds(hour=2), [NOON - HOUR, NOON - 5], NOON, True),
    "as many at once, of any day": (
        Bounds(at_once=2), [NOON - 9 * DAY, NOON], NOON, Exceeded("jobs at once", 2, None),
    ),
    "the address's": (
        Bounds(address_hour=1), [NOON - 5], NOON, Exceeded("jobs an hour from one address", 1, NOON - 5 + HOUR),
    ),
    "a day's minutes below what is assumed": (Bounds(minutes=2, assumed=5), [], NOON, True),
    "no minutes a day": (Bounds(minutes=0, assumed=5), [], NOON, Exceeded("minutes of audio a day", 0, 20_001 * DAY)),
    "no limit": (Bounds(at_once=None), [NOON] * 9, NOON, True),
}  # fmt: skip


@pytest.mark.parametrize(("bounds", "made", "now", "want"), HISTORY.values(), ids=HISTORY.keys())
async def test_what_counts(
    database: Database, bounds: Bounds, made: list[int], now: int, want: bool | Exceeded
) -> None:
    ledger = Ledger(database)
    for number, moment in enumerate(made):
        await ledger.record(wish(f"old-{number}"), moment)
    await ledger.record(wish("of-another", user="bob", address="192.0.2.2"), NOON)
    assert await ledger.reserve(wish("new"), bounds, now) == want


async def test_a_name_counts_once_until_its_job_has_ended(database: Database) -> None:
    ledger, bounds = Ledger(database), Bounds(day=2)
    first = wish("song")
    assert await ledger.reserve(first, bounds, NOON) is True
    assert await ledger.reserve(wish("song"), bounds, NOON + 1) is False, "the same request again"
    await ledger.release(wish("song"))
    assert await ledger.reserve(wish("song"), bounds, NOON + 1) is False, "nobody gives back another's place"
    await ledger.release(first)
    assert await ledger.reserve(wish("song"), bounds, NOON + 2) is True, "it was refused, and did not count"
    await ledger.settle(await ledger.open(NOON + 3), [], NOON + 3)
    assert await ledger.reserve(wish("song"), bounds, NOON + 4) is True, "deleted, and made again"
    assert isinstance(await ledger.reserve(wish("other"), bounds, NOON + 5), Exceeded)
    await ledger.prune(NOON + 3 * DAY)
    assert [row.name for row in await ledger.open(NOON + 4 * DAY)] == ["song"], "what has not ended stays"


def quota(database: Database, fates: Mapping[str, Fate | Seen], now: list[int], **tier: int) -> Quota:
    async def seen(_: str, name: str) -> Seen:
        found = fates.get(name, Fate.ABSENT)
        return found if isinstance(found, Seen) else Seen(found)

    limits = Limits.model_validate({"tiers": {"free": tier}})
    return Quota(limits, Ledger(database), seen, lambda: now[0] / 1_000)


async def refusal(asked: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        await asked
    return raised.value


async def test_a_place_is_free_once_the_job_has_ended_or_was_never_made(database: Database) -> None:
    now, fates = [NOON], {"one": Fate.OPEN, "two": Fate.OPEN}
    limits = quota(database, fates, now, concurrentJobs=2)
    for name in fates:
        assert await limits.reserve(ANN, wish(name))
    refused = await refusal(limits.reserve(ANN, wish("three")))
    assert refused.detail == (
        "The limit of 2 jobs at once of your tier, free is reached; try again once one of your jobs has ended."
    )
    now[0] += 1
    fates["one"] = Fate.ENDED
    assert await limits.reserve(ANN, wish("three")), "seen at once, not a minute later"
    now[0] += 60_000
    await refusal(limits.reserve(ANN, wish("four")))
    now[0] += 120_000
    assert await limits.reserve(ANN, wish("four")), "three is gone"


async def test_a_job_that_was_made_counts_though_its_ttl_took_it_at_once(database: Database) -> None:
    now = [NOON]
    limits = quota(database, {}, now, jobsPerDay=2)
    lost = wish("lost")
    for each in (wish("quick"), lost):
        assert await limits.reserve(ANN, each)
    limits.doubt(lost)
    now[0] += 60_000
    await limits._settle(None)
    assert await limits.reserve(ANN, wish("next")), "nobody knew whether lost was made, and it is not there"
    now[0] += 600_000
    await limits._settle(None)
    assert (await refusal(limits.reserve(ANN, wish("other")))).kind == "limit-reached"


async def test_minutes_of_audio_count_as_they_are_measured_and_not_as_they_are_told(database: Database) -> None:
    now, seen, left = [NOON], dict[str, Seen](), list[Left]()
    limits = quota(database, seen, now, audioMinutesPerDay=12)
    for name in ("one", "two"):
        assert await limits.reserve(ANN, wish(name), tell=left.extend)
        seen[name] = Seen(Fate.OPEN)
    assert [(each.policy, each.room) for each in left] == [
        ('"audio-minutes-day";q=12;w=86400', f'"audio-minutes-day";r={room};t=43200') for room in (7, 2)
    ], "each counts as five, while nobody knows"
    refused = await refusal(limits.reserve(ANN, wish("three")))
    assert refused.detail == (
        "The limit of 12 minutes of audio a day of your tier, free is reached; try again at 2024-10-05T00:00:00Z."
    )
    now[0] += 1
    seen["one"] = Seen(Fate.OPEN, minutes=1.5)
    assert await limits.reserve(ANN, wish("three")), "one is shorter, which is seen at once"
    now[0] += 1
    seen |= {"two": Seen(Fate.ENDED), "three": Seen(Fate.ENDED, minutes=4.0)}
    known = Wish("team", "four", "ann", "192.0.2.1", minutes=6.6)
    assert (await refusal(limits.reserve(ANN, known))).status == 429, "two worked on none: 1.5 + 4 + 6.6"
    assert await limits.reserve(ANN, Wish("team", "five", "ann", "192.0.2.1", minutes=6.4))
    now[0] = 20_001 * DAY
    assert await limits.reserve(ANN, wish("six")), "another day"


async def test_a_job_that_nobody_saw_end_keeps_what_was_assumed(database: Database) -> None:
    now = [NOON]
    limits = quota(database, {}, now, audioMinutesPerDay=8)
    assert await limits.reserve(ANN, wish("gone"))
    now[0] += 600_000
    await limits._settle(None)
    await refusal(limits.reserve(ANN, wish("next")))


async def test_two_replicas_share_the_minutes(database: Database, twin: Database) -> None:
    ledgers = [Ledger(database), Ledger(twin)]
    bounds = Bounds(minutes=100, assumed=5)
    asked = [ledgers[number % 2].reserve(wish(f"job-{number}"), bounds, NOON + number) for number in range(60)]
    assert (await asyncio.gather(*asked)).count(True) == 20


async def test_the_refusal_says_which_limit_and_when_it_ends(database: Database) -> None:
    limits = quota(database, {}, [NOON + 500], jobsPerDay=1)
    assert await limits.reserve(ANN, wish("one"))
    refused = await refusal(limits.reserve(ANN, wish("two")))
    assert (refused.status, refused.kind) == (429, "limit-reached")
    assert refused.detail == (
        "The limit of 1 jobs a day of your tier, free is reached; try again at 2024-10-05T00:00:00Z."
    )
    assert refused.headers == {"Retry-After": "43200"}


async def test_while_the_database_is_away_no_job_is_made(database: Database) -> None:
    limits = quota(database, {}, [NOON], jobsPerDay=1)
    await database.close()
    unopened = Quota(Limits.model_validate({"tiers": {"free": {"jobsPerDay": 1}}}), Ledger(Database(database.url)), _no)
    assert (await refusal(unopened.reserve(ANN, wish("one")))).status == 503
    paid = Identity("bob", grants=ANN.grants, tier="paid")
    assert await limits.reserve(paid, wish("two")) is False, "whose jobs nobody counts need none"


async def _no(*_: str) -> Seen:
    raise AssertionError


async def test_keys_that_are_made_at_once_are_as_many_as_one_may_have(database: Database, twin: Database) -> None:
    stores = [KeyStore(database), KeyStore(twin)]
    keys = [
        Key(f"k{number}", b"0" * 32, "laptop", "ann", {}, frozenset({Scope.READ}), NOON, NOON + DAY)
        for number in range(MOST_KEYS + 20)
    ]
    made = await asyncio.gather(*(stores[number % 2].add(each, NOON) for number, each in enumerate(keys)))
    assert made.count(True) == len(await stores[0].of("ann", NOON)) == MOST_KEYS
