"""Clients that keep a connection and say nothing, too little, or things of two meanings, over raw sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
import uvicorn

from audiojob_api.http.connection import ConnectionLimits, protocol
from audiojob_api.http.limits import HeadRules
from audiojob_api.http.metrics import Refused

LONG = ConnectionLimits(head_seconds=60, body_seconds=60, send_seconds=60, most=1_000, head_bytes=4_096)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ENDLESS = b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers once it has the whole body, /early before it, and /endless never stops."""
    if scope["path"] != "/early":
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message.get("more_body"):
                break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/endless":
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"fine"})


class _Server(uvicorn.Server):
    def handle_exit(self, *_: Any) -> None:
        """The test's process has handlers of its own."""


@asynccontextmanager
async def serving(limits: ConnectionLimits, count: Callable[[Refused], object] = str) -> AsyncIterator[tuple[int, Any]]:
    """The port of a server with these limits, and its connections."""
    config = uvicorn.Config(
        HeadRules(app, 4_096),
        port=0,
        http=protocol(limits, count),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_level="error",
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server._serve())
    await until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1], server.server_state.connections
    finally:
        server.should_exit = server.force_exit = True
        await task


async def closed(writer: asyncio.StreamWriter) -> None:
    """Leave nothing for the garbage collector to complain about."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def exchange(port: int, content: bytes) -> bytes:
    """What the server answers until it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(content)
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        await closed(writer)


