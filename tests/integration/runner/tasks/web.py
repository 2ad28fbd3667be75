"""A small web server of our own, on loopback, that can misbehave in every way a server can."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Route = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers from the server's routes, and writes down what was asked."""

    server: Web
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Every request of a download is a GET."""
        path = self.path.partition("?")[0]
        self.server.asked.append((path, dict(self.headers.items())))
        route = self.server.routes.get(path)
        # A client that goes away is what many tests are about.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if route is None:
                self.answer(404, b"not here")
            else:
                route(self)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """One whole answer. Header names are given with underscores."""
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(body)), **given}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing on the screen."""


class Web(ThreadingHTTPServer):
    """Routes by path; ``asked`` lists each request's path and headers."""

    daemon_threads = True

    def __init__(self, host: str) -> None:
        super().__init__((host, 0), Handler)
        self.routes: dict[str, Route] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def serve(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        """Let ``path`` answer so; returns its address."""
        self.routes[path] = lambda handler: handler.answer(status, body, **headers)
        return self.url + path


@contextlib.contextmanager
def running(host: str) -> Iterator[Web]:
    """The server, while the context is open."""
    with Web(host) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield web
        finally:
            web.shutdown()
            thread.join()


def drip(handler: Handler, seconds: float, content_type: str = "audio/mpeg") -> None:
    """Ten bytes a second or so, as long as somebody listens."""
    handler.send_response(200)
    handler.send_header("Content-Type", content_type)
    handler.end_headers()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)
    handler.close_connection = True


def close(handler: Handler) -> None:
    """End the connection in order."""
    handler.close_connection = True


def reset(handler: Handler) -> None:
    """End the connection with an RST and no FIN before it, once all that was sent has arrived."""
    handler.close_connection = True
    deadline = time.monotonic() + 10
    # Until then an RST would take it away again. The call tells how many bytes the other side has not confirmed.
    while struct.unpack("i", fcntl.ioctl(handler.connection, termios.TIOCOUTQ, bytes(4)))[0]:
        assert time.monotonic() < deadline, "the other side does not take what is sent"
        time.sleep(0.001)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Taken away from the server, which would shut the connection down in order first.
    os.close(handler.connection.detach())


def ranged(body: bytes, break_after: int, end: Route = close) -> Route:
    """A route that sends at most so many bytes of a file at once, and knows ranges."""

    def answer(handler: Handler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        fresh = handler.headers.get("If-Range") in (None, '"v1"')
        start = start if fresh else 0
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Type", "audio/mpeg")
        handler.send_header("ETag", '"v1"')
        handler.send_header("Content-Length", str(len(body) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.end_headers()
        handler.wfile.write(body[start : start + break_after])
        end(handler)

    return answer
