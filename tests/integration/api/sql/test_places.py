"""Each request for a job has its own place among limits: exact where several ask for one name, in both databases."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import astuple, replace
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
from sqlalchemy import delete, insert, select
from tests.integration.api.sql.test_limits import ANN, NOON, quota, refusal, twin, wish
from tests.support.databases.postgres import Postgres
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.access.config import AccessConfig
from audiojob_api.access.limits.ledger import _RESERVE, DAY, HOUR, Bounds, Ledger, Open, Wish
from audiojob_api.access.limits.quota import Fate, Quota
from audiojob_api.app import create_app
from audiojob_api.settings import ApiSettings
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.access import RESERVATIONS
from audiojob_api.sql.url import parse

__all__ = ["twin"]  # a fixture
pytestmark = pytest.mark.integration

LATER = 10**15
BODY = {"pipeline": "separate", "name": "song", "source": {"url": "https://example.org/song.flac"}}


async def gone() -> bool:
    return False


async def there() -> bool:
    return True


async def opened(database: Database) -> list[Open]:
    return list(await Ledger(database).open(LATER))


@asynccontextmanager
async def serving(database: Database, **tier: int) -> AsyncIterator[tuple[httpx2.AsyncClient, MemoryBackend]]:
    """The app over a backend in memory and a real database."""
    backend = MemoryBackend()
    limits = {"tiers": {"all": tier}, "kubernetesTier": "all"}
    access = AccessConfig.model_validate({"limits": limits})
    settled = replace(backend.backend(), access=access, database=database)
    app = create_app(ApiSettings(namespace="team"), settled, backend.stopping)
    headers = {"Authorization": f"Bearer {GOOD_TOKEN}"}
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        yield client, backend


def later(client: httpx2.AsyncClient, seconds: int, monkeypatch: pytest.MonkeyPatch) -> Quota:
    """The limits of the app, so much later."""
    found: Quota = client._transport.app.state.services.quota  # type: ignore[attr-defined]
    monkeypatch.setattr(found, "_clock", lambda: time.time() + seconds)
    return found


async def test_of_two_calls_with_one_name_the_job_that_is_made_counts_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database, jobsPerDay=9) as (client, backend):
        create, came, made = backend.create, asyncio.Event(), asyncio.Event()

        async def second_wins(job: Any) -> Any:
            if not came.is_set():
                came.set()
                await made.wait()
                return await create(job)
            stored = await create(job)
            made.set()
            return stored

        monkeypatch.setattr(backend, "create", second_wins)
        answers = await asyncio.gather(*(client.post("/api/v1/jobs", json=BODY) for _ in range(2)))
        assert sorted(each.status_code for each in answers) == [201, 409]
    assert [row.name for row in await opened(database)] == ["song"]


async def test_a_name_that_is_free_again_is_no_way_around_a_limit(database: Database) -> None:
    key = {"Idempotency-Key": "monday"}
    async with serving(database, jobsPerDay=2) as (client, backend):
        assert (await client.post("/api/v1/jobs", json=BODY)).status_code == 201
        backend.remove("song")  # its TTL is short
        assert (await client.post("/api/v1/jobs", json=BODY, headers=key)).status_code == 201
        assert (await client.post("/api/v1/jobs", json=BODY, headers=key)).status_code == 200
        assert (await client.post("/api/v1/jobs", json={**BODY, "name": "other"})).status_code == 429
        backend.put("song", state="Failed")
        assert (await client.post("/api/v1/jobs", json=BODY, headers=key)).status_code == 200, "it asks for no more"
        backend.remove("song")
        for headers in ({}, key):
            assert (await client.post("/api/v1/jobs", json=BODY, headers=headers)).status_code == 429
    assert len(await opened(database)) == 2


async def test_a_failure_of_ours_takes_no_place_for_good(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(database, jobsPerDay=1) as (client, backend):
        backend.failure = RuntimeError("not foreseen")
        assert (await client.post("/api/v1/jobs", json=BODY)).status_code == 500
        backend.failure = None
        assert (await client.post("/api/v1/jobs", json=BODY)).status_code == 429, "it may have been made"
        await later(client, 60, monkeypatch)._settle(None)
        assert (await client.post("/api/v1/jobs", json=BODY)).status_code == 201


async def test_two_replicas_give_back_their_own_places(database: Database, twin: Database) -> None:
    now, fates = [NOON], {"song": Fate.OPEN}
    replicas = [quota(each, fates, now, jobsPerDay=3) for each in (database, twin)]
    for repeats in (None, gone):
        wishes = [wish("song"), wish("song")]
        asked = (one.reserve(ANN, each, repeats) for one, each in zip(replicas, wishes, strict=True))
        assert await asyncio.gather(*asked) == [True, True], "at the same millisecond"
        await replicas[1].refused(wishes[1])
        (row,) = await opened(database)
        assert row.token == wishes[0].token
        assert await replicas[1].reserve(ANN, wish("song"), there) is False, "it was made before, and counts once"
        await replicas[0].refused(wishes[0])
    assert await opened(twin) == []


async def test_whoever_makes_the_job_has_its_place_in_whatever_order_they_come(
    database: Database, twin: Database
) -> None:
    random, made = Random(7), dict[str, str]()
    replicas = [quota(each, {}, [NOON], jobsPerDay=1_000) for each in (database, twin)]

    async def call(limits: Quota, name: str, *, has_key: bool) -> None:
        async def is_made() -> bool:
            return name in made

        mine = wish(name)
        reserved = await limits.reserve(ANN, mine, is_made if has_key else None)
        for _ in range(random.randint(0, 9)):
            await asyncio.sleep(0)
        new = name not in made
        made.setdefault(name, mine.token)
        if new or has_key:
            await limits.made(mine, new=new, reserved=reserved, caller=ANN)
        elif reserved:
            await limits.refused(mine)

    calls = [(limits, f"song-{number}", key) for number in range(20) for limits in replicas for key in (True, False)]
    random.shuffle(calls)
    await asyncio.gather(*(call(limits, name, has_key=key) for limits, name, key in calls))
    assert {row.name: row.token for row in await opened(database)} == made
    assert len(await opened(database)) == len(made)


async def test_of_two_places_for_one_job_that_of_the_lost_request_does_not_count(database: Database) -> None:
    now, fates = [NOON], dict[str, Fate]()
    limits = quota(database, fates, now, jobsPerDay=2, concurrentJobs=2)
    lost, again = wish("song"), wish("song")
    assert await limits.reserve(ANN, lost, gone)
    limits.doubt(lost)
    now[0] += 1_000
    assert await limits.reserve(ANN, again, gone)
    fates["song"] = Fate.OPEN
    now[0] += 60_000
    await limits._settle(None)
    assert (await refusal(limits.reserve(ANN, wish("next")))).status == 429, "the later one may be on its way yet"
    now[0] += 120_000
    await limits._settle(None)
    assert [row.token for row in await opened(database)] == [again.token]
    assert await limits.reserve(ANN, wish("next"))


async def test_a_job_that_was_made_without_a_place_counts_beside_what_has_its_name(database: Database) -> None:
    ledger = Ledger(database)
    other = wish("song")
    assert await ledger.reserve(other, Bounds(), NOON)
    await asyncio.gather(*(ledger.record(wish("song"), NOON) for _ in range(3)))
    await ledger.release(other)
    assert len(await opened(database)) == 3


async def test_a_replica_of_the_release_before_is_served_until_it_is_replaced(postgres: Postgres) -> None:
    database = Database(parse(postgres.create("before")))
    await database.open()
    asked = {
        "namespace": "team", "name": "song", "user": "ann", "address": "192.0.2.1", "created": NOON, "counts_as": 5,
        "assumed": 5, "day_began": NOON - 12 * HOUR, "hour_ago": NOON - HOUR, "most_day": 1,
    }  # fmt: skip
    wishes = json.dumps([asked, asked, {**asked, "name": "other"}])
    rows = await database.call(_RESERVE, ["user:ann"], NOON, wishes)
    assert [(row["made"], row["named"]) for row in rows] == [(True, False), (False, True), (False, False)]
    (row,) = await opened(database)
    assert (row.name, row.token) == ("song", "")
    await database.close()


# ---------------------------------------------------------------- PostgreSQL decides as SQLite does

USERS, ADDRESSES, NAMES = ("ann", "bob"), ("192.0.2.1", "192.0.2.2"), ("a", "b", "c", "d", "e", "f")
MOMENTS = (NOON - 2 * DAY, NOON - 13 * HOUR, NOON - 12 * HOUR, NOON - HOUR, NOON - HOUR + 1, NOON - 5, NOON, NOON + 1)


@pytest.fixture
async def both(postgres: Postgres, tmp_path: Path) -> AsyncIterator[tuple[Database, Database]]:
    databases = Database(parse(f"sqlite:///{tmp_path / 'a.db'}")), Database(parse(postgres.create("both")))
    for each in databases:
        await each.open()
    yield databases
    for each in databases:
        await each.close()


def ledger_of(random: Random) -> Iterator[dict[str, Any]]:
    """What was reserved before: each row its own moment of its name."""
    for name in NAMES:
        for created in random.sample(MOMENTS, random.randint(0, 4)):
            yield {
                "namespace": "team", "name": name, "created": created, "user": random.choice(USERS), "token": "t",
                "address": random.choice(ADDRESSES), "ended": random.choice((None, created + 1)),
                "minutes": random.choice((None, 0.0, 0.5, 7.25)),
            }  # fmt: skip


def asked_of(random: Random) -> tuple[Wish, Bounds, int, bool]:
    def most(*values: int) -> int | None:
        return random.choice((None, *values))

    bounds = Bounds(
        most(0, 1, 3, 6), most(0, 2, 4), most(1, 3, 5), most(1, 4, 6), most(0, 2, 20), random.choice((0, 5))
    )
    minutes = random.choice((None, 0.0, 1.5))
    asked = Wish("team", random.choice(NAMES), random.choice(USERS), random.choice(ADDRESSES), minutes)
    return asked, bounds, NOON + random.randint(0, 3), random.random() < 0.3


async def test_both_databases_answer_alike_whatever_was_reserved(both: tuple[Database, Database]) -> None:
    told = set()
    for seed in range(40):
        random = Random(seed)
        rows, wishes = list(ledger_of(random)), [asked_of(random) for _ in range(random.randint(1, 12))]
        answers, left = [], []
        for database in both:
            async with database.write() as connection:
                await connection.execute(delete(RESERVATIONS))
                if rows:
                    await connection.execute(insert(RESERVATIONS), rows)
            ledger = Ledger(database)
            asked = (ledger.ask(each, bounds, now, anew=anew) for each, bounds, now, anew in wishes)
            answers.append(await asyncio.gather(*asked))
            async with database.read() as connection:
                left.append(sorted(map(repr, (await connection.execute(select(RESERVATIONS))).all())))
        assert answers[0] == answers[1], f"seed {seed}"
        assert left[0] == left[1], f"seed {seed}"
        told |= {str(each.answer if isinstance(each.answer, bool) else astuple(each.answer)[0]) for each in answers[0]}
    assert told == {
        "True", "False", "jobs a day", "jobs an hour", "jobs at once", "jobs an hour from one address",
        "minutes of audio a day",
    }, "each was met"  # fmt: skip
