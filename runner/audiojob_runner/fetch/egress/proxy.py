"""The egress proxy: an HTTP proxy on loopback that every download goes through, ours and yt-dlp's.

It resolves each host itself, connects only to addresses that :mod:`addresses` allows, and connects to the very
address it checked, so that a name which answers differently the second time gains nothing. Redirects come back as
new requests and are checked like the first. It counts bytes, and closes every connection once the limit of bytes or
of time is reached, and those that stall.

Clients use ``CONNECT host:port`` for https and the absolute form (``GET http://host/path``) for http, one request per
connection.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from audiojob_runner.fetch.egress.addresses import is_allowed
from audiojob_runner.fetch.egress.http import ClientSide, ProxyRequest, ServerSide
from audiojob_runner.fetch.egress.names import is_inside_name, is_spelled_address
from audiojob_runner.fetch.egress.rates import RateLimit, StallDetector
from audiojob_runner.fetch.egress.refusals import Refusal, RefusedError, UnknownHostError, bad_request, not_public
from audiojob_runner.fetch.egress.resolver import resolve
from audiojob_runner.fetch.egress.upstream import Upstream, UpstreamError, connect_through, connect_to
from audiojob_types.outside.networks import AllowedNetwork

CONNECT_SECONDS: Final = 15.0
HEAD_SECONDS: Final = 20.0
IDLE_SECONDS: Final = 60.0
MAX_CONNECTIONS: Final = 64
PIECE_BYTES: Final = 64 * 1024
# A name that leads inside is known at once, one that does not exist after a while: neither is answered sooner.
UNKNOWN_HOST_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """What the proxy lets through, over all connections together, overhead of protocols included.

    ``exceptions`` are private networks that may be reached. ``bytes_per_second`` is a bandwidth, and ``seconds``
    counts from the start of the proxy; None is no limit. ``upstream`` is the administrator's proxy, for clusters
    without direct access to the internet.
    """

    exceptions: tuple[AllowedNetwork, ...]
    max_bytes: int
    bytes_per_second: int | None = None
    seconds: float | None = None
    upstream: Upstream | None = None


class EgressProxy:
    """The proxy, running while its context is open. Clients get its ``url``.

    After a failure, :attr:`refusals` lists what the proxy itself refused, in order.
    """

    def __init__(self, rules: ProxyRules, log: logging.Logger) -> None:
        self._rules = rules
        self._log = log
        self._rate = RateLimit(rules.bytes_per_second)
        self._ends = None if rules.seconds is None else time.monotonic() + rules.seconds
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._closed = False
        self._received = 0
        self.refusals: list[RefusedError] = []
        self._server = socket.create_server(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
        self._thread = threading.Thread(target=self._accept, name="egress-proxy", daemon=True)

    @property
    def url(self) -> str:
        """Address for clients, such as ``http://127.0.0.1:40123``."""
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    @property
    def received(self) -> int:
        """Bytes received from the network so far."""
        return self._received

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        with self._lock:
            self._closed = True
            sockets = list(self._open)
        # shutdown wakes threads that wait in accept or recv; close alone would not.
        for each in (self._server, *sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if not self._slots.acquire(blocking=False):
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), name="egress", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        begun = time.monotonic()
        try:
            with client, self._tracked(client):
                client.settimeout(IDLE_SECONDS)
                try:
                    self._handle(client)
                except RefusedError as refused:
                    if refused.refusal is Refusal.NO_SUCH_HOST:
                        self._done.wait(max(0.0, begun + UNKNOWN_HOST_SECONDS - time.monotonic()))
                    with self._lock:
                        self.refusals.append(refused)
                    self._log.warning("fetch refused: %s: %s", refused.refusal.value, refused.detail)
                    client.sendall(refused.answer())
        except OSError as error:
            self._log.debug("fetch connection ended: %s", error)
        finally:
            self._slots.release()

    def _handle(self, client: socket.socket) -> None:
        reader = ClientSide()
        request = _read_request(client, reader)
        server, to_proxy = self._connect(request)
        with server, self._tracked(server):
            server.settimeout(IDLE_SECONDS)
            if request.is_tunnel:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                exchange: _Exchange = _Tunnel()
                server.sendall(reader.rest)
            else:
                exchange = _Http(reader, ServerSide())
                server.sendall(exchange.start(request, to_proxy))
            self._relay(client, server, exchange)

    def _connect(self, request: ProxyRequest) -> tuple[socket.socket, Upstream | None]:
        """A connection, and the other proxy if the request itself goes to one. Raises :class:`RefusedError`."""
        host, port, upstream = request.host, request.port, self._rules.upstream
        if self._received >= self._rules.max_bytes:
            raise RefusedError(Refusal.TOO_MUCH, host, "The byte limit is reached")
        self._check_time()
        try:
            # The other proxy chooses among a name's addresses itself, so all of them must be allowed.
            addresses = resolve(host, port, self._rules.exceptions, every=upstream is not None)
        except RefusedError as refused:
            # Behind a proxy, the cluster's own DNS often knows no public names.
            if upstream is None or not (isinstance(refused, UnknownHostError) or refused.refusal is Refusal.UNRESOLVED):
                raise
            if is_spelled_address(host):  # in a notation that our resolver does not read, but the proxy may
                raise RefusedError(Refusal.BLOCKED, host, f"{host} is a private or local address") from refused
            addresses = []
        # A private address that is allowed lies inside the network: it is reached directly.
        if upstream is not None and all(map(is_allowed, addresses)):
            return _connect_through(upstream, request)
        for address in addresses:
            try:
                return socket.create_connection((address, port), timeout=CONNECT_SECONDS), None
            except OSError as error:
                self._log.debug("no connection to %s port %d: %s", host, port, error)
        raise RefusedError(Refusal.UNREACHABLE, host, f"{host} does not answer on port {port}")

    def _relay(self, client: socket.socket, server: socket.socket, exchange: _Exchange) -> None:
        """Copy both ways until the server ends or nothing comes for ``IDLE_SECONDS``."""
        readable = [client, server]
        stall = StallDetector(time.monotonic())
        while True:
            ready, _, _ = select.select(readable, [], [], self._patience())
            if not ready:
                self._check_time()
                return
            if server in ready:
                data = server.recv(PIECE_BYTES)
                if not data:
                    return
                self._count(len(data))
                if stall.received(len(data), time.monotonic()):
                    raise self._refused(Refusal.TOO_SLOW, "The source sends too slowly")
                client.sendall(exchange.to_client(data))
            if client in ready:
                data = client.recv(PIECE_BYTES)
                stall.sent(time.monotonic())
                if data:
                    server.sendall(exchange.to_server(data))
                else:
                    # The client has sent everything; the answer may still be coming.
                    readable = [server]
                    with contextlib.suppress(OSError):
                        server.shutdown(socket.SHUT_WR)

    def _patience(self) -> float:
        if self._ends is None:
            return IDLE_SECONDS
        return max(0.0, min(IDLE_SECONDS, self._ends - time.monotonic()))

    def _check_time(self) -> None:
        if self._ends is not None and time.monotonic() >= self._ends:
            raise self._refused(Refusal.TOO_LONG, "The time limit of the download is reached")

    def _count(self, number: int) -> None:
        with self._lock:
            self._received += number
            over = self._received > self._rules.max_bytes
            wait = self._rate.wait(number, time.monotonic())
        if over:
            raise self._refused(Refusal.TOO_MUCH, "The byte limit is reached")
        self._check_time()
        if wait > 0:
            self._done.wait(min(wait, self._patience()))

    def _refused(self, refusal: Refusal, detail: str) -> ConnectionAbortedError:
        """Record why a connection is closed in its middle, where no answer can be sent any more."""
        with self._lock:
            self.refusals.append(RefusedError(refusal, "", detail))
        return ConnectionAbortedError(detail)

    @contextlib.contextmanager
    def _tracked(self, each: socket.socket) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError("the proxy is closed")
            self._open.add(each)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(each)


