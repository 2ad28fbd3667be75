"""What a pass of the sweeper may remove: never what may still be wanted, never much at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiojob_runner.sweep.plan import Kind, Limits, LiveJobs, StoredAttempt, StoredJob, plan_sweep

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL = Limits(percent=100)
NOBODY = LiveJobs(frozenset())


def attempt(
    uid: str = "a",
    *,
    phase: str = "work",
    number: int = 1,
    age: timedelta = 30 * DAY,
    published: bool = True,
    expires: datetime | None = NOW - DAY,
    **more: Any,
) -> StoredAttempt:
    """A hundred bytes, or ``size``; ``remnant`` bytes more are in its partial/. Other names are the record's own."""
    size, remnant = more.pop("size", 100), more.pop("remnant", 0)
    folder = f"music/{uid}/{phase}/{number}-0000000{number}"
    return StoredAttempt(folder, size + remnant, NOW - age, published, expires, remnant, **more)


def job(uid: str = "a", *attempts: StoredAttempt, absent: timedelta | None = 8 * DAY) -> StoredJob:
    since = None if absent is None else NOW - absent
    return StoredJob(f"music/{uid}", attempts or (attempt(uid),), since)


def live(*uids: str, refer: tuple[str, ...] = (), unfinished: tuple[str, ...] = ()) -> LiveJobs:
    return LiveJobs(frozenset(uids), frozenset(refer), frozenset(unfinished))


REMOVED = {
    "expired, and absent for eight days": (job(), NOBODY),
    "absent for exactly seven days": (job(absent=7 * DAY), NOBODY),
    "expired this very moment": (job("a", attempt(expires=NOW)), NOBODY),
    "several phases, all expired": (job("a", attempt(), attempt(phase="next", expires=NOW - HOUR)), NOBODY),
    "an attempt without a manifest lies beside": (job("a", attempt(), attempt(number=2, published=False)), NOBODY),
    "others exist": (job(), live("b", "c", refer=("music/b/work/1-00000001/manifest.json",))),
}
KEPT = {
    "absence alone deletes nothing": (job("a", attempt(expires=None), absent=3000 * DAY), NOBODY),
    "expiry alone deletes nothing": (job("a", absent=None), live("a")),
    "expired, and absent since a moment ago": (job("a", absent=None), NOBODY),
    "expired, and absent for six days": (job(absent=7 * DAY - HOUR), NOBODY),
    "expires in an hour": (job("a", attempt(expires=NOW + HOUR)), NOBODY),
    "one of its phases is kept for ever": (job("a", attempt(), attempt(phase="next", expires=None)), NOBODY),
    "one of its phases expires later": (job("a", attempt(), attempt(phase="next", expires=NOW + DAY)), NOBODY),
    "its AudioJob is there again": (job(), live("a")),
    "another job's source lies in it": (job(), live("b", refer=("music/a/work/1-00000001/manifest.json",))),
    "somebody still writes into it": (job("a", attempt(), attempt(number=2, published=False, age=HOUR)), NOBODY),
    "its mark lies in the future": (job(absent=-9 * DAY), NOBODY),
}


@pytest.mark.parametrize(("stored", "alive"), REMOVED.values(), ids=REMOVED.keys())
def test_a_jobs_folder_goes_when(stored: StoredJob, alive: LiveJobs) -> None:
    [removal] = plan_sweep((stored,), alive, ALL, NOW).removals
    assert (removal.kind, removal.folder, removal.bytes) == (Kind.JOB, "music/a", stored.bytes)
    assert "expired at 2026-0" in removal.why


@pytest.mark.parametrize(("stored", "alive"), KEPT.values(), ids=KEPT.keys())
def test_a_jobs_folder_stays_when(stored: StoredJob, alive: LiveJobs) -> None:
    plan = plan_sweep((stored,), alive, ALL, NOW)
    assert (plan.removals, plan.held_back) == ((), ())


UNFINISHED = attempt(published=False, expires=None, age=25 * HOUR)
ATTEMPTS = {
    "25 hours old, and its job is gone": (UNFINISHED, NOBODY, True),
    "25 hours old, and its job has ended": (UNFINISHED, live("a"), True),
    "24 hours old": (attempt(published=False, expires=None, age=24 * HOUR), NOBODY, False),
    "25 hours old, and its job still works": (UNFINISHED, live("a", unfinished=("a",)), False),
    "its log says why its job failed": (UNFINISHED, live("a", refer=(f"{UNFINISHED.folder}/log/0000",)), False),
    "published": (attempt(expires=None), NOBODY, False),
    "published, and its manifest cannot be read": (attempt(expires=None), NOBODY, False),
}


