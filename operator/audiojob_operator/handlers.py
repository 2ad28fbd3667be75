"""kopf as the shell: it watches unfinished AudioJobs in a thread of its own and hands each change to the core loop.

`on.event` only: kopf then writes nothing to the objects and keeps no state between handlers. Some errors in a watch
end `kopf.operator()`; the thread is started again then.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import aiohttp
import kopf

from audiojob_kube.config import Connection
from audiojob_kube.objects import Object
from audiojob_kube.resources import AUDIOJOBS
from audiojob_operator.metrics import Metrics
from audiojob_types import constants as c
from audiojob_types.job import FINISHED_STATES

_log = logging.getLogger(__name__)

ACTIVE_SELECTOR = ",".join(f"status.state!={state}" for state in sorted(FINISHED_STATES))
_BEAT_SECONDS = 5.0
_RESTART_SECONDS = 1.0
_STOP_SECONDS = 10.0

Deliver = Callable[[str | None, Object], None]


class _NoDiff(kopf.DiffBaseStorage):
    """Nothing is compared, nothing is stored. (`fetch` must not answer None: that would mean "new" for ever.)"""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return kopf.BodyEssence()

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


class _NoProgress(kopf.ProgressStorage):
    """`on.event` handlers have no progress."""

    def fetch(self, *, key: Any, body: kopf.Body) -> None:
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        pass

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        pass

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        pass

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


class _Backoffs(Collection[float]):
    """Endless and re-iterable: with the default ones kopf gives up after a minute without an API server."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.1, 0.3, 1.0, 2.0), itertools.repeat(5.0))

    def __len__(self) -> int:
        return 2**31

    def __contains__(self, _item: object) -> bool:
        return True


def kopf_settings() -> kopf.OperatorSettings:
    """Settings of an operator that only watches: no writes, no scanning, lists in pages, no limit of its own."""
    settings = kopf.OperatorSettings()
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.diffbase_storage = _NoDiff()
    settings.persistence.progress_storage = _NoProgress()
    settings.queueing.idle_timeout = 0.05
    settings.queueing.worker_limit = None
    settings.watching.chunk_size = 500
    settings.watching.inactivity_timeout = 70
    settings.watching.connect_timeout = 10
    settings.watching.field_selectors[AUDIOJOBS.group, AUDIOJOBS.plural] = ACTIVE_SELECTOR
    settings.networking.error_backoffs = _Backoffs()
    settings.networking.request_timeout = 30
    settings.networking.enforce_retry_after = True
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    return settings


class KopfShell:
    """The kopf thread. `deliver(type, object)` is called in the core loop for each event; `restarted` after a gap."""

    def __init__(
        self, connection: Connection, deliver: Deliver, restarted: Callable[[], None], metrics: Metrics
    ) -> None:
        self._connection = connection
        self._deliver = deliver
        self._restarted = restarted
        self._metrics = metrics
        self._stop = threading.Event()
        self._beat = time.monotonic()

    def age(self) -> float:
        """Seconds since the thread's loop last ran."""
        return time.monotonic() - self._beat

    def restart(self) -> None:
        """Have kopf started afresh, for a watch that does not bring what it should."""
        self._stop.set()

    async def run(self) -> None:
        """Keep the thread running until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._stop = threading.Event()
            ended = asyncio.Event()
            thread = threading.Thread(target=self._main, args=(loop, ended, self._stop), name="kopf", daemon=True)
            thread.start()
            try:
                await ended.wait()
            finally:
                self._stop.set()
                # Nothing of ours waits for a thread that does not want to end; the process takes it along.
                await asyncio.to_thread(thread.join, _STOP_SECONDS)
            self._metrics.kopf_restarts.inc()
            await asyncio.sleep(_RESTART_SECONDS)
            self._restarted()

    def _main(self, core: asyncio.AbstractEventLoop, ended: asyncio.Event, stop: threading.Event) -> None:
        try:
            asyncio.run(self._operate(core, stop))
            if not stop.is_set():
                _log.warning("kopf has ended; starting it again")
        except Exception:  # noqa: BLE001 - whatever ended kopf, it must be started again
            _log.exception("kopf has failed; starting it again")
        finally:
            if not core.is_closed():
                core.call_soon_threadsafe(ended.set)

    async def _operate(self, core: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        async with self._session() as session:
            beat = asyncio.create_task(self._keep_beating())
            try:
                await kopf.operator(
                    registry=self._registry(core, session),
                    settings=kopf_settings(),
                    memories=None,
                    clusterwide=True,
                    standalone=True,
                    stop_flag=stop,
                )
            finally:
                beat.cancel()

    async def _keep_beating(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(_BEAT_SECONDS)

    def _session(self) -> aiohttp.ClientSession:
        """A session with our own identity: the token is asked for anew with each request, so that it may rotate."""
        provider = self._connection.token

        async def authorize(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            if token := await provider.get():
                request.headers["Authorization"] = f"Bearer {token}"
            response = await handler(request)
            if response.status == 401:
                provider.invalidate()
            return response

        context = self._connection.ssl
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=True if context is None else context),
            headers={"User-Agent": c.MANAGER_OPERATOR, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(authorize,),
            proxy=self._connection.proxy,
        )

    def _registry(self, core: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        server = self._connection.host

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:
            return kopf.AiohttpSession(aiohttp_session=session, server=server)

        @kopf.on.event(AUDIOJOBS.group, AUDIOJOBS.version, AUDIOJOBS.plural, registry=registry)
        async def changed(event: kopf.RawEvent, **_: Any) -> None:
            core.call_soon_threadsafe(self._deliver, event["type"], dict(event["object"]))

        return registry
