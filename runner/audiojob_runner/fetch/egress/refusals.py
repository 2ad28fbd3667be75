"""Why the egress proxy refuses a connection, and the answer that its client gets. No I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Refusal(StrEnum):
    """Why a connection was not made, or was ended."""

    BLOCKED = "Blocked"
    NO_SUCH_HOST = "NoSuchHost"
    UNRESOLVED = "Unresolved"
    UNREACHABLE = "Unreachable"
    TOO_MUCH = "TooMuch"
    TOO_LONG = "TooLong"
    TOO_SLOW = "TooSlow"
    UPSTREAM = "Upstream"
    BAD_REQUEST = "BadRequest"


_STATUS: Final = {
    Refusal.BLOCKED: "403 Forbidden",
    Refusal.NO_SUCH_HOST: "502 Bad Gateway",
    Refusal.UNRESOLVED: "504 Gateway Timeout",
    Refusal.UNREACHABLE: "504 Gateway Timeout",
    Refusal.TOO_MUCH: "413 Content Too Large",
    Refusal.TOO_LONG: "503 Service Unavailable",
    Refusal.TOO_SLOW: "504 Gateway Timeout",
    Refusal.UPSTREAM: "502 Bad Gateway",
    Refusal.BAD_REQUEST: "400 Bad Request",
}


class RefusedError(Exception):
    """A refused connection. ``detail`` is a clause for people that names no address but the requested one."""

    def __init__(self, refusal: Refusal, host: str, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.host = host
        self.detail = detail

    def answer(self) -> bytes:
        """The HTTP answer to the client."""
        body = f"{self.detail}.\n".encode()
        head = (
            f"HTTP/1.1 {_STATUS[self.refusal]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode("latin-1") + body


class UnknownHostError(RefusedError):
    """The resolver knows no such host; a proxy of the administrator may. To the client it is as :func:`not_public`."""

    def __init__(self, host: str) -> None:
        super().__init__(Refusal.NO_SUCH_HOST, host, f"There is no public host named {host.rstrip('.')}")


def not_public(host: str) -> RefusedError:
    """The refusal of a name that leads to a private address.

    The same answer as for a name that does not exist: whoever asks must not learn which services there are.
    """
    same = UnknownHostError(host)
    return RefusedError(same.refusal, same.host, same.detail)


def bad_request(detail: str) -> RefusedError:
    """The refusal of something that is not a request to a proxy."""
    return RefusedError(Refusal.BAD_REQUEST, "", detail)
