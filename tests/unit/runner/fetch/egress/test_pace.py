from __future__ import annotations

import pytest

from audiojob_runner.fetch.egress.pace import PAUSE_SECONDS, SLOW_BYTES, SLOW_SECONDS, Pace, Trickle


def test_a_bandwidth_spreads_bytes_over_time() -> None:
    pace = Pace(100)
    assert pace.wait(50, 10.0) == pytest.approx(0.5)
    assert pace.wait(50, 10.0) == pytest.approx(1.0)
    assert pace.wait(50, 20.0) == pytest.approx(0.5), "time that was not used is not saved up"


def test_no_bandwidth_is_no_limit() -> None:
    assert Pace(None).wait(10**9, 0.0) == 0


def fed(number: int, seconds: float, step: float = 1.0) -> bool:
    """Whether so many bytes in every step, for so long, are called a trickle."""
    trickle, now = Trickle(0.0), 0.0
    while now < seconds:
        now += step
        if trickle.received(number, now):
            return True
    return False


@pytest.mark.parametrize(
    ("number", "step", "slow"),
    [
        pytest.param(1, 1.0, True, id="a byte a second"),
        pytest.param(SLOW_BYTES, 1.0, False, id="a sound radio"),
        pytest.param(1, PAUSE_SECONDS, False, id="pauses that the client's own patience ends"),
    ],
)
def test_what_is_a_trickle(number: int, step: float, slow: bool) -> None:
    assert fed(number, 3 * SLOW_SECONDS, step) is slow


def test_short_answers_to_many_questions_are_none() -> None:
    trickle = Trickle(0.0)
    for second in range(300):
        if second % 10 == 0:
            trickle.sent(float(second))
        assert trickle.received(100, float(second)) is False
