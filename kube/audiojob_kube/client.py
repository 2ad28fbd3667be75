"""Calls to the API server on aiohttp and orjson.

Nothing here retries a write: a caller that decides from what it sees must see every failure. The one
resend is after 401 with a new token, where the server has done nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

from audiojob_kube.agent import agent_of
from audiojob_kube.errors import ConfigError, Gone, NotFound, TransportError, error_from_response, error_from_status
from audiojob_kube.lines import LineSplitter, LineTooLongError
from audiojob_kube.objects import EventType, Object, ObjectList, WatchEvent
from audiojob_kube.protocol import DEFAULT_PAGE_SIZE, DEFAULT_WATCH_SECONDS, KubeClient, Propagation
from audiojob_kube.resources import Resource

if TYPE_CHECKING:
    from audiojob_kube.config import Connection

_JSON = "application/json"
_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_REFUSED_FROM = 300  # redirects are not followed: they would carry the token elsewhere
_UNAUTHORIZED = 401
_EVENT_TYPES = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})
_LIST_RESTARTS = 5
# Answers of ordinary objects stay below it. Users can make objects of 1.5 MB: then pages have fewer of them.
_PAGE_BYTES = 1024 * 1024  # parsed it takes four times as much
_SMALLER, _LARGER = 8, 2  # a page above the limit is read in vain, one far below it costs little
# TimeoutError and TLS errors are OSErrors; other errors are bugs and stay visible as they are.
_TRANSPORT_ERRORS = (aiohttp.ClientError, OSError, LineTooLongError, orjson.JSONDecodeError, ConfigError)

__all__ = ["AiohttpKubeClient", "KubeClient", "Timeouts", "connect"]


class _PageTooLargeError(Exception):
    """The objects of a page are larger than the page may be."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `call` bounds a whole call once it has a slot; `watch_silence` the gap between two reads
    of a watch, and must exceed the server's bookmark interval of about 60."""

    connect: float = 10.0
    call: float = 30.0
    watch_silence: float = 75.0


DEFAULT_TIMEOUTS = Timeouts()


def connect(
    connection: Connection,
    *,
    user_agent: str,
    field_manager: str,
    limit: int = 32,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
) -> AiohttpKubeClient:
    """A client for one API server. At most `limit` calls are in flight, others wait; watches are not counted."""
    return AiohttpKubeClient(
        connection, user_agent=user_agent, field_manager=field_manager, limit=limit, timeouts=timeouts
    )


