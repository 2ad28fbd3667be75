"""The files services over HTTP: requests with tickets, bodies that stream both ways."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from audiojob_api.cluster.ticket_key import TicketKey
from audiojob_api.files.ports import Answer, Call
from audiojob_api.problems import RETRY_SECONDS, Problem, unavailable
from audiojob_store.ticket import HEADER

_log = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 5.0
_SILENT_SECONDS: Final = 600.0  # completing hashes the whole upload before it answers
_READ_BYTES: Final = 256 * 1024
_CONNECTIONS: Final = 400
_MAX_PROBLEM_BYTES: Final = 16 * 1024
# What a bad ticket is to our caller: never their fault.
_OURS: Final = "bad-ticket"


class _HttpAnswer:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away(error) from None

    async def read(self, limit: int) -> bytes:
        content = bytearray()
        async for chunk in self.chunks():
            content += chunk
            if len(content) > limit:
                raise unavailable("The files service answers with more than is expected.")
        return bytes(content)


class HttpFiles:
    """The `Files` of a cluster. ``url`` has ``{namespace}`` in it. Until the key is there nothing is sent."""

    def __init__(self, url: str, key: TicketKey) -> None:
        self._url = url
        self._key = key
        self._session: aiohttp.ClientSession | None = None

    async def run(self) -> None:
        """Keep the key where it belongs, until cancelled."""
        await self._key.run()

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[Answer]:
        """Send a request, with a ticket for it alone."""
        signer = self._key.signer
        if signer is None:
            raise unavailable("The key for the files service is not there yet.")
        ticket = signer.sign(call.namespace, call.verb, call.key, call.claims)
        url = self._url.replace("{namespace}", call.namespace) + call.path
        try:
            response = await self._client().request(
                call.method, url, headers={**call.headers, HEADER: ticket}, data=call.body, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _away(error) from None
        try:
            if response.status >= 400:
                raise await _problem(response)
            yield _HttpAnswer(response)
        finally:
            response.close()  # whatever was not read: nobody wants it any more

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS, limit_per_host=0),
                timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                read_bufsize=_READ_BYTES,
                skip_auto_headers=("Accept-Encoding", "Content-Type"),
            )
        return self._session


def _away(error: BaseException) -> Problem:
    _log.warning("The files service does not answer: %s", type(error).__name__)
    return unavailable("The files service does not answer.")


async def _problem(response: aiohttp.ClientResponse) -> Problem:
    """What the service says, as it says it; but a ticket that it refuses is our fault and tells nobody anything."""
    found: Any = {}
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            found = json.loads(await response.content.read(_MAX_PROBLEM_BYTES))
        kind, detail = str(found["type"]).rpartition("/")[2], str(found["detail"])
    except (ValueError, KeyError, TypeError, aiohttp.ClientError, TimeoutError):
        return unavailable("The files service answers in another form.")
    if kind == _OURS:
        _log.error("The files service refuses our ticket: %s", detail)
        return unavailable("The files service does not know this API's key yet.")
    kept = {name: response.headers[name] for name in ("Retry-After", "Content-Range") if name in response.headers}
    if response.status == 503:
        kept.setdefault("Retry-After", str(RETRY_SECONDS))
    return Problem(response.status, kind, detail, headers=kept)
