"""The way out: a proxy on loopback that all fetching goes through, ours and yt-dlp's.

It resolves each host itself, connects only to addresses that :mod:`addresses` allows, and connects to the very
address it checked, so that a name which answers differently the second time gains nothing. Redirects come back as
new requests and are checked like the first. It also counts bytes, and ends every connection above the limit.

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
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from audiojob_runner.addresses import Network, is_allowed, is_allowed_port

CONNECT_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 60.0
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_CONNECTIONS: Final = 64
PIECE_BYTES: Final = 64 * 1024
_TOKEN: Final = re.compile(r"^[A-Z]{1,16}$")
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade"}
)
_CONNECTION_HEADERS: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection"})


class Refusal(StrEnum):
    """Why a connection was not made."""

    BLOCKED = "Blocked"
    NO_SUCH_HOST = "NoSuchHost"
    UNREACHABLE = "Unreachable"
    TOO_MUCH = "TooMuch"
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
    Refusal.UNREACHABLE: "504 Gateway Timeout",
    Refusal.TOO_MUCH: "413 Content Too Large",
    Refusal.BAD_REQUEST: "400 Bad Request",
}


def resolve(host: str, port: int, exceptions: tuple[Network, ...]) -> list[str]:
    """The allowed addresses of a host, in the resolver's order. Raises :class:`RefusedError`."""
    if not is_allowed_port(port):
        raise RefusedError(Refusal.BLOCKED, host, f"Port {port} may not be fetched from")
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise RefusedError(Refusal.BAD_REQUEST, host, "The host is not a valid name") from error
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise RefusedError(Refusal.UNREACHABLE, host, f"The name {host} cannot be resolved now") from error
        raise RefusedError(Refusal.NO_SUCH_HOST, host, f"There is no host named {host.rstrip('.')}") from error
    found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    allowed = [address for address in found if is_allowed(address, exceptions)]
    if not allowed:
        raise RefusedError(Refusal.BLOCKED, host, f"{host} is a private or local address")
    return allowed


class FetchProxy:
    """The proxy, running while its context is open. ``url`` is what clients are given.

    ``max_bytes`` bounds what is received in all, over every connection, protocol overhead included.
    After a failure, :attr:`refusals` tells what the proxy itself refused, in order.
    """

    def __init__(self, exceptions: tuple[Network, ...], max_bytes: int, log: logging.Logger) -> None:
        self._exceptions = exceptions
        self._max_bytes = max_bytes
        self._log = log
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
        with self._connect(request.host, request.port) as upstream, self._tracked(upstream):
            upstream.settimeout(IDLE_SECONDS)
            if request.method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            upstream.sendall(request.forward + rest)
            self._relay(client, upstream, AnswerHead() if request.forward else None)

    def _connect(self, host: str, port: int) -> socket.socket:
        if self._received >= self._max_bytes:
            raise RefusedError(Refusal.TOO_MUCH, host, "The byte limit is reached")
        for address in resolve(host, port, self._exceptions):
            try:
                return socket.create_connection((address, port), timeout=CONNECT_SECONDS)
            except OSError as error:
                self._log.debug("no connection to %s port %d: %s", host, port, error)
        raise RefusedError(Refusal.UNREACHABLE, host, f"{host} does not answer on port {port}")

    def _relay(self, client: socket.socket, upstream: socket.socket, head: AnswerHead | None) -> None:
        """Copy both ways until the server ends or nothing comes for ``IDLE_SECONDS``."""
        readable = [client, upstream]
        while True:
            ready, _, _ = select.select(readable, [], [], IDLE_SECONDS)
            if not ready:
                return
            if upstream in ready:
                data = upstream.recv(PIECE_BYTES)
                if not data:
                    return
                self._count(len(data))
                client.sendall(head.feed(data) if head else data)
            if client in ready:
                data = client.recv(PIECE_BYTES)
                if data:
                    upstream.sendall(data)
                else:
                    # The client has said all; what it asked for may still be coming.
                    readable = [upstream]
                    with contextlib.suppress(OSError):
                        upstream.shutdown(socket.SHUT_WR)

    def _count(self, number: int) -> None:
        with self._lock:
            self._received += number
            over = self._received > self._max_bytes
            if over:
                self.refusals.append(RefusedError(Refusal.TOO_MUCH, "", "The byte limit is reached"))
        if over:
            raise ConnectionAbortedError("the byte limit is reached")

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
    """A parsed request. ``forward`` is what the server is sent first: nothing for CONNECT."""

    method: str
    host: str
    port: int
    forward: bytes


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
    forward = [f"{method} {path} HTTP/1.1", f"Host: {authority}", *kept, "Connection: close", "", ""]
    return ProxyRequest(method, host, port, "\r\n".join(forward).encode("latin-1"))


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