@pytest.mark.parametrize(("stored", "alive", "goes"), ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_an_attempt(stored: StoredAttempt, alive: LiveJobs, goes: bool) -> None:
    plan = plan_sweep((job("a", stored, absent=None),), alive, ALL, NOW)
    assert [removal.folder for removal in plan.removals] == ([stored.folder] if goes else [])
    assert all(removal.kind is Kind.ATTEMPT for removal in plan.removals)


WAV = attempt(phase="wav", intermediate=True)
STEMS = attempt(phase="stems", expires=None)
INTERMEDIATES = {
    "expired, and the job absent for eight days": (WAV, 8 * DAY, NOBODY, True),
    "the job absent for six days": (WAV, 6 * DAY, NOBODY, False),
    "the job was never seen to be absent": (WAV, None, NOBODY, False),
    "its job is there, and might be retried": (WAV, 8 * DAY, live("a"), False),
    "another job took it over": (WAV, 8 * DAY, live("b", refer=(f"{WAV.folder}/manifest.json",)), False),
    "it expires in an hour": (replace(WAV, expires=NOW + HOUR), 8 * DAY, NOBODY, False),
    "it is kept for ever": (replace(WAV, expires=None), 8 * DAY, NOBODY, False),
    "somebody still writes into it": (replace(WAV, newest=NOW - HOUR), 8 * DAY, NOBODY, False),
    "it is a result": (replace(WAV, intermediate=False), 8 * DAY, NOBODY, False),
}


@pytest.mark.parametrize(("wav", "absent", "alive", "goes"), INTERMEDIATES.values(), ids=INTERMEDIATES.keys())
def test_what_only_later_phases_read_goes_before_the_results(
    wav: StoredAttempt, absent: timedelta | None, alive: LiveJobs, goes: bool
) -> None:
    plan = plan_sweep((job("a", wav, STEMS, absent=absent),), alive, ALL, NOW)
    assert [(each.kind, each.folder) for each in plan.removals] == ([(Kind.ATTEMPT, wav.folder)] if goes else [])


def test_the_absence_of_a_job_is_noted_for_its_intermediate_files_alone() -> None:
    stored = (job("a", WAV, STEMS, absent=None), job("b", replace(WAV, intermediate=False), STEMS, absent=None))
    assert plan_sweep(stored, NOBODY, Limits(), NOW).mark == ("music/a",)


def test_intermediate_files_are_part_of_the_share_of_a_pass() -> None:
    plan = plan_sweep((job("a", WAV, STEMS),), NOBODY, Limits(percent=20), NOW)
    assert (plan.removals, [each.folder for each in plan.held_back]) == ((), [WAV.folder])


def test_absence_is_noted_once_and_forgotten_when_the_job_is_back() -> None:
    stored = (
        job("new", absent=None),
        job("known", absent=DAY),
        job("back", absent=DAY),
        job("for-ever", attempt("for-ever", expires=None), absent=None),
    )
    plan = plan_sweep(stored, live("back"), Limits(), NOW)
    assert (plan.mark, plan.unmark) == (("music/new",), ("music/back",))


def test_a_pass_removes_a_fifth_of_the_folders_the_first_expired_first() -> None:
    stored = tuple(job(f"{n:02}", attempt(f"{n:02}", expires=NOW - n * DAY)) for n in range(1, 15))
    plan = plan_sweep(stored, NOBODY, Limits(), NOW)
    assert [removal.folder for removal in plan.removals] == ["music/14", "music/13"]
    assert len(plan.held_back) == 12


def test_a_pass_removes_a_fifth_of_the_bytes_and_a_smaller_one_may_go_before_a_larger() -> None:
    stored = (
        *(job(f"{n}", attempt(f"{n}", expires=None, size=100)) for n in range(10)),
        job("large", attempt("large", size=900, expires=NOW - 9 * DAY)),
        job("small", attempt("small", size=10)),
    )
    plan = plan_sweep(stored, NOBODY, Limits(), NOW)
    assert [removal.folder for removal in plan.removals] == ["music/small"]
    assert [removal.folder for removal in plan.held_back] == ["music/large"]


def test_what_a_download_left_takes_nothing_of_the_share_and_adds_nothing_to_it() -> None:
    stored = (
        *(job(f"{n}", attempt(f"{n}", expires=None, size=100)) for n in range(9)),
        job("left", attempt("left", size=1, remnant=10**9, published=False, expires=None)),
        job("large", attempt("large", size=900, expires=NOW - 9 * DAY)),
    )
    plan = plan_sweep(stored, NOBODY, Limits(), NOW)
    assert [(removal.folder, removal.bytes) for removal in plan.removals] == [("music/left/work/1-00000001", 10**9 + 1)]
    assert [removal.folder for removal in plan.held_back] == ["music/large"]


_JANUARY, _MAY = (datetime(2026, month, 1) for month in (1, 5))  # noqa: DTZ001 - Hypothesis adds the zone
attempts = st.builds(
    attempt,
    uid=st.sampled_from(["a", "b", "c"]),
    number=st.integers(1, 3),
    age=st.timedeltas(timedelta(0), 90 * DAY),
    published=st.booleans(),
    expires=st.none() | st.datetimes(_JANUARY, _MAY, timezones=st.just(UTC)),
    size=st.integers(0, 10_000),
    remnant=st.integers(0, 100_000),
)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.lists(attempts, max_size=4), st.none() | st.timedeltas(-DAY, 60 * DAY)), max_size=12),
    st.sets(st.sampled_from([f"u{n}" for n in range(12)])),
    st.integers(1, 100),
)
def test_whatever_lies_there_the_promises_hold(
    contents: list[tuple[list[StoredAttempt], timedelta | None]], uids: set[str], percent: int
) -> None:
    stored = tuple(
        StoredJob(f"music/u{n}", tuple(found), None if absent is None else NOW - absent)
        for n, (found, absent) in enumerate(contents)
    )
    plan = plan_sweep(stored, live(*uids), Limits(percent=percent), NOW)

    by_folder = {each.folder: each for each in stored}
    results = sum(each.bytes - each.remnant_bytes for each in stored)
    assert sum(removal.counted_bytes for removal in plan.removals) * 100 <= results * percent
    jobs = [removal for removal in plan.removals if removal.kind is Kind.JOB]
    assert len(jobs) * 100 <= len(stored) * percent
    for removal in jobs:
        gone = by_folder[removal.folder]
        assert gone.uid not in uids
        assert all(each.expires is not None and each.expires <= NOW for each in gone.attempts if each.published)
        assert gone.absent_since is not None
        assert NOW - gone.absent_since >= 7 * DAY
