"""A controller: workers that reconcile the keys of one kind of object from a queue, and what becomes of errors.

It knows nothing of AudioJobs; a kind is what implements :class:`Kind`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from audiojob_kube.errors import ApiError, TransportError
from audiojob_operator.reconciling.errors import ReconcileError, StaleError
from audiojob_operator.reconciling.workqueue import WorkQueue

_log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)


class Kind(Protocol[K_contra]):
    """One kind of object, by key."""

    async def reconcile(self, key: K_contra, /) -> float | None:
        """Bring the object one step forward. Returns the seconds until the next reconcile, if there must be one."""

    async def refresh(self, key: K_contra, /) -> bool:
        """Read the object after a StaleError. Returns whether it is newer than what was decided from."""

    def failed(self, key: K_contra, error: Exception, /) -> float | None:
        """Take note of an exception that nobody expected: a fault of ours.

        Returns the seconds until the next reconcile; None for the usual backoff.
        """


class Controller(Generic[K]):
    """Each key is reconciled by one worker at a time. An error delays its key and no other."""

    def __init__(self, queue: WorkQueue[K], kind: Kind[K], measure: Callable[[str, float], None]) -> None:
        """``measure`` takes the result (one word) and the seconds of each reconcile."""
        self._queue = queue
        self._kind = kind
        self._measure = measure

    async def run(self, workers: int) -> None:
        """Serve the queue with so many workers until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            began = time.monotonic()
            result = await self._reconcile(key)
            self._measure(result, time.monotonic() - began)
            # A reconcile that writes nothing never waits: thousands in a row would keep all else from its turn.
            await asyncio.sleep(0)

    async def _reconcile(self, key: K) -> str:
        """Reconcile the key, and give it back to the queue. Returns the result for metrics."""
        try:
            self._queue.succeeded(key, await self._kind.reconcile(key))
        except StaleError as error:
            await self._refresh(key, error)
            return "stale"
        except ReconcileError as error:
            self._fail(key, error)
            return error.result
        except (ApiError, TransportError) as error:
            self._fail(key, error)
            return "refused" if isinstance(error, ApiError) else "transport"
        except Exception as error:  # noqa: BLE001 - a fault of ours in one object must not stop the work on all others
            self._fault(key, error)
            return "fault"
        return "ok"

    def _fault(self, key: K, error: Exception) -> None:
        _log.exception("%s: unexpected failure", _name(key))
        delay = self._kind.failed(key, error)
        if delay is None:
            self._queue.failed(key)
        else:
            self._queue.succeeded(key, delay)

    async def _refresh(self, key: K, error: StaleError) -> None:
        """Decide again: at once if the object is newer now, else after a backoff."""
        try:
            newer = await self._kind.refresh(key)
        except (ApiError, TransportError) as failure:
            self._fail(key, failure)
            return
        except Exception as fault:  # noqa: BLE001 - as in a reconcile
            self._fault(key, fault)
            return
        if not newer:
            self._fail(key, error)
            return
        _log.debug("%s: %s; deciding again", _name(key), error)
        self._queue.add(key)
        self._queue.succeeded(key)

    def _fail(self, key: K, error: Exception) -> None:
        delay = self._queue.failed(key, at_least=getattr(error, "retry_after", None) or 0.0)
        _log.warning("%s: %s; again in %.1f s", _name(key), error, delay)


def _name(key: Hashable) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
