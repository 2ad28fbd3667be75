"""The admitter and the sites that downloads come from: turns, and hosts that have had enough."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.polling import eventually
from tests.unit.operator.builders import NAMESPACE
from tests.unit.operator.pool import Object, Pool

from audiojob_operator.admission.admitter import Pace
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import CoolDownRules, SiteLimit, SiteRules
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason

ONE = SiteRules((SiteLimit("tube.example", max_running=1),))
ENDED: Object = {"conditions": [{"type": "Complete", "status": "True"}]}


# ---------------------------------------------------------------- hosts that have had enough


URL = {"url": "https://Media.example.org/a.ogg"}


def refuse(pool: Pool, name: str, host: str = "media.example.org", seconds: int = 90) -> Key:
    """A job that the host has refused."""
    key = pool.put(name, source=URL, started=True)
    now = datetime.now(UTC)
    pool.known(key).raw["status"]["phases"] = [
        {"name": "first", "state": "Waiting", "attempt": 1, "reason": "RateLimited",
         "nextAttemptTime": format_time(now + timedelta(seconds=seconds)),
         "coolDown": {"host": host, "time": format_time(now)}}
    ]  # fmt: skip
    pool.answer(key)
    return key


def is_held(pool: Pool, host: str = "media.example.org:8443") -> bool:
    job = pool.known(pool.put("other", source={"url": f"https://{host}/b.ogg"})).job
    return pool.admitter.cooling(job) is not None


async def test_several_jobs_that_were_refused_for_asking_too_often_hold_all_jobs_of_the_host_back() -> None:
    pool = Pool(None)
    refuse(pool, "one")
    refuse(pool, "two")
    assert is_held(pool)
    assert not is_held(pool, "example.org")


async def test_the_word_of_one_job_holds_nobody_else() -> None:
    pool = Pool(None)
    refuse(pool, "one", seconds=3_600)
    assert not is_held(pool)


async def test_what_a_redirect_led_to_is_held_and_not_the_host_of_the_address() -> None:
    pool = Pool(None)
    refuse(pool, "one", "slow.example.net")
    refuse(pool, "two", "slow.example.net")
    assert not is_held(pool)
    assert is_held(pool, "slow.example.net")


@pytest.mark.parametrize("end", ["is cancelled", "is gone", "is done"])
async def test_a_host_is_free_again_when_a_job_that_was_refused(end: str) -> None:
    pool = Pool(None)
    one = refuse(pool, "one")
    refuse(pool, "two")
    assert is_held(pool)
    waiting = pool.put("other", source=URL)
    pool.cycle()
    if end == "is gone":
        pool.store.gone(one, "uid-one")
    else:
        pool.put("one", source=URL, started=True, cancel=end == "is cancelled")
    assert waiting in pool.cycle(), "it must not wait until the time that it was told"
    assert not is_held(pool)


async def test_refusals_before_the_administrators_reset_hold_nobody() -> None:
    reset = SiteRules(cool_down=CoolDownRules(since=datetime.now(UTC) + timedelta(seconds=1)))
    pool = Pool(None, sites=reset)
    refuse(pool, "one")
    refuse(pool, "two")
    assert not is_held(pool)


async def test_a_host_rests_from_the_round_on_that_was_refused_and_not_only_after_the_next_pass() -> None:
    pool = Pool(None)
    refuse(pool, "one")
    two = pool.put("two", source=URL, started=True)
    pool.answer(two)
    raw = pool.known(pool.put("two", source=URL, started=True)).raw  # what its round writes
    raw["status"]["phases"] = pool.known((NAMESPACE, "one")).raw["status"]["phases"]
    pool.release(two)
    assert is_held(pool)


async def test_a_host_that_must_be_left_alone_is_known_before_the_first_round_after_a_restart() -> None:
    before = Pool(None)
    refuse(before, "one")
    phases = before.known((NAMESPACE, "one")).raw["status"]["phases"]
    pool = Pool(None, known=False)
    for name in ("one", "two"):
        pool.known(pool.put(name, source=URL, started=True)).raw["status"]["phases"] = phases
    new = pool.put("new", source=URL)
    pool.admitter.open()
    answer = pool.ask(new)
    assert answer is not None
    assert answer.admitted
    assert pool.admitter.cooling(pool.known(new).job) is not None


# ---------------------------------------------------------------- sites


def grants(answers: list[Admission]) -> list[bool | None]:
    return [answer.site.granted if answer.site else None for answer in answers]


async def test_a_download_given_to_a_round_is_not_given_to_another_before_its_job_is_seen() -> None:
    pool = Pool(None, sites=ONE)
    first, second = pool.song("first", age=5), pool.song("second")
    answers = [pool.answer(first), pool.answer(second)]
    assert [answer.admitted for answer in answers] == [True, False]
    assert answers[1].reason == Reason.SITE_BUSY
    pool.fetch_job("first")
    pool.release(first)
    assert not pool.answer(second).admitted
    pool.woken.clear()
    pool.fetch_job("first", **ENDED)
    pool.store.gone(first, "uid-first")
    pool.cycle()
    assert grants([pool.answer(second)]) == [True]


@pytest.mark.parametrize("state", ["Succeeded", None], ids=["that has finished", "that is gone"])
async def test_the_end_of_a_download_of_a_job_wakes_the_next_one(state: str | None) -> None:
    pool = Pool(None, sites=ONE)
    first, second = pool.song("first", started=True), pool.song("second")
    pool.fetch_job("first")
    if state is None:
        pool.store.gone(first, "uid-first")
    else:
        raw = deepcopy(pool.known(first).raw)
        raw["metadata"]["resourceVersion"], raw["status"]["state"] = "1000", state
        pool.store.put(raw)
    assert pool.answer(second).reason == Reason.SITE_BUSY
    pool.woken.clear()
    pool.fetch_job("first", **ENDED)
    assert second in pool.cycle()
    answer = pool.ask(second)
    assert answer is not None
    assert grants([answer]) == [True]


async def test_a_round_that_began_no_download_gives_the_turn_back() -> None:
    pool = Pool(None, sites=ONE)
    first, second = pool.song("first"), pool.song("second", age=-5)
    assert pool.answer(first).admitted
    pool.store.gone(first, "uid-first")
    pool.release(first)
    assert pool.answer(second).admitted


async def test_a_turn_that_is_not_used_wakes_nobody_again_and_again() -> None:
    pool = Pool(None, sites=ONE)
    first = pool.song("first", started=True)
    for _ in range(3):
        assert grants([pool.answer(first)]) == [True]
        pool.release(first)
    assert pool.woken == []


async def test_a_turn_serves_one_download() -> None:
    pool = Pool(None, sites=ONE)
    first = pool.song("first", started=True)
    assert grants([pool.answer(first)]) == [True]
    pool.release(first)
    again = pool.ask(first)  # at once: no pass in between
    assert again is not None
    assert grants([again]) == [False]
    assert first in pool.cycle()


async def test_sites_without_a_limit_ask_nobody() -> None:
    pool = Pool(None, sites=ONE)
    answers = [pool.ask(pool.song(f"song-{number}", "other.example")) for number in range(60)]
    assert all(answer is not None and answer.admitted and answer.site is None for answer in answers)


async def test_a_turn_at_a_site_is_not_put_off_as_where_nothing_is_limited() -> None:
    pool = Pool(None, sites=ONE)
    pool.song("song", "other.example")
    pool.cycle()
    assert pool.woken_first == [], "nothing is limited"
    other = pool.song("other")
    pool.cycle()
    assert other in pool.woken_first


async def test_every_host_has_the_limit_that_holds_for_all() -> None:
    pool = Pool(None, sites=SiteRules((), 1))
    keys = [pool.song("a", "one.example"), pool.song("b", "two.example"), pool.song("c", "two.example")]
    assert [pool.answer(key).admitted for key in keys] == [True, True, False]


async def test_a_pause_ends_by_itself() -> None:
    pool = Pool(None, sites=SiteRules((SiteLimit("tube.example", pause_seconds=1),)), pace=Pace(0.01, 0.01))
    pool.fetch_job("before", **ENDED)
    song = pool.song("song")
    found = pool.answer(song)
    assert (found.admitted, found.reason) == (False, Reason.SITE_BUSY)
    pool.release(song)
    pool.woken.clear()
    await eventually(lambda: song in pool.woken, "its wake-up")
    assert pool.answer(song).admitted


async def test_a_host_that_cools_down_takes_no_turn_from_others_of_its_site() -> None:
    pool = Pool(None, sites=replace(ONE, cool_down=CoolDownRules(jobs=1)))
    limited = pool.song("limited", "a.tube.example", started=True)
    later = format_time(datetime.now(UTC) + timedelta(seconds=90))
    refused = {"host": "a.tube.example", "time": format_time(datetime.now(UTC))}
    pool.known(limited).raw["status"]["phases"] = [
        {"name": "download", "state": "Waiting", "attempt": 1, "reason": "RateLimited", "nextAttemptTime": later,
         "coolDown": refused}
    ]  # fmt: skip
    same, other = pool.song("same", "a.tube.example", age=60), pool.song("other", "b.tube.example")
    assert [pool.answer(key).admitted for key in (limited, same, other)] == [True, False, True]
