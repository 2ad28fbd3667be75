"""Numbers that change all the time: a few writes at once, then one each five seconds."""

from __future__ import annotations

import pytest

from audiojob_operator.state.pace import BURST, EVERY_SECONDS, Pace


def test_after_a_few_writes_at_once_there_is_one_each_few_seconds_and_the_rest_is_waited_for() -> None:
    pace, now = Pace(), 1_000.0
    assert [pace.take(now) for _ in range(BURST)] == [0.0] * BURST
    assert pace.take(now) == pytest.approx(EVERY_SECONDS)
    assert pace.take(now + 2) == pytest.approx(EVERY_SECONDS - 2), "asking costs no turn"
    assert pace.take(now + EVERY_SECONDS) == 0.0
    assert pace.take(now + EVERY_SECONDS) == pytest.approx(EVERY_SECONDS)


def test_an_object_that_rested_may_be_written_as_often_as_a_new_one_and_no_oftener() -> None:
    pace = Pace()
    for now in (0.0, 1e6):
        taken = [pace.take(now) for _ in range(BURST + 1)]
        assert taken.count(0.0) == BURST
