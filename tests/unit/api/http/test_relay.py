"""What is passed on ends as it came: an answer that breaks off is never one that looks whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.types import Message

from audiojob_api.files.ports import Answer, Call
from audiojob_api.http.relay import Relay
from audiojob_api.problems import unavailable
from audiojob_store.ticket import Verb


class Breaking:
    """Files whose answers break off after the first bytes."""

    status = 200
    headers: Mapping[str, str] = {"Content-Length": "10"}

    @asynccontextmanager
    async def open(self, _: Call) -> AsyncIterator[Answer]:
        yield self

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"12345"
        raise unavailable("The files service does not answer.")

    async def read(self, limit: int) -> bytes:
        raise NotImplementedError

    async def run(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


async def test_an_answer_that_breaks_off_is_left_unfinished_without_an_error() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    await Relay(Breaking(), Call("music", "GET", "/v1/file", Verb.READ, "a"))({"type": "http"}, receive, send)
    assert [each["type"] for each in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1] == {"type": "http.response.body", "body": b"12345", "more_body": True}
