"""Long work in steps, between which others have their turn: one look at 50,000 jobs stops all clients for 10 to 30 ms.

Work is a generator that yields after each step and returns what it comes to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_STEP: Final = 5_000

Steps = Generator[None, None, T]


def portions(rows: Iterable[T]) -> Iterator[list[T]]:
    """All rows as they are at the first step; what changes meanwhile is not seen."""
    every = list(rows)
    return (every[start : start + _STEP] for start in range(0, len(every), _STEP))


class _Work(Generic[T]):
    """Work as a loop over its steps; ``found`` is what it came to, once there are no more."""

    found: T

    def __init__(self, work: Steps[T]) -> None:
        self._work = work

    def __iter__(self) -> Iterator[None]:
        self.found = yield from self._work


def at_once(work: Steps[T]) -> T:
    """What the work comes to."""
    steps = _Work(work)
    for _ in steps:
        pass
    return steps.found


def measured(work: Steps[T]) -> Steps[tuple[T, float]]:
    """The same, and how many seconds its steps took, without the turns of others."""
    steps, seconds, began = _Work(work), 0.0, time.monotonic()
    for _ in steps:
        seconds += time.monotonic() - began
        yield
        began = time.monotonic()
    return steps.found, seconds + time.monotonic() - began


async def in_turns(work: Steps[T]) -> T:
    """The same, with a turn for everybody else after each step."""
    steps = _Work(work)
    for _ in steps:
        await asyncio.sleep(0)
    return steps.found
