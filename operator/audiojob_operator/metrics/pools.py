"""Pools of workers as Prometheus sees them: how many workers, what waits for them, and what they did."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from prometheus_client import Counter

from audiojob_operator.deciding.transitions import AttemptClass, AttemptEnded, Transition
from audiojob_operator.metrics import table
from audiojob_operator.metrics.bounded import Bounded
from audiojob_operator.metrics.snapshot import Snapshot
from audiojob_operator.records.objects import Key
from audiojob_operator.records.workers import OwnJob, PoolNumbers, WhyOwnJob
from audiojob_types.outside.metric import Description

MAX_POOLS: Final = 30
"""Pools with series of their own: each has eight."""

Labels = tuple[str, ...]


def of_pools() -> tuple[Description, ...]:
    """What the leader alone shows of them."""
    return (
        table.POOL_WAITING_PHASES,
        table.POOL_OLDEST_WAIT_SECONDS,
        table.POOL_WORKERS,
        table.POOL_DESIRED_WORKERS,
        table.POOL_MAX_WORKERS,
    )


class PoolMetrics:
    """``counter`` makes and registers one. The counter of a pool begins at 0 when the pool is first shown."""

    def __init__(self, snapshot: Snapshot, counter: Callable[[Description, Iterable[Labels]], Counter]) -> None:
        self._snapshot = snapshot
        self._phases = counter(table.POOL_PHASES, ())
        self._own_jobs = counter(table.OWN_JOBS, [(why,) for why in WhyOwnJob])
        self._shown = Bounded(MAX_POOLS)
        self._counted = Bounded(MAX_POOLS)  # for ever: a counter that has begun stays

    def record(self, namespace: str, pools: Mapping[str, str], transitions: Iterable[Transition]) -> None:
        """Count the phases that workers have done. ``pools``: those that the phases name."""
        for each in transitions:
            match each:
                case AttemptEnded(phase, AttemptClass.SUCCEEDED, worker=True) if phase in pools:
                    self._phases.labels(*self._counted.labels(namespace, pools[phase])).inc()

    def own_jobs(self, made: Iterable[OwnJob]) -> None:
        """Count the attempts that got Jobs of their own."""
        for each in made:
            self._own_jobs.labels(each.why).inc()

    def show(self, pools: Mapping[Key, PoolNumbers], now: datetime) -> None:
        """The pools as they are now."""
        self._shown.forget_all_but(pools)
        counts: dict[Description, Count[Labels]] = {about: Count() for about in of_pools()}
        oldest: dict[Labels, float] = {}
        for key, pool in sorted(pools.items()):
            labels = self._shown.labels(*key)
            self._phases.labels(*self._counted.labels(*key))
            counts[table.POOL_WAITING_PHASES][labels] += pool.waiting
            counts[table.POOL_DESIRED_WORKERS][labels] += pool.desired
            counts[table.POOL_MAX_WORKERS][labels] += pool.most
            for state, number in (("starting", pool.starting), ("idle", pool.idle), ("busy", pool.busy)):
                counts[table.POOL_WORKERS][*labels, state] += number
            waited = max(0.0, (now - pool.waits_since).total_seconds()) if pool.waits_since is not None else 0.0
            oldest[labels] = max(oldest.get(labels, 0.0), waited)
        for about, values in counts.items():
            self._snapshot.show(about, values.items())
        self._snapshot.show(table.POOL_OLDEST_WAIT_SECONDS, oldest.items())
