"""Why a request is refused, in the form that the API hands on (RFC 9457)."""

from __future__ import annotations

import errno
import http
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

_log = logging.getLogger(__name__)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
RETRY_SECONDS: Final = 5


class Refusal(Exception):  # noqa: N818 - as the RFC names it, a problem
    """Raise to answer with a problem document. ``kind`` is its stable name."""

    def __init__(self, status: int, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.headers = status, kind, detail, headers or {}


def gone(what: str) -> Refusal:
    """404 for a file; the API knows whether there was one."""
    return Refusal(404, "no-such-file", f"There is no {what} in the store.")


def full() -> Refusal:
    """507."""
    return Refusal(507, "store-full", "The store is full; remove files or ask an administrator for room.")


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error leaves as a problem document; one that comes after the head ends the connection."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return answer(refusal)
    except web.HTTPException as error:
        return answer(Refusal(error.status, "bad-request", error.reason))
    except ConnectionError as error:  # the client has gone, or what we send has become shorter: nobody can be told
        _log.debug("%s %s ended early: %s", request.method, request.path, error)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=400)
    except OSError as error:
        if error.errno in _FULL:
            return answer(full())
        _log.error("%s %s failed: %s", request.method, request.path, error)
        return answer(Refusal(503, "store-failed", "The store does not answer.", {"Retry-After": str(RETRY_SECONDS)}))


def answer(refusal: Refusal) -> web.Response:
    """The HTTP answer. Its connection ends: what is left of a body is not read."""
    body = {
        "type": f"/problems/{refusal.kind}",
        "title": http.HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.detail,
    }
    response = web.Response(
        body=json.dumps(body).encode(),
        status=refusal.status,
        content_type="application/problem+json",
        headers=refusal.headers,
    )
    response.force_close()
    return response
