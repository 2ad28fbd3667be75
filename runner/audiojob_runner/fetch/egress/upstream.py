"""The administrator's own proxy, where a cluster has no direct way out. What it is told is in a Secret.

It resolves names by itself, so an address cannot be pinned. What stays: ports, addresses in every spelling, names
that this cluster resolves to something private, and names that only mean something inside a network.
"""

from __future__ import annotations

import base64
import re
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

MAX_ANSWER_BYTES: Final = 64 * 1024
_STATUS: Final = re.compile(rb"^HTTP/1\.[01] (\d{3})")
# Names that mean a host of the network that one is in: the proxy would ask its own.
_INSIDE: Final = (
    "localhost", "local", "localdomain", "internal", "intranet", "lan", "corp", "home", "private", "svc", "arpa",
)  # fmt: skip


class UpstreamError(Exception):
    """The administrator's proxy gives no connection. ``status`` is its answer, None where there was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the proxy is. ``authorization`` is the value of its header, empty where it asks for none."""

    host: str
    port: int
    authorization: str = ""

    def __repr__(self) -> str:
        return f"Upstream({self.host}:{self.port})"

    @property
    def header(self) -> str:
        """The header line for it, with its end, or nothing."""
        return f"Proxy-Authorization: {self.authorization}\r\n" if self.authorization else ""


def parse_upstream(text: str) -> Upstream:
    """The proxy that ``http://user:password@host:port`` names. Raises ``ValueError``, which never tells the text."""
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


def is_inside_name(host: str) -> bool:
    """Whether a name means a host of one's own network: one word alone, or an ending that the internet has not."""
    labels = host.rstrip(".").lower().split(".")
    if ":" in host or labels[-1].isdecimal():  # an address, which is judged as such
        return False
    return len(labels) < 2 or labels[-1] in _INSIDE


def is_spelled_address(host: str) -> bool:
    """Whether a host is written as numbers, in any spelling: such a one is no name, whatever stands behind it."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    return ":" in host or last.isdecimal() or last.startswith("0x")


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
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{upstream.header}\r\n"
        connection.sendall(head.encode("latin-1"))
        status = _read_status(connection)
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


def _read_status(connection: socket.socket) -> int:
    """Read the answer's head and nothing behind it: what follows belongs to the tunnel."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte or len(answer) > MAX_ANSWER_BYTES:
            break
        answer += byte
    found = _STATUS.match(answer)
    if found is None or not answer.endswith(b"\r\n\r\n"):
        raise UpstreamError("The administrator's proxy does not speak HTTP")
    return int(found[1])
