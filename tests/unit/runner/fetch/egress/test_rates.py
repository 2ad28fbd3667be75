from __future__ import annotations

import pytest

from audiojob_runner.fetch.egress.rates import PAUSE_SECONDS, STALL_BYTES, STALL_SECONDS, RateLimit, StallDetector


def test_a_bandwidth_spreads_bytes_over_time() -> None:
    rate = RateLimit(100)
    assert rate.wait(50, 10.0) == pytest.approx(0.5)
    assert rate.wait(50, 10.0) == pytest.approx(1.0)
    assert rate.wait(50, 20.0) == pytest.approx(0.5), "unused time is not saved up"


def test_no_bandwidth_is_no_limit() -> None:
    assert RateLimit(None).wait(10**9, 0.0) == 0


def fed(number: int, seconds: float, step: float = 1.0) -> bool:
    """Whether so many bytes in every step, for so long, are called a detector."""
    detector, now = StallDetector(0.0), 0.0
    while now < seconds:
        now += step
        if detector.received(number, now):
            return True
    return False


@pytest.mark.parametrize(
    ("number", "step", "stalls"),
    [
        pytest.param(1, 1.0, True, id="a byte a second"),
        pytest.param(STALL_BYTES, 1.0, False, id="a sound radio"),
        pytest.param(1, PAUSE_SECONDS, False, id="pauses that end in the client's own timeout"),
    ],
)
def test_what_counts_as_a_stall(number: int, step: float, stalls: bool) -> None:
    assert fed(number, 3 * STALL_SECONDS, step) is stalls


def test_short_answers_to_many_requests_are_no_stall() -> None:
    detector = StallDetector(0.0)
    for second in range(300):
        if second % 10 == 0:
            detector.sent(float(second))
        assert detector.received(100, float(second)) is False
