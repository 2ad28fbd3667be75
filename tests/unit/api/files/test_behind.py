"""Work behind the loop: in order, never more than told in memory, and its errors reach who puts."""

from __future__ import annotations

import asyncio
import threading

import pytest

from audiojob_files.uploads.behind import Behind


async def test_pieces_are_worked_on_in_their_order() -> None:
    seen: list[bytes] = []
    behind = Behind(seen.append, most=3)
    pieces = [b"%d" % number for number in range(200)]
    for piece in pieces:
        await behind.put(piece)
    await behind.end()
    assert seen == pieces


async def test_who_puts_waits_for_room() -> None:
    gate = threading.Event()

    def work(_: bytes) -> None:
        gate.wait(30)

    behind = Behind(work, most=4)
    await behind.put(b"1234")
    waiting = asyncio.create_task(behind.put(b"5"))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    await waiting
    await behind.end()


async def test_an_error_of_the_work_reaches_who_puts_or_ends() -> None:
    def work(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    behind = Behind(work, most=1)
    await behind.put(b"12")  # more than has room: it waits, and the error frees it
    with pytest.raises(OSError, match="No space left"):
        await behind.put(b"3")
    with pytest.raises(OSError, match="No space left"):
        await behind.end()
    await behind.drop()


async def test_what_is_dropped_is_not_worked_on_and_the_piece_at_work_is_waited_for() -> None:
    begun, gate, seen = threading.Event(), threading.Event(), list[bytes]()

    def work(piece: bytes) -> None:
        begun.set()
        gate.wait(30)
        seen.append(piece)

    behind = Behind(work, most=4)
    await behind.put(b"1")
    await behind.put(b"2")
    await asyncio.to_thread(begun.wait, 30)
    asyncio.get_running_loop().call_soon(gate.set)
    await behind.drop()
    assert seen == [b"1"]


async def test_little_waits_for_more_or_for_the_end() -> None:
    seen, begun = list[bytes](), threading.Event()

    def work(piece: bytes) -> None:
        begun.set()
        seen.append(piece)

    behind = Behind(work, most=16)
    for piece in (b"1", b"2", b"3"):
        await behind.put(piece)
    assert not begun.is_set()
    await behind.put(b"4")
    await asyncio.to_thread(begun.wait, 30)
    await behind.put(b"5")
    await behind.end()
    assert seen == [b"1", b"2", b"3", b"4", b"5"]


async def test_an_error_at_the_end_is_raised_too() -> None:
    def work(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    behind = Behind(work, most=100)
    await behind.put(b"1")
    with pytest.raises(OSError, match="No space left"):
        await behind.end()
    await behind.drop()
