"""Connections that end in time: uvicorn waits without limit for heads, for bodies, and for clients that do not read.

HTTP is parsed by h11 alone, which gets no head whose lines others may see elsewhere. What a request says is judged by
the middleware of `limits`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from audiojob_api.files.multipart import is_form
from audiojob_api.http.metrics import Refused

_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

# A line that does not end in CR LF, a CR inside one, and one that continues the line before.
_BAD_LINES: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\n[ \t]")
_HEAD_END: Final = re.compile(rb"\n\r?\n")  # as h11 looks for it
_LONGEST_MARK: Final = 3  # bytes, of what these find
_HELD_BYTES: Final = 16 * 1024

# A part of an upload, and a job with its file, may have large bodies: as long as so much of one comes in the time for a
# body, it is waited for.
_UPLOAD: Final = re.compile(r"/api/v1/uploads/[^/]+/parts/[^/]+")
_JOBS: Final = "/api/v1/jobs"
_STEP_BYTES: Final = 256 * 1024


def is_upload(method: str, path: str) -> bool:
    """Whether a request carries a part of an upload. A path decides, so that no header can."""
    return method == "PUT" and _UPLOAD.fullmatch(path) is not None


def carries_job_and_file(scope: Mapping[str, Any]) -> bool:
    """Whether a request is a job with its file, as a form. Its own route takes such requests and keeps none of a body;
    the router asks the same question, so that no header lets a large body reach another route.
    """
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != _JOBS:
        return False
    given = [value for name, value in scope["headers"] if name == b"content-type"]
    return len(given) == 1 and is_form(given[0].decode("latin-1"))


def _is_large(scope: Mapping[str, Any]) -> bool:
    return is_upload(scope["method"], scope["path"]) or carries_job_and_file(scope)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Seconds for a head, for a body, and for taking in some of an answer; connections at the same time.

    ``head_bytes`` is the most that is kept of a head that is not complete.
    """

    head_seconds: float
    body_seconds: float
    send_seconds: float
    most: int
    head_bytes: int


def protocol(limits: ConnectionLimits, count: Callable[[Refused], object]) -> Callable[..., asyncio.Protocol]:
    """What uvicorn makes one of for each connection. ``count`` is called with why one was ended."""
    return partial(LimitedProtocol, limits, count)


class StrictConnection(h11.Connection):
    """h11 without what it forgives in heads: a proxy that sees other lines there sees other requests."""

    _seen = 0  # bytes of the head that have been looked at

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Raises RemoteProtocolError for a bare LF or CR in a head, and for a line that is folded."""
        if self.their_state is h11.IDLE:
            self._check_lines(self.trailing_data[0])
        else:
            self._seen = 0
        return super().next_event()

    def _check_lines(self, received: bytes) -> None:
        ends, folded = received.count(b"\r\n"), b"\n " in received or b"\n\t" in received
        if not folded and ends == received.count(b"\n") == received.count(b"\r"):
            self._seen = len(received)  # the usual case, in a tenth of the time
            return
        start = max(0, self._seen - _LONGEST_MARK)
        end = _HEAD_END.search(received, start)
        if _BAD_LINES.search(received, start, end.end() if end else len(received)):
            raise h11.RemoteProtocolError("lines of a head must end in CR LF and must not be folded")
        self._seen = len(received)


class JoinedWrites:
    """A transport that sends a small write together with the next one, or at the end of this turn of the loop.

    uvicorn writes an answer's head and its body apart: two calls of the kernel, and two moments for the client to wake.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send it, or hold it for a moment."""
        if not data:
            return
        if self._held:
            data, self._held = self._held + data, b""
        elif len(data) <= _HELD_BYTES:
            self._held = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def get_write_buffer_size(self) -> int:
        """What is held is not sent either."""
        return len(self._held) + self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Send what is held, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol with a deadline for whatever the client has to do next.

    With too many connections the one goes that has sent no whole request for longest, so that idle ones do not keep
    others out; where all are being answered, the new one goes.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        count: Callable[[Refused], object],
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = StrictConnection(h11.SERVER, limits.head_bytes)
        self._limits = limits
        self._count = count
        self._waiting_for: object = None
        self._came = 0  # bytes, over all requests
        self._receive_deadline: asyncio.TimerHandle | None = None
        self._send_deadline: asyncio.TimerHandle | None = None
        self.waiting_since: float | None = None
        """When the client began to owe a part of a request; None while it has one in progress."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to wait for a head, if there is room."""
        super().connection_made(cast("asyncio.Transport", JoinedWrites(transport, self.loop)))
        self._watch()
        if len(self.connections) > self._limits.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind: it would keep the whole connection in memory."""
        self._stop_waiting()
        self.resume_writing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Look what is still to come."""
        super().data_received(data)
        self._came += len(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of a body that the answer did not wait for."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Give a client that takes in nothing some time."""
        super().pause_writing()
        if self._send_deadline is None:
            self._send_deadline = self.loop.call_later(self._limits.send_seconds, self._give_up)

    def resume_writing(self) -> None:
        """It goes on."""
        super().resume_writing()
        if self._send_deadline is not None:
            self._send_deadline.cancel()
            self._send_deadline = None

    def send_400_response(self, msg: str) -> None:
        """Answer what h11 cannot read, or will not."""
        self._count(Refused.UNREADABLE)
        super().send_400_response(msg)

    def drop(self, answer: bytes, reason: Refused) -> None:
        """End the connection; a client that still waits for an answer gets this one."""
        if self.transport.is_closing():
            return
        self._count(reason)
        self._stop_waiting()  # it makes room once only
        if self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(answer)
        self.transport.close()

    def _give_up(self) -> None:
        self._count(Refused.SLOW)
        self.transport.abort()

    def _watch(self) -> None:
        """One deadline for each part of each request, and each step of an upload: a byte now and then moves none."""
        state = self.conn.their_state
        if self.transport.is_closing() or state not in (h11.IDLE, h11.SEND_BODY):
            self._stop_waiting()
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        large = state is h11.SEND_BODY and cycle is not None and _is_large(cycle.scope)
        part = (state, self.cycle, self._came // _STEP_BYTES if large else 0)
        if part != self._waiting_for:
            self._stop_waiting()
            seconds = self._limits.head_seconds if state is h11.IDLE else self._limits.body_seconds
            self._waiting_for = part
            self.waiting_since = self.loop.time()
            self._receive_deadline = self.loop.call_later(seconds, self.drop, _TOO_SLOW, Refused.SLOW)

    def _stop_waiting(self) -> None:
        self._waiting_for = self.waiting_since = None
        if self._receive_deadline is not None:
            self._receive_deadline.cancel()
            self._receive_deadline = None

    def _make_room(self) -> None:
        others = (each for each in self.connections if isinstance(each, LimitedProtocol) and each is not self)
        waiting = [(each.waiting_since, each) for each in others if each.waiting_since is not None]
        if waiting:
            min(waiting, key=lambda pair: pair[0])[1].drop(_TOO_SLOW, Refused.FULL)
        else:
            self.drop(_BUSY, Refused.FULL)
