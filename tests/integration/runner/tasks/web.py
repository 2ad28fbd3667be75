"""A small web server of our own, on loopback, that can misbehave in every way a server can."""

from __future__ import annotations

import contextlib
import socket
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


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
