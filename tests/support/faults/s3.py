"""A small real proxy in front of an S3 server: answers errors, is slow, cuts connections, changes bytes."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_ERRORS = {
    403: ("AccessDenied", "Access Denied"),
    500: ("InternalError", "We encountered an internal error"),
    503: ("SlowDown", "Please reduce your request rate"),
}
_EXPIRED = ("ExpiredToken", "The provided token has expired")


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``number`` counts those of the same kind, from 1."""

    method: str
    key: str
    query: dict[str, list[str]]
    number: int = 0

    @property
    def kind(self) -> str:
        """What S3 calls it: Put, Get, Head, Delete, List, UploadPart, CreateUpload, CompleteUpload, AbortUpload, …."""
        if "partNumber" in self.query:
            return "UploadPart"
        if "uploads" in self.query:
            return "CreateUpload" if self.method == "POST" else "ListUploads"
        if "uploadId" in self.query:
            return {"POST": "CompleteUpload", "DELETE": "AbortUpload"}.get(self.method, "ListParts")
        if "list-type" in self.query:
            return "List"
        return "DeleteObjects" if self.method == "POST" else self.method.capitalize()


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a request. ``status`` answers it here; ``reset`` cuts it off; the others change what passes.

    ``delay`` is in seconds. ``flip`` changes a byte of the answer's content, ``cut`` ends it half-way, ``spoil``
    changes a byte of what is sent.
    """

    status: int = 0
    expired: bool = False
    reset: bool = False
    delay: float = 0
    flip: bool = False
    cut: bool = False
    spoil: bool = False


Plan = Callable[[Call], Fault | None]


@dataclass
class S3Faults:
    """The running proxy. ``plan`` may be replaced at any time; ``calls`` are all requests so far."""

    endpoint: str
    plan: Plan
    calls: list[Call] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str) -> int:
        """How many requests of that kind came."""
        with self.lock:
            return sum(call.kind == kind for call in self.calls)


class _Server(ThreadingHTTPServer):
    """Knows the plan and the real server."""

    daemon_threads = True
    proxy: S3Faults
    upstream: tuple[str, int]

    def handle_error(self, *_: Any) -> None:
        """Clients that are killed cut their connections."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_any(self) -> None:
        call = _note(self.server.proxy, self.command, self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.proxy.plan(call) or Fault()
        time.sleep(fault.delay)
        if fault.reset:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif fault.status:
            self.refuse(fault)
        else:
            self.forward(_spoilt(content) if fault.spoil else content, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815 - names of the base class

    def refuse(self, fault: Fault) -> None:
        code, message = _EXPIRED if fault.expired else _ERRORS[fault.status]
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(fault.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def forward(self, content: bytes, fault: Fault) -> None:
        # The Host header stays as it is: it is part of what was signed.
        connection = http.client.HTTPConnection(*self.server.upstream, timeout=60)
        try:
            self.pass_on(connection, content, fault)
        finally:
            connection.close()

    def pass_on(self, connection: http.client.HTTPConnection, content: bytes, fault: Fault) -> None:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(content)
        response = connection.getresponse()
        answer = response.read()
        if fault.flip and response.status < 300:
            answer = _spoilt(answer)
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        if "Content-Length" not in response.headers and self.command != "HEAD":
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if fault.cut and response.status < 300:
            self.wfile.write(answer[: len(answer) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Nothing: the calls are recorded."""


@contextmanager
def s3_faults(upstream: str, plan: Plan) -> Iterator[S3Faults]:
    """A proxy to ``upstream`` (``http://host:port``) on the loopback."""
    target = urlsplit(upstream)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.upstream = (target.hostname or "", target.port or 80)
    server.proxy = proxy = S3Faults(f"http://127.0.0.1:{server.server_address[1]}", plan)
    thread = threading.Thread(target=server.serve_forever, name="s3faults", daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _note(proxy: S3Faults, method: str, path: str) -> Call:
    parts = urlsplit(path)
    call = Call(method, parts.path, parse_qs(parts.query, keep_blank_values=True))
    with proxy.lock:
        number = 1 + sum(other.kind == call.kind for other in proxy.calls)
        call = Call(call.method, call.key, call.query, number)
        proxy.calls.append(call)
    return call


def _spoilt(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :] if content else content
