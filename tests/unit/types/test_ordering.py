"""Who goes first, what place a job has, and when it may start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_types.contract import Device
from audiojob_types.ordering import (
    RUN_TIME_WINDOW,
    Line,
    Run,
    RunTimes,
    Waiting,
    aged_priority,
    estimate_starts,
    sort_key,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def job(name: str, priority: int = 5, waited: float = 0.0) -> Waiting:
    """A job that has waited so many seconds."""
    return Waiting(("team", name), priority, NOW - timedelta(seconds=waited))


def estimate_start(slots: int, running: Sequence[float | None], ahead: Sequence[float | None]) -> float | None:
    """The estimate for one that joins a line at its end."""
    return estimate_starts(slots, running, ahead)[-1]


@pytest.mark.parametrize(
    ("priority", "waited", "ageing", "effective"),
    [
        pytest.param(5, 0, 600, 5, id="a new job has its own priority"),
        pytest.param(5, 599.9, 600, 5, id="a step is a whole one"),
        pytest.param(5, 600, 600, 6, id="one more after each step"),
        pytest.param(1, 6_000, 600, 11, id="waiting lifts it above the highest priority"),
        pytest.param(1, 10**7, 600, 16_667, id="without an end"),
        pytest.param(5, -3_600, 600, 5, id="a clock that runs behind takes nothing off"),
        pytest.param(5, 10**6, 0, 5, id="no ageing where the administrator wants none"),
    ],
)
def test_waiting_makes_a_job_more_urgent(priority: int, waited: float, ageing: int, effective: int) -> None:
    assert aged_priority(priority, waited, ageing) == effective


@pytest.mark.parametrize(
    ("jobs", "order"),
    [
        pytest.param([job("low", 1), job("high", 10), job("mid", 5)], "high mid low", id="the most urgent first"),
        pytest.param([job("new", waited=1), job("old", waited=9)], "old new", id="then the oldest"),
        pytest.param([job("b"), job("a")], "a b", id="then by name"),
        pytest.param([job("urgent", 10), job("patient", 1, waited=6_000)], "patient urgent", id="patience wins"),
        pytest.param([job("urgent", 10), job("almost", 1, waited=5_399)], "urgent almost", id="patience in vain"),
        pytest.param([job("ten", 10), job("aged", 1, waited=5_400)], "aged ten", id="at par the older goes first"),
    ],
)
def test_the_order_of_starts(jobs: list[Waiting], order: str) -> None:
    assert [each.key[1] for each in Line(jobs, NOW).jobs] == order.split()


def test_the_key_is_the_one_that_the_operator_sorts_by() -> None:
    jobs = [job("a", 1), job("b", 9), job("c", 5, waited=10_000)]
    by_key = sorted(jobs, key=lambda each: sort_key(each.priority, each.created, each.key, NOW, 600))
    assert Line(jobs, NOW).jobs == tuple(by_key)


def test_a_job_that_is_not_in_the_line_is_told_where_it_would_stand() -> None:
    line = Line([job("first", 10), job("second", 5), job("last", 1)], NOW)
    assert [line.ahead(job("new", priority)) for priority in (10, 9, 4, 1)] == [1, 1, 2, 3]
    assert Line([], NOW).ahead(job("new")) == 0


waitings = st.builds(
    job,
    name=st.text("abc", min_size=1, max_size=3),
    priority=st.integers(1, 10),
    waited=st.floats(0, 10_000),
)


@given(st.lists(waitings, unique_by=lambda each: each.key), st.integers(0, 900))
def test_places_in_a_line_are_its_order_without_gaps(jobs: list[Waiting], ageing: int) -> None:
    line = Line(jobs, NOW, ageing)
    assert [line.ahead(each) for each in line.jobs] == list(range(len(jobs)))
    assert set(line.jobs) == set(jobs)


@given(
    st.integers(1, 10),
    st.lists(st.tuples(st.integers(1, 10), st.integers(0, 86_400)), max_size=20),
    st.integers(1, 3_600),
)
def test_nothing_starves(priority: int, newcomers: list[tuple[int, int]], ageing: int) -> None:
    """Whatever comes later than ten steps after a job starts after it: so only those before it can keep it waiting."""
    created = NOW - timedelta(days=2)
    patient = sort_key(priority, created, ("team", "patient"), NOW, ageing)
    for number, (urgency, delay) in enumerate(newcomers):
        later = created + timedelta(seconds=10 * ageing + delay)
        assert patient < sort_key(urgency, later, ("team", str(number)), max(NOW, later), ageing)


def run(seconds: float, ended: int, pipeline: str = "separate", device: Device = Device.CPU) -> Run:
    return Run(pipeline, device, seconds, NOW + timedelta(seconds=ended))


def test_run_times_are_told_apart_by_pipeline_and_device() -> None:
    times = RunTimes([run(10, 1), run(30, 2), run(2, 3, device=Device.GPU), run(500, 4, "download")])
    assert times.median("separate", Device.CPU) == 20
    assert times.median("separate", Device.GPU) == 2
    assert times.median("separate") == 10
    assert times.median("download", Device.CPU) == 500
    assert times.median("download", Device.GPU) is None
    assert times.median("unheard-of") is None


def test_a_clock_that_was_set_back_makes_no_run_time() -> None:
    assert RunTimes([run(-5, 1)]).median("separate") is None


@given(st.permutations([(float(seconds), seconds) for seconds in range(1, 3 * RUN_TIME_WINDOW)]))
def test_only_the_newest_runs_count_in_whatever_order_they_are_told(pairs: list[tuple[float, int]]) -> None:
    newest = range(2 * RUN_TIME_WINDOW, 3 * RUN_TIME_WINDOW)
    assert RunTimes(run(seconds, ended) for seconds, ended in pairs).median("separate") == sum(newest) / len(newest)


@pytest.mark.parametrize(
    ("slots", "running", "ahead", "seconds"),
    [
        pytest.param(2, [50.0], [], 0, id="a slot is free"),
        pytest.param(2, [50.0, 20.0], [], 20, id="the first to end makes room"),
        pytest.param(1, [20.0], [100.0, 30.0], 150, id="one after the other"),
        pytest.param(2, [20.0, 50.0], [100.0], 50, id="the job ahead takes the first slot"),
        pytest.param(2, [20.0, 50.0], [100.0, 5.0], 55, id="and the next the second"),
        pytest.param(3, [10.0], [10.0], 0, id="more slots than jobs"),
        pytest.param(1, [40.0, 10.0, 30.0], [], 40, id="a limit that was lowered: two must end before one may start"),
        pytest.param(2, [-5.0, 60.0], [], 0, id="one that is overdue ends any moment"),
        pytest.param(1, [None], [], None, id="nobody knows when the running one ends"),
        pytest.param(1, [10.0], [None], None, id="nobody knows how long the one ahead takes"),
        pytest.param(2, [10.0, None], [5.0], 15, id="the slot that is known decides"),
        pytest.param(1, [], [], 0, id="nobody is there"),
        pytest.param(0, [], [], None, id="no slots"),
    ],
)
def test_when_a_job_may_start(
    slots: int, running: list[float | None], ahead: list[float | None], seconds: float | None
) -> None:
    assert estimate_start(slots, running, ahead) == seconds


def test_a_whole_line_is_estimated_as_its_jobs_are_one_by_one() -> None:
    line: list[float | None] = [30.0, None, 5.0, 7.0]
    alone = [estimate_start(2, [20.0, 50.0], line[:number]) for number in range(5)]
    assert estimate_starts(2, [20.0, 50.0], line) == alone == [20, 50, 50, 55, 62]
    assert estimate_starts(0, [], line) == [None] * 5


durations = st.lists(st.integers(0, 1_000).map(float), max_size=12)


@given(st.integers(1, 6), durations, durations, st.integers(0, 1_000))
def test_more_work_ahead_is_never_an_earlier_start_and_more_slots_never_a_later_one(
    slots: int, running: list[float], ahead: list[float], more: int
) -> None:
    start = estimate_start(slots, running, ahead)
    longer = estimate_start(slots, running, [*ahead, float(more)])
    wider = estimate_start(slots + 1, running, ahead)
    assert start is not None
    assert longer is not None
    assert wider is not None
    assert wider <= start <= longer
    # At the latest when one slot has done it all.
    assert start <= sum(running) + sum(ahead)
