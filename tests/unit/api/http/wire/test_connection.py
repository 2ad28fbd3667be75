"""How answers leave, and which heads are read; connections themselves are in the integration tests."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import h11
import pytest

from audiojob_api.http.connection import JoinedWrites, StrictConnection


class _Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        assert not self.closing
        self.sent.append(data)

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 5

    def close(self) -> None:
        self.closing = True


@pytest.fixture
def below() -> _Transport:
    return _Transport()


@pytest.fixture
async def joined(below: _Transport) -> JoinedWrites:
    return JoinedWrites(cast("asyncio.Transport", below), asyncio.get_running_loop())


async def test_a_head_leaves_with_its_body(below: _Transport, joined: JoinedWrites) -> None:
    joined.write(b"head")
    assert (below.sent, joined.get_write_buffer_size()) == ([], 9)
    joined.write(b"body")
    joined.write(b"")
    assert below.sent == [b"headbody"]
    await asyncio.sleep(0)
    assert below.sent == [b"headbody"]


async def test_a_head_waits_for_no_body(below: _Transport, joined: JoinedWrites) -> None:
    joined.write(b"head")
    await asyncio.sleep(0)
    assert below.sent == [b"head"], "an event stream begins before its first event"


async def test_much_is_never_held(below: _Transport, joined: JoinedWrites) -> None:
    much = bytes(65_536)
    for _ in range(3):
        joined.write(much)
    assert below.sent == [much] * 3


async def test_what_is_held_leaves_before_the_end_and_never_after_it(below: _Transport, joined: JoinedWrites) -> None:
    joined.write(b"last")
    joined.close()
    assert (below.sent, below.closing) == ([b"last"], True)
    joined.write(b"more")
    await asyncio.sleep(0)
    assert below.sent == [b"last"], "the client has gone"


@pytest.mark.parametrize(
    ("head", "body", "is_read"),
    [
        pytest.param(b"A: b\r\n", b"", True, id="plain lines"),
        pytest.param(b"A: b\r\n", b'{\n "a": 1}\r', True, id="any lines in the body"),
        pytest.param(b"A: b\r\n", b"\r\n\tx", True, id="a body that looks folded"),
        pytest.param(b"A: b\n", b"", False, id="a bare LF"),
        pytest.param(b"A: b\rB: c\r\n", b"", False, id="a bare CR"),
        pytest.param(b"A: b\r\n c\r\n", b"", False, id="folded by a space"),
        pytest.param(b"A: b\r\n\tc\r\n", b"", False, id="folded by a tab"),
        pytest.param(b"A: b\nB: c\r\r\n", b"", False, id="as many LF as CR"),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 4_096], ids=["byte by byte", "in pieces", "at once"])
def test_heads_have_plain_lines(head: bytes, body: bytes, is_read: bool, step: int) -> None:
    content = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), head, body)
    connection, events = StrictConnection(h11.SERVER, 4_096), list[Any]()

    def read() -> None:
        for start in range(0, len(content), step):
            connection.receive_data(content[start : start + step])
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                events.append(event)

    if not is_read:
        with pytest.raises(h11.RemoteProtocolError):
            read()
        return
    read()
    assert b"".join(bytes(each.data) for each in events if isinstance(each, h11.Data)) == body
    assert isinstance(events[-1], h11.EndOfMessage)
