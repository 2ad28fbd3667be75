"""Long work in steps, between which others have their turn: one look at 50,000 jobs stops all clients for 10 to 30 ms.

Work is a generator that yields after each step and returns what it comes to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

_STEP: Final = 5_000

Steps = Generator[None, None, T]


def portions(rows: Iterable[T]) -> Iterator[list[T]]:
    """All rows as they are at the first step; what changes meanwhile is not seen."""
    every = list(rows)
    return (every[start : start + _STEP] for start in range(0, len(every), _STEP))


def at_once(work: Steps[T]) -> T:
    """What the work comes to."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found


def measured(work: Steps[T]) -> Steps[tuple[T, float]]:
    """The same, and how many seconds its steps took, without the turns of others."""
    seconds = 0.0
    while True:
        began = time.monotonic()
        try:
            next(work)
        except StopIteration as end:
            return end.value, seconds + time.monotonic() - began
        seconds += time.monotonic() - began
        yield


async def in_turns(work: Steps[T]) -> T:
    """The same, with a turn for everybody else after each step."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found
        await asyncio.sleep(0)
