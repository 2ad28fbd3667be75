"""Connections of the tools' client to an API server: kept, never shared, and made anew where they have ended."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from audiojob_dev.cluster.pki import Authority
from audiojob_dev.rest import Rest, RestError

pytestmark = pytest.mark.integration


class Server(ThreadingHTTPServer):
    """Answers each request with the number of its connection; ``/end`` also ends that, ``/meet`` waits for another."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.opened = 0
        self.busy: dict[str, list[str]] = {}  # what a path is answered with 429, before it is answered
        self.met = threading.Barrier(2, timeout=30)
        self.ended = threading.Event()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.ended.set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.opened += 1
        self.number = str(self.server.opened).encode()

    def do_GET(self) -> None:
        if self.path == "/meet":
            self.server.met.wait()
        status, answer = 200, self.number
        if self.path in self.server.busy:
            status, answer = 429, self.server.busy[self.path].pop().encode()
            self.server.busy = {path: left for path, left in self.server.busy.items() if left}
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = self.path == "/end"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Server, Rest]]:
    """A server and its client."""
    authority = Authority(tmp_path, datetime.now(UTC))
    pair = authority.issue("server", "server", hosts=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with Server() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server, Rest(f"https://127.0.0.1:{server.server_address[1]}", authority.certificate, None)
        server.shutdown()
        thread.join()


def test_calls_in_turn_have_one_connection(served: tuple[Server, Rest]) -> None:
    _, rest = served
    assert [rest.request("GET", "/") for _ in range(3)] == [1, 1, 1]


def test_calls_at_once_have_one_each(served: tuple[Server, Rest]) -> None:
    _, rest = served
    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(lambda _: rest.request("GET", "/meet"), range(2))) == [1, 2]


def test_one_that_the_server_has_ended_is_made_anew(served: tuple[Server, Rest]) -> None:
    server, rest = served
    assert rest.request("GET", "/end") == 1
    assert server.ended.wait(30)
    assert rest.request("GET", "/") == 2


def test_a_type_whose_definition_has_just_changed_is_waited_for(served: tuple[Server, Rest]) -> None:
    server, rest = served
    server.busy["/jobs"] = ['{"message": "storage is (re)initializing"}'] * 2
    assert rest.request("GET", "/jobs") == 1


def test_another_refusal_is_not_tried_again(served: tuple[Server, Rest]) -> None:
    server, rest = served
    server.busy["/pod"] = ['{"message": "it would violate the budget"}'] * 2
    with pytest.raises(RestError, match="429: it would violate the budget"):
        rest.request("GET", "/pod")
    assert len(server.busy["/pod"]) == 1
