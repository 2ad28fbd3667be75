"""A queue of keys: each key waits at most once, is worked on by one worker at a time, and comes back after failures."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from audiojob_kube.backoff import Backoff

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """For one event loop. A key added while it is worked on is worked on once more afterwards, never beside."""

    def __init__(self, backoff: Backoff = Backoff(first_seconds=0.2, cap_seconds=60.0)) -> None:  # noqa: B008 - frozen
        self._backoff = backoff
        self._first: OrderedDict[K, None] = OrderedDict()  # handed out before all in _ready
        self._ready: OrderedDict[K, None] = OrderedDict()
        self._waiting: dict[K, bool] = {}  # in one of them, or to be put there when its worker is done; whether first
        self._working: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._soon: dict[K, float] = {}  # until when (loop time) a key must be handed out at the latest
        self._held: dict[K, float] = {}  # until when (loop time) a key must not be worked on, whatever arrives
        self._available = asyncio.Event()
        self._paused = False

    def __len__(self) -> int:
        """Keys that wait for a worker now."""
        return len(self._waiting)

    @property
    def scheduled(self) -> int:
        """Keys that wait for a moment in the future."""
        return len(self._timers)

    def add(self, key: K, *, first: bool = False) -> None:
        """Have the key worked on as soon as a worker is free; with ``first`` before all that were added without."""
        if key in self._waiting and (self._waiting[key] or not first):
            return
        if key in self._held:
            if asyncio.get_running_loop().time() < self._held[key]:
                return  # its timer brings it
            del self._held[key]
        self._waiting[key] = first
        if key not in self._working:
            self._make_ready(key)

    def add_soon(self, key: K, delay: float) -> None:
        """Have the key worked on after `delay` seconds at the latest: once for all that arrives for it until then."""
        now = asyncio.get_running_loop().time()
        latest = now + delay
        if key in self._waiting or self._soon.get(key, latest + 1) <= latest or now < self._held.get(key, now):
            return
        self._soon[key] = latest
        timer = self._timers.get(key)
        if key not in self._working and (timer is None or timer.when() > latest):
            self.schedule(key, delay)

    def schedule(self, key: K, delay: float | None) -> None:
        """Have the key worked on after `delay` seconds, instead of at any moment set before; None: at none.

        That it must be worked on soon (:meth:`add_soon`) holds all the same.
        """
        if timer := self._timers.pop(key, None):
            timer.cancel()
        loop = asyncio.get_running_loop()
        if (latest := self._soon.get(key)) is not None:
            left = latest - loop.time()
            delay = left if delay is None else min(delay, left)
        if delay is not None:
            self._timers[key] = loop.call_later(max(0.0, delay), self._due, key)

    def pause(self) -> None:
        """Hand out no keys until `resume`; those at work go on."""
        self._paused = True

    def resume(self) -> None:
        """Hand out keys again."""
        self._paused = False
        self._available.set()

    async def get(self) -> K:
        """The next key; the caller must call exactly one of `succeeded`, `failed` for it."""
        while self._paused or not (self._first or self._ready):
            self._available.clear()
            await self._available.wait()
        key, _ = (self._first or self._ready).popitem(last=False)
        del self._waiting[key]
        self._soon.pop(key, None)
        self._working.add(key)
        return key

    def succeeded(self, key: K, requeue_after: float | None = None) -> None:
        """The key is done; its failures are forgotten and it comes back after `requeue_after` seconds, if given."""
        self._failures.pop(key, None)
        self.schedule(key, requeue_after)
        self._done(key)

    def failed(self, key: K, *, at_least: float = 0.0) -> float:
        """The key could not be done; it comes back after the delay (seconds) that is returned.

        What arrived for the key until now does not cut the delay short: it is a backoff. What arrives later does, but
        not before ``at_least`` seconds: the API server asked for them.
        """
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = self._backoff.delay(self._failures[key], at_least=at_least)
        self._waiting.pop(key, None)
        self._soon.pop(key, None)
        self.schedule(key, delay)
        if at_least > 0:
            self._held[key] = asyncio.get_running_loop().time() + at_least
        self._done(key)
        return delay

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self._held.pop(key, None)
        self.add(key)

    def _done(self, key: K) -> None:
        self._working.discard(key)
        if key in self._waiting:
            self._make_ready(key)

    def _make_ready(self, key: K) -> None:
        if self._waiting[key]:
            self._ready.pop(key, None)
            self._first[key] = None
        else:
            self._ready[key] = None
        self._available.set()
