"""One active operator at a time, by a coordination.k8s.io Lease.

Our own client and not the kubernetes package's election: that one bounds no call in time, does not release at exit
and would bring a second HTTP session. Correctness never rests on the Lease (names and patch tests carry it), so a
clock that is wrong costs duplicate effort at most. Expiry is judged by this process's own clock, from when it first
saw a renewal, and never by comparing the clocks of two machines.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import ApiError, Conflict, NotFound, TransportError
from audiojob_kube.objects import Object
from audiojob_kube.resources import LEASES
from audiojob_operator.settings_groups import LeaseSettings

_log = logging.getLogger(__name__)

_SHORTEST_PAUSE_SECONDS = 0.05


class LeaseLostError(Exception):
    """Another process is active from now on: this one must end."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """One renewal by one holder, as last seen, and when this process first saw it (own clock, seconds)."""

    holder: str
    renew_time: str
    seen: float


class Lease:
    """Acquires, renews and releases one Lease. `held` is set while this process is the active one.

    `changed(held)` is called whenever that begins or ends. It ends when the Lease was not renewed in time, and begins
    again when it could be renewed after all because nobody else has taken it.
    """

    def __init__(
        self,
        client: KubeClient,
        settings: LeaseSettings,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[bool], None] = lambda _held: None,
    ) -> None:
        self.identity = settings.identity or f"operator-{uuid.uuid4()}"
        self.held = asyncio.Event()
        self.holder = ""
        self._client = client
        self._settings = settings
        self._clock = clock
        self._changed = changed
        self._seen: Renewal | None = None
        self._duration = settings.duration_seconds  # the holder's
        self._complaint = ""

    async def run(self) -> None:
        """Wait for the Lease, then keep it. Raises LeaseLostError when another process has taken it."""
        while not await self._try():  # noqa: ASYNC110 - the holder is another process
            await asyncio.sleep(self._pause())
        renewed = self._clock()
        self._hold()
        while True:
            await asyncio.sleep(self._settings.retry_seconds)
            if await self._try():
                renewed = self._clock()
                self._hold()
            elif self.holder != self.identity:
                self.held.clear()
                raise LeaseLostError(f"the Lease went to {self.holder or 'nobody'}")
            elif self._clock() - renewed >= self._settings.renew_deadline_seconds:
                # Others may take it soon. An API server that is away is no reason to end: nobody could take it.
                self._drop()

    async def release(self) -> None:
        """Give the Lease back, so that a successor need not wait for it to expire. Never raises API errors."""
        if not self.held.is_set():
            return
        self.held.clear()
        try:
            async with asyncio.timeout(self._call_seconds):
                lease = await self._get()
                if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                    await self._patch(lease, {"holderIdentity": "", "leaseDurationSeconds": 1})
        except (ApiError, TransportError, TimeoutError) as error:
            _log.warning("the Lease was not released, a successor waits for it to expire: %s", error)

    def _hold(self) -> None:
        if not self.held.is_set():
            self.held.set()
            _log.info("holding Lease %s/%s as %s", self._settings.namespace, self._settings.name, self.identity)
            self._changed(True)

    def _drop(self) -> None:
        if self.held.is_set():
            self.held.clear()
            self._changed(False)

    def _pause(self) -> float:
        """Until the next try, but not beyond the moment at which the holder's time is over."""
        if not self.holder or self._seen is None:
            return self._settings.retry_seconds
        left = self._seen.seen + self._duration - self._clock()
        return min(self._settings.retry_seconds, max(left, _SHORTEST_PAUSE_SECONDS))

    @property
    def _call_seconds(self) -> float:
        # Short enough for several tries within the renew deadline.
        return min(3.0, self._settings.renew_deadline_seconds / 2)

    async def _try(self) -> bool:
        """Take or renew the Lease. False when another holds it, or when the API server did not answer in time."""
        try:
            async with asyncio.timeout(self._call_seconds):
                done = await self._acquire_or_renew()
        except Conflict:
            return False  # somebody else was faster
        except (ApiError, TransportError, TimeoutError) as error:
            self._complain(str(error) or "no answer in time")
            return False
        self._complaint = ""
        return done

    def _complain(self, why: str) -> None:
        """Once for the same problem in a row: a try comes every few seconds."""
        if why != self._complaint:
            _log.warning("Lease %s/%s: %s", self._settings.namespace, self._settings.name, why)
        self._complaint = why

    async def _acquire_or_renew(self) -> bool:
        lease = await self._get()
        if lease is None:
            spec = self._renewed() | {"acquireTime": _now(), "leaseTransitions": 0}
            body = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self._settings.name, "namespace": self._settings.namespace},
                "spec": spec,
            }
            self._observe(await self._client.create(LEASES, body))
            return True
        self._observe(lease)
        spec = lease.get("spec") or {}
        self._duration = float(spec.get("leaseDurationSeconds") or self._settings.duration_seconds)
        if self.holder == self.identity:
            self._observe(await self._patch(lease, self._renewed()))
            return True
        if self.holder and not self._expired():
            return False
        transitions = (spec.get("leaseTransitions") or 0) + 1
        taken = self._renewed() | {"acquireTime": _now(), "leaseTransitions": transitions}
        self._observe(await self._patch(lease, taken))
        return True

    async def _get(self) -> Object | None:
        try:
            return await self._client.get(LEASES, self._settings.name, self._settings.namespace)
        except NotFound:
            return None

    async def _patch(self, lease: Object, spec: Object) -> Object:
        # The resourceVersion makes it a compare-and-swap: of two that try, one gets a Conflict.
        body = {"metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]}, "spec": spec}
        return await self._client.patch_merge(LEASES, self._settings.name, body, self._settings.namespace)

    def _renewed(self) -> Object:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._settings.duration_seconds)),
            "renewTime": _now(),
        }

    def _observe(self, lease: Object) -> None:
        spec = lease.get("spec") or {}
        self.holder = spec.get("holderIdentity") or ""
        renew_time = spec.get("renewTime") or ""
        if self._seen is None or (self._seen.holder, self._seen.renew_time) != (self.holder, renew_time):
            self._seen = Renewal(self.holder, renew_time, self._clock())

    def _expired(self) -> bool:
        return self._seen is not None and self._clock() - self._seen.seen >= self._duration


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
