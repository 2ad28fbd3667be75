"""Requests are bounded before anything parses them."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiojob_api.http.errors import answer
from audiojob_api.problems import Problem

_LENGTH_DIGITS = 18


class BodyLimit:
    """ASGI middleware: a body over ``max_bytes`` is answered with 413, whether its length was declared or not.

    A WebSocket has no body; its server limits the size of a message.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._detail = f"The body is larger than {max_bytes} bytes."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        # Its text is checked first: Python refuses to convert a number of thousands of digits.
        if not declared.isdigit() or len(declared) > _LENGTH_DIGITS or int(declared) > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                raise HTTPException(413, self._detail)  # the one exception that FastAPI lets through while it reads
            return message

        await self._app(scope, counted, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(Problem(413, "request-entity-too-large", self._detail))(scope, receive, send)
