"""HTTP/1.1 as the egress proxy speaks it, read and written by h11. No I/O.

A client's request is parsed, checked and written anew, head and body: only bytes that belong to this one request reach
the server, so nothing can be smuggled behind it. Of an answer only the head is parsed; its body passes unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import h11

from audiojob_runner.fetch.egress.refusals import bad_request

MAX_HEAD_BYTES: Final = 64 * 1024
_METHOD: Final = re.compile(r"^[A-Z]{1,16}$")
# Headers between a client and its proxy, which the server must not see. Host is set from the checked address.
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"host", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"upgrade"}
)
_CONNECTION_HEADERS: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection"})

_Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """The head of a client's request. ``authority`` is its host and port as written; ``path`` is empty for CONNECT."""

    method: str
    host: str
    port: int
    authority: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]

    @property
    def is_tunnel(self) -> bool:
        """Whether the client wants a connection to speak TLS over."""
        return self.method == "CONNECT"


class ClientSide:
    """Reads one request from a client."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._complete = False

    def head(self, data: bytes) -> ProxyRequest | None:
        """Take the client's next bytes; the request once its head is complete. Raises :class:`RefusedError`."""
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            detail = "The request's head is too long" if error.error_status_hint == 431 else "That is not a request"
            raise bad_request(detail) from error
        return _proxy_request(event) if isinstance(event, h11.Request) else None

    @property
    def rest(self) -> bytes:
        """What arrived behind the head. For a tunnel, these are its first bytes."""
        return self._http.trailing_data[0]

    def body(self, data: bytes) -> list[h11.Data | h11.EndOfMessage]:
        """The parts of the body in the client's next bytes. What follows the request is dropped: one per connection.

        Raises ``ConnectionAbortedError`` for a body that is not framed as its head says.
        """
        parts: list[h11.Data | h11.EndOfMessage] = []
        if self._complete:
            return parts
        try:
            if data:
                self._http.receive_data(data)
            while isinstance(event := self._http.next_event(), h11.Data | h11.EndOfMessage):
                parts.append(event)
                self._complete = isinstance(event, h11.EndOfMessage)
        except h11.RemoteProtocolError as error:
            raise ConnectionAbortedError("the request's body is malformed") from error
        return parts


class ServerSide:
    """Writes the request to a server, or to another proxy, and reads the head of the answer."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._in_body = False

    def request(self, request: ProxyRequest, proxy_headers: _Headers | None = None) -> bytes:
        """The head to send. With ``proxy_headers`` it is for another proxy. Raises :class:`RefusedError`."""
        target = request.path if proxy_headers is None else f"http://{request.authority}{request.path}"
        host, close = (b"Host", request.authority.encode("latin-1")), (b"Connection", b"close")
        headers = [host, *(proxy_headers or ()), *request.headers, close]
        try:
            return self._send(h11.Request(method=request.method, target=target.encode("latin-1"), headers=headers))
        except h11.LocalProtocolError as error:
            raise bad_request("That is not a valid request") from error

    def body(self, parts: list[h11.Data | h11.EndOfMessage]) -> bytes:
        """The parts of the body as the server gets them."""
        return b"".join(map(self._send, parts))

    def answer(self, data: bytes) -> bytes:
        """Take the server's next bytes; what the client gets now.

        The head is made to say that the connection ends with this answer: servers do not always say so, and a client
        that sends its next request on the same connection would find it closed.
        Raises ``ConnectionAbortedError`` for what is not an HTTP answer.
        """
        if self._in_body:
            return data
        ready = b""
        try:
            self._http.receive_data(data)
            while isinstance(event := self._http.next_event(), h11.InformationalResponse):
                ready += _head(event)
        except h11.RemoteProtocolError as error:
            raise ConnectionAbortedError(f"the server's answer is malformed: {error}") from error
        if isinstance(event, h11.Response):
            self._in_body = True
            ready += _head(event, close=True) + self._http.trailing_data[0]
        return ready

    def _send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> bytes:
        return self._http.send(event) or b""


def _proxy_request(head: h11.Request) -> ProxyRequest:
    method, target = head.method.decode("ascii"), head.target.decode("latin-1")
    names = {name for name, _ in head.headers}
    if not _METHOD.match(method) or not head.http_version.startswith(b"1."):
        raise bad_request("That is not an HTTP/1.1 request")
    if {b"content-length", b"transfer-encoding"} <= names:
        raise bad_request("The request gives its length twice")
    if method == "CONNECT":
        host, port = _host_and_port(f"//{target}", default_port=None)
        return ProxyRequest(method, host, port, target, "", ())
    if not target.lower().startswith("http://"):
        raise bad_request("Only http:// and CONNECT are served")
    host, port = _host_and_port(target, default_port=80)
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = tuple((name, value) for name, value in head.headers.raw_items() if name.lower() not in _HOP_BY_HOP)
    return ProxyRequest(method, host, port, parts.netloc.rpartition("@")[2], path, kept)


def _host_and_port(url: str, default_port: int | None) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or default_port
    except ValueError as error:
        raise bad_request("The address is not valid") from error
    if not parts.hostname or port is None:
        raise bad_request("The address has no host or port")
    return parts.hostname, port


def _head(event: h11.InformationalResponse | h11.Response, *, close: bool = False) -> bytes:
    lines = [b"HTTP/1.1 %d %s" % (event.status_code, event.reason)]
    lines += [
        b"%s: %s" % (name, value)
        for name, value in event.headers.raw_items()
        if not close or name.lower() not in _CONNECTION_HEADERS
    ]
    return b"\r\n".join([*lines, *([b"Connection: close"] if close else []), b"", b""])
