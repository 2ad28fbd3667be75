"""Bytes of uploads in both databases: exact whoever asks at once, given back, compared with what is stored."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.api.sql.test_limits import ANN, NOON, refusal, twin

from audiojob_api.access.config import Limits, Tier
from audiojob_api.access.limits.quota import Quota, Seen
from audiojob_api.access.limits.upload_quota import UploadBounds, UploadQuota
from audiojob_api.access.limits.uploads import Full, Kept, Room, StoredBytes
from audiojob_api.problems import unavailable
from audiojob_api.sql.database import Database

__all__ = ["twin"]  # a fixture
pytestmark = pytest.mark.integration


def kept(name: str, size: int, user: str = ANN.username, namespace: str = "team") -> Kept:
    return Kept(namespace, name, user, size)


async def test_400_at_once_against_room_for_100_are_exactly_100(database: Database, twin: Database) -> None:
    ledgers = [StoredBytes(database), StoredBytes(twin)]
    room = Room(user=1_000_000, namespace=10**12)
    asked = [ledgers[number % 2].reserve(kept(f"up-{number}", 10_000), room, NOON) for number in range(400)]
    answers = await asyncio.gather(*asked)
    assert answers.count(None) == 100
    assert {each for each in answers if each is not None} == {Full("user", 1_000_000, 1_000_000)}


async def test_what_counts(database: Database) -> None:
    ledger, room = StoredBytes(database), Room(user=10, namespace=15)
    assert await ledger.reserve(kept("a", 10), room, NOON) is None
    assert await ledger.reserve(kept("b", 1), room, NOON) == Full("user", 10, 10)
    assert await ledger.reserve(kept("a", 9), room, NOON) is None, "the same upload counts once, and anew"
    assert await ledger.reserve(kept("b", 1), room, NOON) is None
    assert await ledger.reserve(kept("c", 6, "bob"), room, NOON) == Full("namespace", 15, 10)
    assert await ledger.reserve(kept("c", 6, "bob", "other"), room, NOON) is None
    await ledger.release(kept("a", 0))
    assert await ledger.reserve(kept("d", 9), room, NOON) is None
    assert await ledger.reserve(kept("e", 2**53), Room(), NOON) is None, "no limit"


async def test_of_what_is_gone_the_room_is_free_at_once_and_nothing_is_free_while_nobody_knows(
    database: Database,
) -> None:
    now: list[int] = [NOON]
    sizes: dict[str, int | Exception | None] = {}

    async def stored(upload: Kept) -> int | None:
        found = sizes[upload.id]
        if isinstance(found, Exception):
            raise found
        return found

    async def fate(_: str, __: str) -> Seen:
        raise AssertionError

    given = {"tiers": {"free": {"storedBytes": 100, "maxUploadBytes": 60}}}
    tiers = Quota(Limits.model_validate(given), None, fate)
    limits = UploadQuota(UploadBounds(tiers.tier), StoredBytes(database), stored, lambda: now[0] / 1_000)
    await limits.reserve(ANN, kept("half", 60))
    await limits.came(kept("half", 60), 58)
    refused = await refusal(limits.reserve(ANN, kept("more", 43)))
    assert (refused.status, refused.kind) == (429, "limit-reached")
    assert refused.detail == (
        "The limit of 100 bytes of uploads of your tier, free, leaves 42, and this one has 43; "
        "remove uploads, or wait until unused ones are removed."
    )
    refused = await refusal(limits.reserve(ANN, kept("large", 61)))
    assert (refused.status, refused.kind) == (413, "upload-too-large")
    now[0] += 31_000
    sizes["half"] = unavailable("The files service does not answer.")
    assert (await refusal(limits.reserve(ANN, kept("more", 43)))).status == 503
    sizes["half"] = None  # W12: swept
    await limits.reserve(ANN, kept("more", 43))
    await limits.release(kept("more", 43))
    await limits.reserve(ANN, kept("again", 60))
    now[0] += 3_700_000
    sizes["again"] = 50
    await limits._look(3_600_000, 10, None)
    await limits.reserve(ANN, kept("rest", 50))


async def test_a_namespace_whose_files_are_away_keeps_no_other_from_being_compared(database: Database) -> None:
    async def stored(upload: Kept) -> int | None:
        if upload.namespace == "away":
            raise unavailable("The files service does not answer.")
        return 7

    ledger = StoredBytes(database)
    for number, (name, namespace) in enumerate((("a", "away"), ("b", "team"))):
        await ledger.reserve(kept(name, 60, namespace=namespace), Room(user=1_000), NOON + number)
    limits = UploadQuota(UploadBounds(lambda _: ("", Tier())), ledger, stored, lambda: NOON / 1_000 + 7_200)
    assert (await refusal(limits._look(3_600_000, 10, None))).status == 503
    assert await ledger.reserve(kept("c", 933), Room(user=1_000), NOON) is None, "60 and 7 are taken"
