"""A small synchronous client of an API server for the tools: client certificates, JSON, nothing else."""

from __future__ import annotations

import http.client
import json
import select
import socket
import ssl
import time
import urllib.parse
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiojob_dev.cluster.pki import KeyPair
from audiojob_dev.errors import DevError

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
_CHANGES = "storage is (re)initializing"


class RestError(Exception):
    """The server's answer of 400 or more; `status` is the HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Rest:
    """One API server. A call takes a connection that no other has: an object may be shared by threads.

    Connections are kept: to open one is more work for client and server than to ask something by it.
    """

    def __init__(self, url: str, authority: Path, client: KeyPair | None, user_agent: str = "audiojob-dev") -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"url {url!r} must name a host and a port")
        self._host, self._port = parts.hostname, parts.port
        self._user_agent = user_agent
        self._context = ssl.create_default_context(cafile=str(authority))
        if client:
            self._context.load_cert_chain(client.certificate, client.key)
        self._idle: deque[http.client.HTTPSConnection] = deque()
        weakref.finalize(self, _close, self._idle)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 30,
    ) -> Any:
        """Send `body` as JSON and return the decoded answer (text where it is not JSON).

        Raises RestError for an answer of 400 or more, OSError where there is no connection. A type whose definition has
        just changed is waited for, as kubectl does.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._request(method, path, body, content_type, accept, timeout)
            except RestError as error:
                if not (error.status == 429 and _CHANGES in str(error)) or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _request(self, method: str, path: str, body: object, content_type: str, accept: str, timeout: float) -> Any:
        headers = {"User-Agent": self._user_agent, "Accept": accept, "Content-Type": content_type}
        with self._connection(timeout) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
            is_json = "json" in response.headers.get("Content-Type", "")
        answer = json.loads(text) if is_json and text else text
        if response.status >= 400:
            raise RestError(response.status, answer["message"] if isinstance(answer, dict) else text)
        return answer

    def apply(self, path: str, body: dict[str, Any]) -> Any:
        """Create or update the object at `path` by server-side apply, as manager `audiojob-dev`."""
        return self.request("PATCH", f"{path}?fieldManager=audiojob-dev&force=true", body, content_type=APPLY_PATCH)

    @contextmanager
    def _connection(self, timeout: float) -> Iterator[http.client.HTTPSConnection]:
        """One for a call, kept for the next unless the call is given up."""
        connection = self._kept(timeout) or http.client.HTTPSConnection(
            self._host, self._port, context=self._context, timeout=timeout
        )
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _kept(self, timeout: float) -> http.client.HTTPSConnection | None:
        """One that the server has not closed."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took it
                break
            if connection.sock is not None and not _ended(connection.sock):
                connection.timeout = timeout
                connection.sock.settimeout(timeout)
                return connection
            connection.close()
        return None


def _ended(sock: socket.socket) -> bool:
    """Whether there is something to read, which before a question can only be the end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _close(connections: deque[http.client.HTTPSConnection]) -> None:
    for connection in connections:
        connection.close()


def wait_until(what: str, check: Callable[[], bool], *, seconds: float, interval: float = 0.1) -> None:
    """Poll `check` until it is true; connection errors and error answers count as "not yet".

    Raises DevError with the last reason after `seconds`.
    """
    deadline = time.monotonic() + seconds
    reason = ""
    while True:
        try:
            if check():
                return
        except (OSError, http.client.HTTPException, RestError) as error:
            reason = f" ({error})"
        if time.monotonic() >= deadline:
            raise DevError(f"{what}: not so after {seconds:.0f} s{reason}.")
        time.sleep(interval)
