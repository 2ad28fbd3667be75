"""The administrator's own proxy, for clusters without direct access to the internet. Its URL comes from a Secret.

It resolves names itself, so an address cannot be pinned. What can be checked is checked: ports, addresses in every
notation, names that this cluster resolves to a private address, and names that only exist inside a network.
"""

from __future__ import annotations

import base64
import socket
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

import h11

MAX_ANSWER_BYTES: Final = 64 * 1024


class UpstreamError(Exception):
    """The administrator's proxy did not connect. ``status`` is that of its answer, None if there was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the proxy is. ``authorization`` is the value of its header, empty if it needs none."""

    host: str
    port: int
    authorization: str = ""

    def __repr__(self) -> str:
        return f"Upstream({self.host}:{self.port})"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that a request to it needs."""
        return [(b"Proxy-Authorization", self.authorization.encode("latin-1"))] if self.authorization else []


def parse_upstream(text: str) -> Upstream:
    """The proxy that ``http://user:password@host:port`` names. Raises ``ValueError``, which never shows the text."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError("it is not a valid URL") from None
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("it is not of the form http://host:port")
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return Upstream(parts.hostname, port or 80, authorization)


def connect_to(upstream: Upstream, seconds: float) -> socket.socket:
    """A connection to the proxy itself. Raises :class:`UpstreamError`."""
    try:
        return socket.create_connection((upstream.host, upstream.port), timeout=seconds)
    except OSError as error:
        raise UpstreamError("The administrator's proxy does not answer") from error


def connect_through(upstream: Upstream, host: str, port: int, seconds: float) -> socket.socket:
    """A tunnel through the proxy. Raises :class:`UpstreamError`."""
    connection = connect_to(upstream, seconds)
    try:
        authority = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode("latin-1")
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER_BYTES)
        request = h11.Request(method="CONNECT", target=authority, headers=[(b"Host", authority), *upstream.headers])
        connection.sendall(http.send(request) or b"")
        status = _read_status(connection, http, time.monotonic() + seconds)
    except h11.ProtocolError as error:
        connection.close()
        raise UpstreamError("The administrator's proxy does not speak HTTP") from error
    except (OSError, UnicodeError) as error:
        connection.close()
        raise UpstreamError("The administrator's proxy broke off the connection") from error
    except UpstreamError:
        connection.close()
        raise
    if not 200 <= status < 300:
        connection.close()
        raise UpstreamError(f"The administrator's proxy does not connect to {host}: status {status}", status)
    return connection


def _read_status(connection: socket.socket, http: h11.Connection, deadline: float) -> int:
    """Read the head of the answer, byte by byte: what follows belongs to the tunnel."""
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        http.receive_data(connection.recv(1))
        while (event := http.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Response):
                return event.status_code
            if not isinstance(event, h11.InformationalResponse):
                raise UpstreamError("The administrator's proxy does not speak HTTP")
    raise UpstreamError("The administrator's proxy does not answer in time")
