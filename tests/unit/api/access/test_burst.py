"""Requests of a user in a short time."""

from __future__ import annotations

from audiojob_api.access.config import Burst
from audiojob_api.access.limits.burst import Bursts, Room


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_fills_evenly_and_is_each_users_own() -> None:
    clock = Clock()
    bursts = Bursts(Burst(requests=4, seconds=8), clock)
    assert bursts.policy == '"burst";q=4;w=8'
    assert [bursts.take("ann").left for _ in range(4)] == [3, 2, 1, 0]
    assert bursts.take("ann") == Room(0, 8, 2)
    assert bursts.take("bob") == Room(3, 2, 0)
    clock.now = 2.0
    assert bursts.take("ann") == Room(0, 8, 0)
    assert bursts.take("ann").wait == 2
    clock.now = 1e6
    assert bursts.take("ann").left == 3, "never more than the whole"


def test_5_000_requests_of_one_pass_as_many_as_may_and_memory_is_bounded() -> None:
    bursts = Bursts(Burst(requests=100, seconds=10), Clock())
    assert sum(not bursts.take("ann").wait for _ in range(5_000)) == 100
    for number in range(12_000):
        bursts.take(f"user-{number}")
    assert bursts.take("user-11999").left == 98
    assert bursts.take("ann").left == 99, "the one seen longest ago was forgotten"