class _Tunnel:
    """Bytes of a TLS connection, which pass unchanged."""

    def to_server(self, data: bytes) -> bytes:
        return data

    def to_client(self, data: bytes) -> bytes:
        return data


class _Http:
    """One request and its answer."""

    def __init__(self, client: ClientSide, server: ServerSide) -> None:
        self._client = client
        self._server = server

    def start(self, request: ProxyRequest, upstream: Upstream | None) -> bytes:
        """The request's head, and what of its body came with it."""
        headers = None if upstream is None else upstream.headers
        return self._server.request(request, headers) + self.to_server(b"")

    def to_server(self, data: bytes) -> bytes:
        return self._server.body(self._client.body(data))

    def to_client(self, data: bytes) -> bytes:
        return self._server.answer(data)


_Exchange = _Tunnel | _Http


def _read_request(client: socket.socket, reader: ClientSide) -> ProxyRequest:
    """Raises :class:`RefusedError`, also for a head that is not complete after ``HEAD_SECONDS``."""
    deadline = time.monotonic() + HEAD_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        client.settimeout(left)
        try:
            data = client.recv(PIECE_BYTES)
        except TimeoutError:
            break
        if not data:
            raise ConnectionAbortedError("the client sent no request")
        request = reader.head(data)
        if request is not None:
            client.settimeout(IDLE_SECONDS)
            return request
    raise bad_request("The request's head did not arrive in time")


def _connect_through(upstream: Upstream, request: ProxyRequest) -> tuple[socket.socket, Upstream | None]:
    """A connection by way of the administrator's proxy: to the host for a tunnel, to the proxy itself for http."""
    host = request.host
    if is_inside_name(host):
        raise not_public(host)
    try:
        if request.is_tunnel:
            return connect_through(upstream, host, request.port, CONNECT_SECONDS), None
        return connect_to(upstream, CONNECT_SECONDS), upstream
    except UpstreamError as error:
        kind = Refusal.UPSTREAM if error.status in (None, 407) else Refusal.UNREACHABLE
        raise RefusedError(kind, host, str(error)) from error