async def _everything(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end; bytes that cross the server's close reset the connection, and may lose its answer."""
    found = b""
    with suppress(ConnectionResetError):
        while chunk := await asyncio.wait_for(reader.read(65_536), 60):
            found += chunk
    return found


async def drip(port: int, content: bytes, slow: bytes) -> tuple[bytes, float]:
    """Send, then a byte now and then for as long as the server takes them; its answer and after how long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()

    async def send() -> None:
        writer.write(content)
        while True:
            writer.write(slow)
            await asyncio.sleep(0.02)

    sending = asyncio.create_task(send())
    try:
        return await _everything(reader), time.monotonic() - began
    finally:
        sending.cancel()
        await closed(writer)


@pytest.mark.parametrize(
    ("content", "slow"),
    [
        (b"", b""),
        (b"", b"G"),
        (b"GET / HTTP/1.1\r\nX: ", b"a"),
        (b"GET / HTTP/1.1\r\n", b"\r\n"[:1]),
        (GET + b"GET / HTTP/1.1\r\nX: ", b"a"),
    ],
    ids=["nothing", "a method without end", "a header without end", "line ends", "a second head without end"],
)
async def test_a_head_has_a_deadline_that_single_bytes_do_not_move(content: bytes, slow: bytes) -> None:
    async with serving(replace(LONG, head_seconds=0.3)) as (port, connections):
        answer, seconds = await drip(port, content, slow)
        assert not answer or b"408 Request Timeout" in answer or b"400 Bad Request" in answer
        assert seconds < LONG.head_seconds
        assert not connections


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n",
        b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
    ],
    ids=["of a length", "in chunks", "after the answer"],
)
async def test_a_body_has_a_deadline_that_single_bytes_do_not_move(head: bytes) -> None:
    async with serving(replace(LONG, body_seconds=0.3)) as (port, connections):
        answer, seconds = await drip(port, head, b"x")
        assert not answer or answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 200 "))
        assert seconds < LONG.head_seconds
        assert not connections


@contextmanager
def connected(port: int, content: bytes) -> Iterator[None]:
    """A client that sends this and then neither sends nor reads."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(content)
        yield


async def test_a_client_that_takes_in_nothing_is_cut_off() -> None:
    counted: list[Refused] = []
    async with serving(replace(LONG, send_seconds=0.3), counted.append) as (port, connections):
        with connected(port, ENDLESS):
            await until(lambda: len(connections) == 1)
            await until(lambda: not connections)
    assert counted == [Refused.SLOW]


async def test_idle_connections_keep_nobody_out() -> None:
    async with serving(replace(LONG, most=20)) as (port, connections):
        with ExitStack() as idle:
            for number in range(100):
                idle.enter_context(connected(port, (b"", b"GET / HT", POST)[number % 3]))
            for _ in range(5):
                answer = await exchange(port, GET.replace(b"Host", b"Connection: close\r\nHost"))
                assert b"fine" in answer
            await until(lambda: len(connections) <= 20)


async def test_a_request_in_progress_is_not_given_up_for_a_new_connection() -> None:
    counted: list[Refused] = []
    async with serving(replace(LONG, most=1), counted.append) as (port, connections):
        with connected(port, ENDLESS):
            await until(lambda: any(each.waiting_since is None for each in connections))
            assert (await exchange(port, GET)).startswith(b"HTTP/1.1 503 ")
            assert len(connections) == 1
        await until(lambda: not connections)
    assert counted == [Refused.FULL]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (POST.replace(b"Host", b"Transfer-Encoding: chunked\r\nHost") + b"0\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 1_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nX : y\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (GET.replace(b"\r\n", b"\n"), 400),
        (b"GET / HTTP/1.1\r\nX: y\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\t5\r\n\r\nabcde", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.9\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
    ],
    ids=[
        "two lengths",
        "chunks in HTTP/1.0",
        "an unknown transfer coding",
        "two Content-Lengths",
        "a length with a sign",
        "a large header",
        "a large address",
        "many headers",
        "a blank before the colon",
        "TLS",
        "lines that end in LF",
        "one line that ends in LF",
        "an empty line that ends in LF",
        "a CR within a line",
        "a folded line",
        "a length on a folded line",
        "two Hosts",
        "no Host",
        "a chunk's size that ends in LF",
        "a chunk that ends in LF",
        "a version that nobody speaks",
        "HTTP/2",
    ],
)
async def test_heads_that_are_refused_end_their_connection(content: bytes, status: int) -> None:
    async with serving(LONG) as (port, _):
        answer = await exchange(port, content + GET)
        heads = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        assert len(heads) == 1, "what follows is not taken for another request"
        assert int(heads[0].split()[1]) in {status, 501 if status == 400 else status}


async def test_a_filter_of_a_million_characters_is_not_read_to_its_end() -> None:
    async with serving(LONG) as (port, _):
        with suppress(ConnectionError):  # its end comes while the client still sends
            answer = await exchange(port, b"GET /?name=" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert not answer or answer.startswith(b"HTTP/1.1 431 ")
        assert (await exchange(port, GET)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1_000])
async def test_lines_are_looked_at_however_a_head_is_cut_into_pieces(size: int) -> None:
    good = POST + b" \n\t\n " + GET.replace(b"Host", b"Connection: close\r\nHost")
    bad = POST + b" \n\t\n " + GET.replace(b"a\r", b"a")
    async with serving(LONG) as (port, _):
        assert (await in_pieces(port, good, size)).count(b"HTTP/1.1 200") == 2
        assert (await in_pieces(port, bad, size)).count(b"HTTP/1.1 200") <= 1, "an answer that was sent can be lost"


async def in_pieces(port: int, content: bytes, size: int) -> bytes:
    """Send so many bytes at a time; what the server answers until it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin in range(0, len(content), size):
            writer.write(content[begin : begin + size])
            await asyncio.sleep(0)
        return await asyncio.wait_for(_everything(reader), 20)
    finally:
        await closed(writer)


async def test_requests_one_after_the_other_are_answered_as_ever() -> None:
    async with serving(replace(LONG, head_seconds=5, body_seconds=5)) as (port, _):
        close = POST.replace(b"Host", b"Connection: close\r\nHost") + b"hello"
        answer = await exchange(port, GET + POST + b"hello" + GET + close)
        assert answer.count(b"HTTP/1.1 200") == 4


async def test_what_is_no_request_is_counted_and_so_is_one_that_never_comes() -> None:
    counted: list[Refused] = []
    async with serving(LONG, counted.append) as (port, _):
        await exchange(port, GET.replace(b"Host", b"Connection: close\r\nHost"))
        assert counted == []
        await exchange(port, GET.replace(b"\r\n", b"\n"))
    async with serving(replace(LONG, head_seconds=0.3), counted.append) as (port, _):
        await exchange(port, b"GET / HTTP/1.1\r\n")
    assert counted == [Refused.UNREADABLE, Refused.SLOW]


async def until(check: Any) -> None:
    """Wait for what the server does next."""
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
