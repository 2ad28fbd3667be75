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
from audiojob_operator.settings import LeaseSettings

_log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """Another process may be active from now on: this one must end."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """One renewal by one holder, as last seen, and when this process first saw it (own clock, seconds)."""

    holder: str
    renew_time: str
    seen: float


class Lease:
    """Acquires, renews and releases one Lease. `held` is set while this process is the active one."""

    def __init__(
        self, client: KubeClient, settings: LeaseSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.identity = settings.identity or f"operator-{uuid.uuid4()}"
        self.held = asyncio.Event()
        self.holder = ""
        self._client = client
        self._settings = settings
        self._clock = clock
        self._seen: Renewal | None = None

    async def run(self) -> None:
        """Wait for the Lease, then keep it. Raises LeaseLostError when it could not be renewed in time."""
        while not await self._try():  # noqa: ASYNC110 - the holder is another process
            await asyncio.sleep(self._settings.retry_seconds)
        renewed = self._clock()
        self.held.set()
        _log.info("holding Lease %s/%s as %s", self._settings.namespace, self._settings.name, self.identity)
        while True:
            await asyncio.sleep(self._settings.retry_seconds)
            if await self._try():
                renewed = self._clock()
            elif self.holder != self.identity:
                raise LeaseLostError(f"the Lease went to {self.holder or 'nobody'}")
            elif self._clock() - renewed >= self._settings.renew_deadline_seconds:
                raise LeaseLostError(f"not renewed for {self._settings.renew_deadline_seconds:.0f} s")

    async def release(self) -> None:
        """Give the Lease back, so that a successor need not wait for it to expire. Never raises API errors."""
        if not self.held.is_set():
            return
        self.held.clear()
        try:
            async with asyncio.timeout(self._call_seconds):
                lease = await self._get()
                if lease is not None and (lease["spec"].get("holderIdentity") == self.identity):
                    await self._patch(lease, {"holderIdentity": "", "leaseDurationSeconds": 1})
        except (ApiError, TransportError, TimeoutError) as error:
            _log.warning("the Lease was not released, a successor waits for it to expire: %s", error)

    @property
    def _call_seconds(self) -> float:
        # Short enough for several tries within the renew deadline.
        return min(3.0, self._settings.renew_deadline_seconds / 2)

    async def _try(self) -> bool:
        """Take or renew the Lease. False when another holds it, or when the API server did not answer in time."""
        try:
            async with asyncio.timeout(self._call_seconds):
                return await self._acquire_or_renew()
        except Conflict:
            return False  # somebody else was faster
        except (ApiError, TransportError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            _log.warning("Lease %s/%s: %s", self._settings.namespace, self._settings.name, why)
            return False

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
        if self.holder == self.identity:
            self._observe(await self._patch(lease, self._renewed()))
            return True
        if self.holder and not self._expired(spec):
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

    def _expired(self, spec: Object) -> bool:
        duration = float(spec.get("leaseDurationSeconds") or self._settings.duration_seconds)
        return self._seen is not None and self._clock() - self._seen.seen >= duration


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
