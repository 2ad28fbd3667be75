"""Events on pools of workers: gathered, and written now and then."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from audiojob_kube.errors import AlreadyExists, ApiError, TransportError
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import AUDIOWORKERPOOLS, EVENTS
from audiojob_operator.deciding.pools.telling import Ended, PoolReason, ended, started, trouble
from audiojob_operator.reconciling.events import event_object
from audiojob_operator.records.plan import EventRecord
from audiojob_operator.state.pace import Pace
from audiojob_types.resources.metadata import Metadata

_log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 3_600.0  # as long as an API server keeps an event, unless told otherwise
_MOST_NAMED: Final = 10
"""Workers of one event. What many of them have to say would not fit."""


class Untold:
    """What happened to a pool's workers and is not told yet. ``clock`` values are monotonic."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._started: dict[str, str] = {}
        self._ended: dict[str, Ended] = {}
        self._troubles: dict[PoolReason, str] = {}
        self._told: dict[PoolReason, float] = {}

    def started(self, worker: str, why: str) -> None:
        """Its Job was made."""
        self._started[worker] = why

    def ended(self, worker: Ended) -> None:
        """It is gone."""
        self._ended[worker.name] = worker

    def trouble(self, reason: PoolReason, message: str, clock: float) -> None:
        """Workers do not come about. Told once in a while, however often it is said."""
        if clock >= self._told.get(reason, clock):
            self._told[reason] = clock + _AGAIN_SECONDS
            self._troubles[reason] = message

    def pause(self, clock: float) -> float | None:
        """In how many seconds the rest may be told; 0: take it now. None: there is nothing."""
        if not (self._started or self._ended or self._troubles):
            return None
        return self._pace.take(clock)

    def take(self, pool: Metadata, now: datetime) -> list[EventRecord]:
        """What there is to tell, which is told then."""
        found = [*self._starts(pool), *self._ends(pool)]
        found += [trouble(pool, reason, message, now) for reason, message in self._troubles.items()]
        self._started, self._ended, self._troubles = {}, {}, {}
        return found

    def _starts(self, pool: Metadata) -> Iterator[EventRecord]:
        names = list(self._started)
        for first in range(0, len(names), _MOST_NAMED):
            some = names[first : first + _MOST_NAMED]
            yield started(pool, some, self._started[some[-1]])

    def _ends(self, pool: Metadata) -> Iterator[EventRecord]:
        workers = list(self._ended.values())
        for first in range(0, len(workers), _MOST_NAMED):
            yield ended(pool, workers[first : first + _MOST_NAMED])


class PoolTeller:
    """Writes the events. Work does not wait for one that is not taken."""

    def __init__(self, client: KubeClient, identity: str) -> None:
        self._client = client
        self._identity = identity

    async def tell(self, untold: Untold, pool: Metadata, clock: float, now: datetime) -> float | None:
        """Write what is not told. Returns in how many seconds to come again."""
        pause = untold.pause(clock)
        if pause != 0:
            return pause
        for record in untold.take(pool, now):
            body = event_object(record, pool, self._identity, now, AUDIOWORKERPOOLS)
            try:
                await self._client.create(EVENTS, body, pool.namespace)
            except AlreadyExists:
                continue
            except (ApiError, TransportError) as error:
                _log.warning("pool %s/%s: %s was not recorded: %s", pool.namespace, pool.name, record.reason, error)
        return None
