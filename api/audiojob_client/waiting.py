"""Waiting, in both forms: what the asynchronous modules call ``a_…`` has its plain twin here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Taken = ParamSpec("Taken")
Given = TypeVar("Given")


async def a_pause(seconds: float) -> None:
    """Wait, while other tasks go on."""
    await asyncio.sleep(seconds)


def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


async def a_run(function: Callable[Taken, Given], *args: Taken.args, **kwargs: Taken.kwargs) -> Given:
    """What reads or writes files, in a thread, so that the loop goes on."""
    return await asyncio.to_thread(function, *args, **kwargs)


def run(function: Callable[Taken, Given], *args: Taken.args, **kwargs: Taken.kwargs) -> Given:
    """The same, at once."""
    return function(*args, **kwargs)
