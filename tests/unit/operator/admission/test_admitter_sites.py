"""The admitter and the sites that downloads come from: turns, and hosts that have had enough."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.polling import eventually
from tests.unit.operator.pool import Object, Pool

from audiojob_operator.admission.admitter import Pace
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.sites import SiteLimit, SiteRules
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason

ONE = SiteRules((SiteLimit("tube.example", max_running=1),))
ENDED: Object = {"conditions": [{"type": "Complete", "status": "True"}]}


# ---------------------------------------------------------------- hosts that have had enough


async def test_one_job_that_was_refused_for_asking_too_often_holds_all_jobs_of_its_host_back() -> None:
    pool = Pool(None)
    refused = pool.put("refused", source={"url": "https://Media.example.org/a.ogg"}, started=True)
    later = format_time(datetime.now(UTC) + timedelta(seconds=90))
    pool.known(refused).raw["status"]["phases"] = [
        {"name": "first", "state": "Waiting", "attempt": 1, "reason": "RateLimited", "nextAttemptTime": later}
    ]
    pool.answer(refused)
    same = pool.known(pool.put("same", source={"url": "https://media.example.org:8443/b.ogg"})).job
    other = pool.known(pool.put("other", source={"url": "https://example.org/b.ogg"})).job
    until = pool.admitter.cooling(same)
    assert until is not None
    assert format_time(until) == later
    assert pool.admitter.cooling(other) is None


async def test_a_host_rests_from_the_round_on_that_was_refused_and_not_only_after_the_next_pass() -> None:
    pool = Pool(None)
    url = {"url": "https://media.example.org/a.ogg"}
    refused = pool.put("refused", source=url, started=True)
    pool.answer(refused)
    pool.put("refused", source=url, started=True)  # what its round writes
    pool.known(refused).raw["status"]["phases"] = [
        {"name": "first", "state": "Waiting", "attempt": 1, "reason": "RateLimited",
         "nextAttemptTime": format_time(datetime.now(UTC) + timedelta(seconds=90))}
    ]  # fmt: skip
    pool.release(refused)
    assert pool.admitter.cooling(pool.known(pool.put("next", source=url)).job) is not None


async def test_a_host_that_must_be_left_alone_is_known_before_the_first_round_after_a_restart() -> None:
    pool = Pool(None, known=False)
    url = {"url": "https://media.example.org/a.ogg"}
    refused = pool.put("refused", source=url, started=True)
    pool.known(refused).raw["status"]["phases"] = [
        {"name": "first", "state": "Waiting", "attempt": 1, "reason": "RateLimited",
         "nextAttemptTime": format_time(datetime.now(UTC) + timedelta(seconds=90))}
    ]  # fmt: skip
    new = pool.put("new", source=url)
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
    pool = Pool(None, sites=ONE)
    limited = pool.song("limited", "a.tube.example", started=True)
    later = format_time(datetime.now(UTC) + timedelta(seconds=90))
    pool.known(limited).raw["status"]["phases"] = [
        {"name": "download", "state": "Waiting", "attempt": 1, "reason": "RateLimited", "nextAttemptTime": later}
    ]
    same, other = pool.song("same", "a.tube.example", age=60), pool.song("other", "b.tube.example")
    assert [pool.answer(key).admitted for key in (limited, same, other)] == [True, False, True]
