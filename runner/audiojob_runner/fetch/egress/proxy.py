"""The way out: a proxy on loopback that all fetching goes through, ours and yt-dlp's.

It resolves each host itself, connects only to addresses that :mod:`addresses` allows, and connects to the very
address it checked, so that a name which answers differently the second time gains nothing. Redirects come back as
new requests and are checked like the first. It also counts bytes, and ends every connection above the limit of bytes,
after the time that is given for all, and those on which next to nothing comes.

It speaks what clients of an HTTP proxy speak: ``CONNECT host:port`` for https, and the absolute form
(``GET http://host/path``) for http, one request per connection.
"""

from __future__ import annotations

import contextlib
import logging
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from audiojob_runner.fetch.egress.addresses import Network, is_allowed, is_allowed_port
from audiojob_runner.fetch.egress.pace import Pace, Trickle
from audiojob_runner.fetch.egress.upstream import (
    Upstream,
    UpstreamError,
    connect_through,
    connect_to,
    is_inside_name,
    is_spelled_address,
)

CONNECT_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 60.0
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_CONNECTIONS: Final = 64
PIECE_BYTES: Final = 64 * 1024
# Any other answer of the resolver says that it did not find out.
_NO_SUCH_HOST: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})
_TOKEN: Final = re.compile(r"^[A-Z]{1,16}$")
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade"}
)
_CONNECTION_HEADERS: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection"})


class Refusal(StrEnum):
    """Why a connection was not made."""

    BLOCKED = "Blocked"
    NO_SUCH_HOST = "NoSuchHost"
    UNRESOLVED = "Unresolved"
    UNREACHABLE = "Unreachable"
    TOO_MUCH = "TooMuch"
    TOO_LONG = "TooLong"
    TOO_SLOW = "TooSlow"
    UPSTREAM = "Upstream"
    BAD_REQUEST = "BadRequest"


