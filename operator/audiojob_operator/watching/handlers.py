"""kopf as the shell: it watches unfinished AudioJobs in a thread of its own and hands each change to the core loop.

`on.event` only: kopf then writes nothing to the objects and keeps no state between handlers. Some errors in a watch
end `kopf.operator()`; the thread is started again then. Neither then nor when kopf lists anew by itself does it report
what was deleted meanwhile, so both are reported as a gap. Of each event the core loop gets what decisions read.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from http import HTTPStatus
from typing import Any

import aiohttp
import kopf
from yarl import URL

from audiojob_kube.backoff import Backoff
from audiojob_kube.config import Connection
from audiojob_kube.objects import Object
from audiojob_kube.resources import AUDIOJOBS
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.watching.selectors import ACTIVE_SELECTOR
from audiojob_operator.watching.trimmed import TrimmedResponse, concerns
from audiojob_types import constants as c

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 5.0
_RESTARTS = Backoff(first_seconds=1.0, cap_seconds=20.0)
_STEADY_SECONDS = 60.0  # one that ran this long did not fail at once
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


def kopf_settings(silence_seconds: float) -> kopf.OperatorSettings:
    """Settings of an operator that only watches: no writes, no scanning, lists in pages, no limit of its own.

    A watch that brings nothing for ``silence_seconds`` is replaced.
    """
    settings = kopf.OperatorSettings()
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.diffbase_storage = _NoDiff()
    settings.persistence.progress_storage = _NoProgress()
    settings.queueing.idle_timeout = 0.05
    settings.queueing.worker_limit = None
    settings.watching.chunk_size = 10  # whole objects are in memory, and a user can make one as large as etcd takes
    settings.watching.inactivity_timeout = silence_seconds
    settings.watching.connect_timeout = 10
    settings.watching.field_selectors[AUDIOJOBS.group, AUDIOJOBS.plural] = ACTIVE_SELECTOR
    settings.networking.error_backoffs = _Backoffs()
    settings.networking.request_timeout = 30
    settings.networking.enforce_retry_after = True
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    return settings


class Relists:
    """Notices, by kopf's requests, that it watches on from a new list: what was deleted before is never reported."""

    def __init__(self) -> None:
        self._listed = False

    def answered(self, method: str, url: URL, status: int) -> bool:
        """Take note of an answered request. Returns whether a watch has just followed a list."""
        if method != "GET" or status != HTTPStatus.OK or not concerns(url):
            return False
        if "watch" not in url.query:
            self._listed = True
            return False
        fresh, self._listed = self._listed, False
        return fresh


class KopfShell:
    """The kopf thread. In the core loop, `deliver(type, object)` is called for each event, and `gap()` when deletions
    may have been missed: as soon as kopf has ended, and again once it watches from a new list."""

    def __init__(
        self,
        connection: Connection,
        deliver: Deliver,
        gap: Callable[[], None],
        metrics: Metrics,
        silence_seconds: float,
    ) -> None:
        self._connection = connection
        self._deliver = deliver
        self._gap = gap
        self._metrics = metrics
        self._silence_seconds = silence_seconds
        self._stop = threading.Event()
        self._beat: float | None = None

    def age(self) -> float:
        """Seconds since the thread's loop last ran; 0 before it was started."""
        return 0.0 if self._beat is None else time.monotonic() - self._beat

    async def run(self) -> None:
        """Keep the thread running until cancelled."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = time.monotonic()
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
            self._gap()
            failures = 1 if time.monotonic() - began >= _STEADY_SECONDS else failures + 1
            await asyncio.sleep(_RESTARTS.delay(failures))

    def _main(self, core: asyncio.AbstractEventLoop, ended: asyncio.Event, stop: threading.Event) -> None:
        asked = False
        try:
            asked = asyncio.run(self._operate(core, stop))
        except Exception as error:  # noqa: BLE001 - whatever ended kopf, it must be started again
            _log.warning("kopf has failed: %r", error)
        finally:
            if not asked:
                _log.warning("kopf has ended; starting it again")
            if not core.is_closed():
                core.call_soon_threadsafe(ended.set)

    async def _operate(self, core: asyncio.AbstractEventLoop, stop: threading.Event) -> bool:
        """Run kopf until it ends. Returns whether it was asked to."""
        async with self._session(core) as session:
            beat = asyncio.create_task(self._keep_beating())
            try:
                await kopf.operator(
                    registry=self._registry(core, session),
                    settings=kopf_settings(self._silence_seconds),
                    memories=None,
                    clusterwide=True,
                    standalone=True,
                    stop_flag=stop,
                )
                return stop.is_set()
            finally:
                beat.cancel()
                # kopf waits for it in a thread of the loop's executor, without which the loop cannot be closed.
                stop.set()

    async def _keep_beating(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(_BEAT_SECONDS)

    def _session(self, core: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        """A session with our own identity: the token is asked for anew with each request, so that it may rotate."""
        provider = self._connection.token
        relists = Relists()

        async def authorize(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            if token := await provider.get():
                request.headers["Authorization"] = f"Bearer {token}"
            response = await handler(request)
            if response.status == 401:
                provider.invalidate()
            if relists.answered(request.method, request.url, response.status):
                core.call_soon_threadsafe(self._gap)
            return response

        context = self._connection.ssl
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=True if context is None else context),
            headers={"User-Agent": c.MANAGER_OPERATOR, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(authorize,),
            response_class=TrimmedResponse,
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
