"""Whom caches notify in tests."""

from __future__ import annotations

from collections.abc import Callable

from audiojob_operator.records.objects import Key, Object
from audiojob_operator.state.listener import WorkKey
from audiojob_operator.state.reuse_index import ReuseIndex


class Heard:
    """Notes what caches report; an index of reusable work, if given, follows them as in the operator."""

    def __init__(self, reuse: ReuseIndex | None = None, woken: list[Key] | None = None) -> None:
        self.woken: list[Key] = woken if woken is not None else []
        self.woken_soon: list[tuple[Key, float]] = []
        self.gone: list[Key] = []
        self.stored: list[Key] = []
        self.changed: list[Key] = []
        self.work: list[WorkKey] = []
        self.pools: list[Key] = []
        self.capacity = 0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self._reuse = reuse

    def wake(self, key: Key) -> None:
        self.woken.append(key)

    def wake_soon(self, key: Key, seconds: float) -> None:
        self.woken_soon.append((key, seconds))

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.due.append((seconds, call))

    def job_stored(self, key: Key, obj: Object) -> None:
        self.stored.append(key)
        if self._reuse is not None:
            self._reuse.seen(key, obj)

    def job_changed(self, key: Key, *, ours: bool) -> None:
        self.changed.append(key)
        if not ours:
            self.woken.append(key)

    def job_gone(self, key: Key) -> None:
        self.gone.append(key)

    def admission_changed(self, key: Key) -> None:
        self.changed.append(key)

    def capacity_changed(self) -> None:
        self.capacity += 1

    def pool_changed(self, pool: Key) -> None:
        self.pools.append(pool)

    def work_ended(self, work: WorkKey) -> None:
        self.work.append(work)
