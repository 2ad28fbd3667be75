from __future__ import annotations

import pytest

from audiojob_kube.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "want_bound"),
    [(1, 0.2), (2, 0.4), (4, 1.6), (7, 10.0), (100_000, 10.0)],
    ids=[
        "the first failure waits shortest",
        "the wait doubles",
        "and doubles again",
        "up to the cap",
        "and stays there after any number of failures",
    ],
)
def test_delay_lies_between_half_the_bound_and_the_bound(failures: int, want_bound: float) -> None:
    delays = [Backoff(first_seconds=0.2, cap_seconds=10.0).delay(failures) for _ in range(50)]
    assert all(want_bound / 2 <= delay <= want_bound for delay in delays)
    assert len(set(delays)) > 1, "without jitter all clients return at once"


def test_the_server_s_wish_is_a_lower_bound() -> None:
    assert Backoff().delay(1, at_least=20.0) == 20.0
