"""How many unknown tokens are looked up: each costs the API server a review, and anybody can send one."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_MOST_ADDRESSES: Final = 4_096
_MINUTE: Final = 60.0
_IPV6_SITE_BITS: Final = 64  # what one subscriber has at least: single addresses would be no limit


@dataclass(slots=True)
class _Bucket:
    """Fills up evenly to what a minute allows; each attempt takes one."""

    size: float
    level: float
    at: float

    def wait(self, now: float) -> float:
        """Seconds until an attempt is allowed; 0 for now."""
        rate = self.size / _MINUTE
        self.level = min(self.size, self.level + (now - self.at) * rate)
        self.at = now
        return 0.0 if self.level >= 1 else (1 - self.level) / rate


class Attempts:
    """A limit for each client address and one for all. Memory is bounded: the address seen longest ago goes first."""

    def __init__(self, per_minute: int, total_per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._clock = clock
        self._all = _Bucket(float(total_per_minute), float(total_per_minute), clock())
        self._addresses: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, address: str) -> float:
        """0 where the attempt may be made, which counts; else the seconds to wait."""
        now = self._clock()
        own = self._bucket(client_site(address), now)
        wait = max(own.wait(now), self._all.wait(now))
        if wait == 0:
            own.level -= 1
            self._all.level -= 1
        return wait

    def give_back(self, address: str) -> None:
        """The attempt was a good one and does not count."""
        for bucket in (self._bucket(client_site(address), self._clock()), self._all):
            bucket.level = min(bucket.size, bucket.level + 1)

    def __len__(self) -> int:
        return len(self._addresses)

    def _bucket(self, site: str, now: float) -> _Bucket:
        bucket = self._addresses.setdefault(site, _Bucket(self._size, self._size, now))
        self._addresses.move_to_end(site)
        while len(self._addresses) > _MOST_ADDRESSES:
            self._addresses.popitem(last=False)
        return bucket


@lru_cache(maxsize=256)
def client_site(address: str) -> str:
    """Whom an address belongs to: itself, or the /64 of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), _IPV6_SITE_BITS), strict=False))
    return str(found)