class RefusedError(Exception):
    """A refused connection. ``detail`` is a clause for people that names no address but the one asked for."""

    def __init__(self, refusal: Refusal, host: str, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.host = host
        self.detail = detail


_STATUS: Final = {
    Refusal.BLOCKED: "403 Forbidden",
    Refusal.NO_SUCH_HOST: "502 Bad Gateway",
    Refusal.UNRESOLVED: "504 Gateway Timeout",
    Refusal.UNREACHABLE: "504 Gateway Timeout",
    Refusal.TOO_MUCH: "413 Content Too Large",
    Refusal.TOO_LONG: "503 Service Unavailable",
    Refusal.TOO_SLOW: "504 Gateway Timeout",
    Refusal.UPSTREAM: "502 Bad Gateway",
    Refusal.BAD_REQUEST: "400 Bad Request",
}


def resolve(host: str, port: int, exceptions: tuple[Network, ...], *, every: bool = False) -> list[str]:
    """The allowed addresses of a host, in the resolver's order; with ``every``, none unless all are allowed.

    Raises :class:`RefusedError`.
    """
    if not is_allowed_port(port):
        raise RefusedError(Refusal.BLOCKED, host, f"Port {port} may not be fetched from")
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise RefusedError(Refusal.BAD_REQUEST, host, "The host is not a valid name") from error
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_HOST:
            raise RefusedError(Refusal.NO_SUCH_HOST, host, f"There is no host named {host.rstrip('.')}") from error
        raise RefusedError(Refusal.UNRESOLVED, host, f"The name {host} cannot be resolved now") from error
    found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    allowed = [address for address in found if is_allowed(address, exceptions)]
    if not allowed or (every and len(allowed) < len(found)):
        raise RefusedError(Refusal.BLOCKED, host, f"{host} is a private or local address")
    return allowed


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """What the proxy lets through, over all connections together, overhead of protocols included.

    ``exceptions`` are networks that may be reached although they are private. ``bytes_per_second`` is a bandwidth, and
    ``seconds`` counts from the start of the proxy; None is no limit. ``upstream`` is the way out where there is no
    direct one.
    """

    exceptions: tuple[Network, ...]
    max_bytes: int
    bytes_per_second: int | None = None
    seconds: float | None = None
    upstream: Upstream | None = None


class FetchProxy:
    """The proxy, running while its context is open. ``url`` is what clients are given.

    After a failure, :attr:`refusals` tells what the proxy itself refused, in order.
    """

    def __init__(self, rules: ProxyRules, log: logging.Logger) -> None:
        self._rules = rules
        self._log = log
        self._pace = Pace(rules.bytes_per_second)
        self._ends = None if rules.seconds is None else time.monotonic() + rules.seconds
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._closed = False
        self._received = 0
        self.refusals: list[RefusedError] = []
        self._server = socket.create_server(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
        self._thread = threading.Thread(target=self._accept, name="fetch-proxy", daemon=True)

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
            threading.Thread(target=self._serve, args=(client,), name="fetch", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, self._tracked(client):
                client.settimeout(IDLE_SECONDS)
                try:
                    self._handle(client)
                except RefusedError as refused:
                    with self._lock:
                        self.refusals.append(refused)
                    self._log.warning("fetch refused: %s: %s", refused.refusal.value, refused.detail)
                    client.sendall(_answer(refused))
        except OSError as error:
            self._log.debug("fetch connection ended: %s", error)
        finally:
            self._slots.release()

    def _handle(self, client: socket.socket) -> None:
        head, rest = _read_head(client)
        request = parse_request(head)
        tunnel = request.method == "CONNECT"
        server, forward = self._connect(request)
        with server, self._tracked(server):
            server.settimeout(IDLE_SECONDS)
            if tunnel:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            server.sendall(forward + rest)
            self._relay(client, server, None if tunnel else AnswerHead())

    def _connect(self, request: ProxyRequest) -> tuple[socket.socket, bytes]:
        """A connection, and what is sent on it first. Raises :class:`RefusedError`."""
        host, port, upstream = request.host, request.port, self._rules.upstream
        if self._received >= self._rules.max_bytes:
            raise RefusedError(Refusal.TOO_MUCH, host, "The byte limit is reached")
        self._check_time()
        try:
            # A proxy chooses among a name's addresses by itself, so that all of them must be allowed.
            addresses = resolve(host, port, self._rules.exceptions, every=upstream is not None)
        except RefusedError as refused:
            # Behind a proxy, the cluster's own DNS often knows no public names.
            if upstream is None or refused.refusal not in (Refusal.NO_SUCH_HOST, Refusal.UNRESOLVED):
                raise
            if is_spelled_address(host):  # in a spelling that our resolver does not read, and the proxy may
                raise RefusedError(Refusal.BLOCKED, host, f"{host} is a private or local address") from refused
            addresses = []
        # What is private and allowed all the same lies inside, where the proxy out is of no use.
        if upstream is not None and all(map(is_allowed, addresses)):
            return _connect_through(upstream, request)
        for address in addresses:
            try:
                return socket.create_connection((address, port), timeout=CONNECT_SECONDS), request.forward
            except OSError as error:
                self._log.debug("no connection to %s port %d: %s", host, port, error)
        raise RefusedError(Refusal.UNREACHABLE, host, f"{host} does not answer on port {port}")

    def _relay(self, client: socket.socket, server: socket.socket, head: AnswerHead | None) -> None:
        """Copy both ways until the server ends or nothing comes for ``IDLE_SECONDS``."""
        readable = [client, server]
        trickle = Trickle(time.monotonic())
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
                if trickle.received(len(data), time.monotonic()):
                    raise self._refused(Refusal.TOO_SLOW, "The source sends next to nothing")
                client.sendall(head.feed(data) if head else data)
            if client in ready:
                data = client.recv(PIECE_BYTES)
                trickle.sent(time.monotonic())
                if data:
                    server.sendall(data)
                else:
                    # The client has said all; what it asked for may still be coming.
                    readable = [server]
                    with contextlib.suppress(OSError):
                        server.shutdown(socket.SHUT_WR)

    def _patience(self) -> float:
        if self._ends is None:
            return IDLE_SECONDS
        return max(0.0, min(IDLE_SECONDS, self._ends - time.monotonic()))

    def _check_time(self) -> None:
        if self._ends is not None and time.monotonic() >= self._ends:
            raise self._refused(Refusal.TOO_LONG, "The time for the download is over")

    def _count(self, number: int) -> None:
        with self._lock:
            self._received += number
            over = self._received > self._rules.max_bytes
            wait = self._pace.wait(number, time.monotonic())
        if over:
            raise self._refused(Refusal.TOO_MUCH, "The byte limit is reached")
        self._check_time()
        if wait > 0:
            self._done.wait(min(wait, self._patience()))

    def _refused(self, refusal: Refusal, detail: str) -> ConnectionAbortedError:
        """Note what ends a connection in its middle, where no answer can be given any more."""
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


class AnswerHead:
    """Tells the client, in the answer's head, that the connection ends with the answer.

    Servers need not say so although they were asked to, and a client that sends its next request on the same
    connection would find it closed.
    """

    def __init__(self) -> None:
        self._waiting: bytes | None = b""

    def feed(self, data: bytes) -> bytes:
        """Take what the server sent; returns what the client gets now."""
        if self._waiting is None:
            return data
        self._waiting += data
        head, end, body = self._waiting.partition(b"\r\n\r\n")
        if not end:
            if len(self._waiting) > MAX_HEAD_BYTES:
                raise ConnectionAbortedError("the head of the answer is too long")
            return b""
        first, *lines = head.split(b"\r\n")
        if first.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):
            # An interim answer; the real one follows.
            self._waiting = b""
            return head + end + self.feed(body)
        self._waiting = None
        kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in _CONNECTION_HEADERS]
        return b"\r\n".join([first, *kept, b"Connection: close"]) + end + body


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """A parsed request. ``forward`` is what the server is sent first: nothing for CONNECT.

    ``absolute`` is the same for another proxy, up to the headers.
    """

    method: str
    host: str
    port: int
    forward: bytes
    absolute: bytes = b""


def parse_request(head: bytes) -> ProxyRequest:
    """Read a request's head, with its empty line. Raises :class:`RefusedError` for what is not a proxy request."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not _TOKEN.match(words[0]) or not words[2].startswith("HTTP/1."):
        raise RefusedError(Refusal.BAD_REQUEST, "", "That is not an HTTP request")
    method, target, _ = words
    if method == "CONNECT":
        host, port = _authority(f"//{target}", default_port=None)
        return ProxyRequest(method, host, port, b"")
    if not target.lower().startswith("http://"):
        raise RefusedError(Refusal.BAD_REQUEST, "", "Only http:// and CONNECT are served")
    host, port = _authority(target, default_port=80)
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [line for line in lines[1:] if line and line.partition(":")[0].strip().lower() not in _HOP_BY_HOP | {"host"}]
    authority = parts.netloc.rpartition("@")[2]
    headers = "\r\n".join([f"Host: {authority}", *kept, "Connection: close", "", ""]).encode("latin-1")
    forward = f"{method} {path} HTTP/1.1\r\n".encode("latin-1") + headers
    absolute = f"{method} http://{authority}{path} HTTP/1.1\r\n".encode("latin-1") + headers
    return ProxyRequest(method, host, port, forward, absolute)


def _connect_through(upstream: Upstream, request: ProxyRequest) -> tuple[socket.socket, bytes]:
    """A way to the host by the administrator's proxy, and what is sent on it first."""
    host = request.host
    if is_inside_name(host):
        raise RefusedError(Refusal.BLOCKED, host, f"{host} is a name inside a network")
    try:
        if request.method == "CONNECT":
            return connect_through(upstream, host, request.port, CONNECT_SECONDS), b""
        line, _, headers = request.absolute.partition(b"\r\n")
        forward = line + b"\r\n" + upstream.header.encode("latin-1") + headers
        return connect_to(upstream, CONNECT_SECONDS), forward
    except UpstreamError as error:
        kind = Refusal.UPSTREAM if error.status in (None, 407) else Refusal.UNREACHABLE
        raise RefusedError(kind, host, str(error)) from error


def _authority(url: str, default_port: int | None) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or default_port
    except ValueError as error:
        raise RefusedError(Refusal.BAD_REQUEST, "", "The address is not valid") from error
    if not parts.hostname or port is None:
        raise RefusedError(Refusal.BAD_REQUEST, "", "The address has no host or port")
    return parts.hostname, port


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """The request's head with its empty line, and what came after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(PIECE_BYTES)
        if not piece:
            raise ConnectionAbortedError("the client sent no request")
        data += piece
        if len(data) > MAX_HEAD_BYTES:
            raise RefusedError(Refusal.BAD_REQUEST, "", "The request's head is too long")
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _answer(refused: RefusedError) -> bytes:
    body = f"{refused.detail}.\n".encode()
    head = (
        f"HTTP/1.1 {_STATUS[refused.refusal]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
