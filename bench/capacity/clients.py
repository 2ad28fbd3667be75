"""Many clients of the REST API at once, and what they were answered. A process of its own, which goes last."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

_NICE = 5
_THINK_SECONDS = (2.0, 6.0)
_FOLLOWING = 5  # one client of so many follows a job's events
_CALL = aiohttp.ClientTimeout(total=30)
_STREAM = aiohttp.ClientTimeout(total=None, sock_read=60)


@dataclass
class Answered:
    """Statuses (0: none), the time of each answer, and what came by streams."""

    status: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    streams: Counter[int] = field(default_factory=Counter)
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)


def clients(base: str, token: str, count: int, seconds: float) -> Answered:
    """So many of them for so long."""
    os.nice(_NICE)
    return asyncio.run(_clients(base, token, count, seconds))


async def _clients(base: str, token: str, count: int, seconds: float) -> Answered:
    found, end = Answered(), time.monotonic() + seconds
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        base, connector=connector, headers={"Authorization": f"Bearer {token}"}, timeout=_CALL
    ) as session:
        tasks = [_follow if number % _FOLLOWING == 0 else _read for number in range(count)]
        await asyncio.gather(*(each(session, end, found) for each in tasks))
    return found


async def _read(session: aiohttp.ClientSession, end: float, found: Answered) -> None:
    """Look at the newest jobs, then at one of them, as a page does that somebody has open."""
    await asyncio.sleep(random.uniform(0, _THINK_SECONDS[1]))  # noqa: S311 - no secret
    while time.monotonic() < end:
        jobs = await _get(session, "/api/v1/jobs?limit=20", found)
        if jobs:
            await _get(session, f"/api/v1/jobs/{random.choice(jobs)}", found)  # noqa: S311
        await asyncio.sleep(random.uniform(*_THINK_SECONDS))  # noqa: S311


async def _get(session: aiohttp.ClientSession, path: str, found: Answered) -> list[str]:
    """The names in the answer, if it is a list."""
    began = time.monotonic()
    try:
        async with session.get(path) as answer:
            body = await answer.json(content_type=None)
            found.status[answer.status] += 1
    except (aiohttp.ClientError, TimeoutError) as error:
        found.status[0] += 1
        found.faults[type(error).__name__] += 1
        return []
    found.seconds.append(time.monotonic() - began)
    return [each["name"] for each in body.get("items") or ()] if answer.status == 200 else []


async def _follow(session: aiohttp.ClientSession, end: float, found: Answered) -> None:
    """Follow a job's events to its end, then those of another."""
    while time.monotonic() < end:
        jobs = await _get(session, "/api/v1/jobs?state=Running&limit=20", found)
        if jobs:
            await _stream(session, random.choice(jobs), end, found)  # noqa: S311
        await asyncio.sleep(random.uniform(*_THINK_SECONDS))  # noqa: S311


async def _stream(session: aiohttp.ClientSession, name: str, end: float, found: Answered) -> None:
    try:
        async with session.get(f"/api/v1/jobs/{name}/events", timeout=_STREAM) as answer:
            found.streams[answer.status] += 1
            async for line in answer.content:
                found.events += line.startswith(b"event:")
                if time.monotonic() > end:
                    return
    except (aiohttp.ClientError, TimeoutError) as error:
        found.streams[0] += 1
        found.faults[type(error).__name__] += 1