class AiohttpKubeClient:
    """KubeClient on one aiohttp session, made at the first call and bound to that event loop."""

    def __init__(
        self, connection: Connection, *, user_agent: str, field_manager: str, limit: int, timeouts: Timeouts
    ) -> None:
        self._connection = connection
        self._program = user_agent
        self._headers = {
            "Accept": _JSON,
            # The server would compress answers above 128 KiB, which costs both sides more than it saves.
            "Accept-Encoding": "identity",
        }
        self._write_parameters = {"fieldManager": field_manager, "fieldValidation": "Strict"}
        # aiohttp counts waiting for a connection as part of the call's time, so the limit is kept here.
        self._slots = asyncio.Semaphore(limit)
        self._timeouts = timeouts
        self._session: aiohttp.ClientSession | None = None
        self._open_watches: set[aiohttp.ClientResponse] = set()
        self._closed = False

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return await self._call("GET", _path(resource, namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
    ) -> ObjectList:
        restarts = 0
        while True:
            items: list[Object] = []
            version = ""
            try:
                async for page in self.pages(
                    resource,
                    namespace,
                    label_selector=label_selector,
                    field_selector=field_selector,
                    page_size=page_size,
                ):
                    items += page.items
                    version = page.resource_version
                return ObjectList(items, version)
            except Gone:
                restarts += 1
                if restarts > _LIST_RESTARTS:
                    raise

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
    ) -> AsyncIterator[ObjectList]:
        path = _path(resource, namespace)
        parameters = _selectors(label_selector, field_selector)
        limit = page_size
        while True:
            try:
                answer, size = await self._read_page(path, parameters | {"limit": str(limit)}, alone=limit == 1)
            except _PageTooLargeError:
                limit = max(1, limit // _SMALLER)
                continue
            if size * _LARGER * 2 < _PAGE_BYTES:
                limit = min(page_size, limit * _LARGER)
            metadata = answer.get("metadata") or {}
            if "resourceVersion" not in metadata:
                raise TransportError(f"GET {path}: the answer is no list: this is not a Kubernetes API server")
            items: list[Object] = answer.get("items") or []
            for item in items:
                # Lists of built-in types leave these out of their items; watches do not.
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
            yield ObjectList(items, metadata["resourceVersion"])
            token = metadata.get("continue")
            if not token:
                return
            parameters["continue"] = token

    async def _read_page(self, path: str, parameters: Mapping[str, str], *, alone: bool) -> tuple[Object, int]:
        """One page and its bytes; raises as soon as it grows too large, if it may have more than one object."""
        size = 0

        async def read(response: aiohttp.ClientResponse) -> bytes:
            nonlocal size
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _PAGE_BYTES and not alone:
                    response.close()  # the rest is not drained
                    raise _PageTooLargeError
            size = len(body)
            return bytes(body)

        answer = await self._call("GET", path, parameters, read=read)
        return answer, size

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        if resource.namespaced:
            namespace = namespace or (body.get("metadata") or {}).get("namespace")
            if not namespace:
                raise ValueError(f"creating a {resource.kind} needs a namespace, in the call or in metadata")
        path = _path(resource, namespace)
        return await self._call("POST", path, self._write_parameters, body, _JSON)

    async def patch_json(
        self,
        resource: Resource,
        name: str,
        operations: Sequence[Object],
        namespace: str | None = None,
        *,
        subresource: str | None = None,
    ) -> Object:
        path = _path(resource, namespace, name, subresource)
        return await self._call("PATCH", path, self._write_parameters, list(operations), _JSON_PATCH)

    async def patch_merge(
        self,
        resource: Resource,
        name: str,
        body: Object,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
    ) -> Object:
        path = _path(resource, namespace, name, subresource)
        return await self._call("PATCH", path, self._write_parameters, body, _MERGE_PATCH)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self._call("DELETE", _path(resource, namespace, name), None, options, _JSON)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout_seconds: int = DEFAULT_WATCH_SECONDS,
    ) -> AsyncIterator[WatchEvent]:
        if resource_version in {"", "0"}:
            # The server would send all objects as ADDED first, or refuse, depending on its version.
            raise ValueError("a watch starts from the resourceVersion of a list")
        parameters = _selectors(label_selector, field_selector) | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        path = _path(resource, namespace)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._timeouts.connect, sock_read=self._timeouts.watch_silence
        )
        try:
            response = await self._send("GET", path, parameters, None, {}, timeout)
            self._open_watches.add(response)
            try:
                await _raise_for_status(response)
                splitter = LineSplitter()
                async for chunk in response.content.iter_any():
                    for line in splitter.feed(chunk):
                        yield _watch_event(line)
            finally:
                # Not release(): the rest of the stream is endless and must not be drained.
                response.close()
                self._open_watches.discard(response)
        except _TRANSPORT_ERRORS as error:
            raise _transport_error("WATCH", path, error) from error

    async def aclose(self) -> None:
        self._closed = True
        # Closing the session drops the connections but wakes nobody who reads from one.
        for response in list(self._open_watches):
            response.close()
        if self._session is not None:
            await self._session.close()

    async def _call(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = _JSON,
        *,
        read: Callable[[aiohttp.ClientResponse], Awaitable[bytes]] = aiohttp.ClientResponse.read,
    ) -> Object:
        timeout = aiohttp.ClientTimeout(total=self._timeouts.call, sock_connect=self._timeouts.connect)
        headers = {"Content-Type": content_type} if body is not None else {}
        data = orjson.dumps(body) if body is not None else None
        async with self._slots:
            try:
                async with await self._send(method, path, parameters, data, headers, timeout) as response:
                    await _raise_for_status(response)
                    return _json_object(await read(response))
            except _TRANSPORT_ERRORS as error:
                raise _transport_error(method, path, error) from error

    async def _send(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None,
        data: bytes | None,
        headers: Mapping[str, str],
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """The response's head; after 401 once more, if the token provider has another token by then."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        url = URL(f"{self._connection.host}{path}{query}", encoded=True)
        sent = {**headers, "User-Agent": agent_of(self._program)}
        provider = self._connection.token
        token = await provider.get()
        while True:
            response = await self._open_session().request(
                method,
                url,
                data=data,
                headers=sent | ({"Authorization": f"Bearer {token}"} if token else {}),
                timeout=limits,
                allow_redirects=False,
                server_hostname=self._connection.server_hostname,
                proxy=self._connection.proxy,
            )
            if response.status != _UNAUTHORIZED or token is None:
                return response
            await response.read()  # gives the connection back, and keeps the body for the error
            provider.invalidate()
            refused, token = token, await provider.get()
            if token == refused:
                return response

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this Kubernetes client is closed")
        if self._session is None:
            context = self._connection.ssl
            connector = aiohttp.TCPConnector(limit=0, ssl=True if context is None else context)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _path(resource: Resource, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
    if resource.namespaced and name is not None and not namespace:
        raise ValueError(f"{resource.plural} are namespaced: {name!r} needs a namespace")
    try:
        return resource.path(namespace, name, subresource)
    except ValueError as error:
        raise NotFound(404, "NotFound", str(error)) from error


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: selector for name, selector in given.items() if selector}


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status < _REFUSED_FROM:
        return
    body = await response.read()
    raise error_from_response(response.status, body, response.headers.get("Retry-After"))


def _json_object(body: bytes) -> Object:
    answer = orjson.loads(body)
    if not isinstance(answer, dict):
        raise TransportError("the answer is no JSON object: this is not a Kubernetes API server")
    return answer


def _watch_event(line: bytes) -> WatchEvent:
    event = _json_object(line)
    kind = event.get("type")
    body = event.get("object")
    if kind == "ERROR" and isinstance(body, dict):
        error = error_from_status(body, code=500)
        error.in_stream = True
        raise error
    if kind not in _EVENT_TYPES or not isinstance(body, dict):
        raise TransportError(f"the watch sent an event of unknown type {kind!r}")
    return WatchEvent(cast("EventType", kind), body)


def _transport_error(method: str, path: str, error: BaseException) -> TransportError:
    timed_out = isinstance(error, TimeoutError)
    what = "timed out" if timed_out else f"{type(error).__name__}: {error}"
    return TransportError(f"{method} {path}: {what}", timed_out=timed_out)
