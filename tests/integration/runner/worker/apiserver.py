"""In the place of the API server: takes merge patches of statuses by TLS, and answers as a test says."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from audiojob_dev.cluster.pki import Authority

Answering = Callable[[str, dict[str, Any]], int]
TOKEN = "the-pod's-token"


class StatusServer:
    """What was sent, in order, and what is answered. ``ends`` are the reported ends: job, phase, entry."""

    def __init__(self, folder: Path) -> None:
        self.answering: Answering = lambda _job, _entry: 200
        self.ends: list[tuple[str, str, dict[str, Any]]] = []
        self.begun: list[str] = []
        self.progress: list[str] = []
        self.beginning: Callable[[str], int] = lambda _job: 200
        authority = Authority(folder, datetime.now(UTC))
        pair = authority.issue("server", "server", hosts=["127.0.0.1"])
        self.authority = authority.certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    @property
    def port(self) -> int:
        port: int = self.server.server_address[1]
        return port

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else the body of an answer waits 40 ms for the other side

            def do_PATCH(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                job = self.path.split("/audiojobs/")[1].split("/")[0]
                code = outer.take(job, body) if self.headers["Authorization"] == f"Bearer {TOKEN}" else 401
                content = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Nothing: tests read what was sent."""

        return Handler

    def take(self, job: str, body: dict[str, Any]) -> int:
        ((phase, entry),) = body["status"]["progress"].items()
        if "begun" in entry:
            self.begun.append(job)
            return self.beginning(job)
        if "result" not in entry:
            self.progress.append(job)
            return 200
        code = self.answering(job, entry)
        if code == 200:
            self.ends.append((job, phase, json.loads(entry["result"])))
        return code


@contextmanager
def serving_statuses(folder: Path) -> Iterator[StatusServer]:
    """It answers inside the block."""
    found = StatusServer(folder)
    thread = threading.Thread(target=found.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        found.server.server_close()
        thread.join()
