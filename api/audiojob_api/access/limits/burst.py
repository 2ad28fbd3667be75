"""Requests of each user in a short time: a bucket that fills evenly. Each replica has its own."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from audiojob_api.access.config import Burst

_MOST_USERS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Room:
    """What is left. ``wait`` is 0 where the request may pass, else the seconds until the next one may."""

    left: int
    full_in: int
    wait: int


class Bursts:
    """One bucket for each user; the one seen longest ago goes first."""

    def __init__(self, burst: Burst, clock: Callable[[], float] = time.monotonic) -> None:
        self.policy = f'"burst";q={burst.requests};w={burst.seconds}'
        self._size = float(burst.requests)
        self._rate = burst.requests / burst.seconds
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def refusal(self, user: str) -> Room | None:
        """What :meth:`take` would say, where the user must wait; None where the next request may pass."""
        level, at = self._buckets.get(user, (self._size, 0.0))
        if level >= 1 or level + (self._clock() - at) * self._rate >= 1:
            return None
        return self.take(user)

    def take(self, user: str) -> Room:
        """Count a request. One that must wait takes nothing."""
        now = self._clock()
        level, at = self._buckets.pop(user, (self._size, now))
        level = min(self._size, level + (now - at) * self._rate)
        passes = level >= 1
        level -= passes
        self._buckets[user] = (level, now)
        while len(self._buckets) > _MOST_USERS:
            self._buckets.popitem(last=False)
        wait = 0 if passes else max(1, math.ceil((1 - level) / self._rate))
        return Room(int(level), math.ceil((self._size - level) / self._rate), wait)
