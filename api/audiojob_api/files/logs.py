"""Logs of phases: which attempt is meant, and following it while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from audiojob_api.files.ports import Call, Files
from audiojob_api.problems import Problem
from audiojob_store.ticket import NEXT_PIECE, Verb
from audiojob_types.resources.job import FINISHED_STATES, PhaseState

Object = dict[str, Any]

FOLLOW_SECONDS: Final = 3.0
MAX_PIECE_BYTES: Final = 4 * 1024 * 1024
_DONE: Final = frozenset({PhaseState.SUCCEEDED, PhaseState.FAILED, PhaseState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a phase of a job."""

    job: Object
    phase: str
    number: int


def attempt_of(job: Object, phase: str | None, number: int | None) -> Attempt:
    """The attempt that is meant: of the phase that failed, else of the last that started, the newest one.

    Raises a 404 Problem for a phase or an attempt that there is none of.
    """
    phases = job.get("status", {}).get("phases", [])
    failed = (job.get("status", {}).get("error") or {}).get("phase")
    started = [each["name"] for each in phases if each.get("attempt", 0) > 0]
    name = phase or failed or (started[-1] if started else None)
    found = next((each for each in phases if each["name"] == name), None)
    if found is None:
        known = ", ".join(each["name"] for each in phases) or "none yet"
        raise Problem(404, "no-such-phase", f"phase: the job has no such phase that has started; it has {known}.")
    newest = found.get("attempt", 0)
    if newest == 0:
        raise Problem(404, "no-log", f"Phase {found['name']} has not run in this job: it waits, or was taken over.")
    if number is not None and number > newest:
        raise Problem(404, "no-log", f"attempt: phase {found['name']} has had {newest}.")
    return Attempt(job, found["name"], number or newest)


def goes_on(job: Object | None, attempt: Attempt) -> bool:
    """Whether lines may still come."""
    if job is None or job.get("status", {}).get("state") in FINISHED_STATES:
        return False
    found = (each for each in job["status"].get("phases", []) if each["name"] == attempt.phase)
    phase: Object = next(found, {})
    return phase.get("attempt", 0) == attempt.number and phase.get("state") not in _DONE


def log_call(namespace: str, attempt: Attempt, query: str) -> Call:
    """The request for a log; ``query`` says which lines."""
    uid = attempt.job["metadata"]["uid"]
    key = f"{namespace}/{uid}/{attempt.phase}/{attempt.number}-"
    return Call(namespace, "GET", f"/v1/log{query}", Verb.LOG, key)


@dataclass(frozen=True, slots=True)
class Piece:
    """New lines, and the number that comes next."""

    text: str
    next: int


@dataclass(frozen=True, slots=True)
class LogFollowing:
    """One client that follows one log. ``find`` gives the job as it is now; ``check`` raises once it may not go on."""

    files: Files
    namespace: str
    attempt: Attempt
    find: Callable[[], Awaitable[Object | None]]
    check: Callable[[], Awaitable[None]]
    stopping: asyncio.Event

    async def pieces(self, start: int) -> AsyncGenerator[Piece | None, None]:
        """What is there, then what comes, until the attempt has ended; None where nothing came for a while.

        One piece is asked for at a time: clients that follow long logs must not fill the memory.
        """
        at = start
        while not self.stopping.is_set():
            on = goes_on(await self.find(), self.attempt)
            piece = await self._since(at)
            if piece is not None:
                at = piece.next
                yield piece
                continue
            if not on:
                return
            yield None
            try:
                async with asyncio.timeout(FOLLOW_SECONDS):
                    await self.stopping.wait()
            except TimeoutError:
                await self.check()

    async def _since(self, at: int) -> Piece | None:
        try:
            async with self.files.open(log_call(self.namespace, self.attempt, f"?from={at}&most=1")) as answer:
                content = await answer.read(MAX_PIECE_BYTES)
                following = max(at + 1, int(answer.headers.get(NEXT_PIECE, at)))
        except Problem as problem:
            if problem.status == 404:  # it has written none yet
                return None
            raise
        return Piece(content.decode("utf-8", "replace"), following) if content else None
