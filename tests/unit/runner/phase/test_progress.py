from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_runner.phase.progress import TASK_SHARE, Progress, Tracker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_never_goes_back_and_keeps_to_the_tasks_share() -> None:
    seen: list[Progress] = []
    tracker = Tracker(seen.append)

    for percent in (10.0, 5.0, -3.0, 250.0):
        tracker.task(percent, "working")

    assert [each.percent for each in seen] == [9, 9, 9, TASK_SHARE]


@given(st.lists(st.floats(allow_nan=False)))
def test_any_percents_give_a_rising_row_within_0_and_100(percents: list[float]) -> None:
    seen: list[Progress] = []
    tracker = Tracker(seen.append)
    for percent in percents:
        tracker.task(percent, "")
    tracker.say(100, "Done")

    row = [each.percent for each in seen]
    assert row == sorted(row)
    assert all(0 <= percent <= 100 for percent in row)


@pytest.mark.parametrize(
    ("elapsed", "percent", "eta"),
    [
        pytest.param(10, 50.0, 10, id="half of it took 10 seconds"),
        pytest.param(30, 75.0, 10, id="three quarters took 30 seconds"),
        pytest.param(10, 100.0, 0, id="all is done"),
        pytest.param(1, 50.0, None, id="too early to tell"),
        pytest.param(100, 0.5, None, id="too little to tell"),
    ],
)
def test_the_time_left_is_estimated_from_the_pace(elapsed: int, percent: float, eta: int | None) -> None:
    seen: list[Progress] = []
    clock = Clock()
    tracker = Tracker(seen.append, clock)
    clock.now = 1_000
    tracker.begin("starts")
    clock.now += elapsed

    tracker.task(percent, "working")

    assert seen[-1].eta_seconds == eta


def test_a_message_is_one_line_of_bounded_length_and_stays_when_the_next_is_empty() -> None:
    seen: list[Progress] = []
    tracker = Tracker(seen.append)

    tracker.task(1, "two\nlines " + "x" * 500)
    tracker.task(2, "")

    assert seen[0].message.startswith("two lines x")
    assert len(seen[0].message) == 256
    assert seen[1].message == seen[0].message
