"""Limits of users as the API asks for them: a place for each job before it is made, given back when it is refused."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Final

from audiojob_api.access.authorizer import Identity
from audiojob_api.access.config import Limits, Tier
from audiojob_api.access.limits.later import or_log
from audiojob_api.access.limits.ledger import Answer, Bounds, Exceeded, Ledger, Open, Wish
from audiojob_api.access.limits.left import Left, left_of, may_have_passed
from audiojob_api.problems import Problem, invalid_field, unavailable
from audiojob_api.sql.errors import DatabaseUnavailable

_log = logging.getLogger(__name__)

_STALE: Final = "a reservation is not up to date"
_RECONCILE_SECONDS: Final = 60.0
# A job that is not there so long after it was asked for has ended and is deleted: a TTL may be 0. It counts as made,
# but where this process saw that its creation failed without a clear answer.
_GONE_AFTER: Final = 150_000
_DOUBTED_AFTER: Final = 30_000
_MOST_DOUBTS: Final = 10_000
_SOON: Final = 30


IsThere = Callable[[], Awaitable[bool]]
"""Whether the job is there, as the API server says."""


def _nobody(_: list[Left]) -> None:
    return


class Fate(StrEnum):
    """What became of a job."""

    OPEN = "open"
    ENDED = "ended"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Seen:
    """A job as it is now, with the minutes of audio that it works on where they have been measured."""

    fate: Fate
    minutes: float | None = None


class Quota:
    """``seen`` says what became of the job of a namespace and name; it raises a Problem where that is not known."""

    def __init__(
        self,
        limits: Limits,
        ledger: Ledger | None,
        seen: Callable[[str, str], Awaitable[Seen]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._ledger = ledger
        self._seen = seen
        self._clock = clock
        self._doubts: set[str] = set()
        """Tokens of wishes."""

    # ---------------------------------------------------------------- before a job is made

    def tier(self, caller: Identity) -> tuple[str, Tier]:
        """The caller's tier and its name; one without limits where the caller has none."""
        name = self._limits.kubernetes_tier if caller.grants is None else caller.tier
        return (name or "", self._limits.tiers.get(name or "", Tier()))

    def priority(self, caller: Identity, given: int | None) -> int | None:
        """The priority of the caller's job. Raises a 422 Problem for one that the tier does not have."""
        name, tier = self.tier(caller)
        if given is not None and tier.most_urgent is not None and given > tier.most_urgent:
            raise invalid_field("priority", f"must be at most {tier.most_urgent} in your tier, {name}")
        return tier.priority if given is None else given

    def counts_minutes(self, caller: Identity) -> bool:
        """Whether it matters how long the audio of the caller's jobs is."""
        return self.tier(caller)[1].audio_minutes_per_day is not None

    async def reserve(
        self, caller: Identity, wish: Wish, repeats: IsThere | None = None, tell: Callable[[list[Left]], None] = _nobody
    ) -> bool:
        """Whether the job has a new place; False where it was made before, or nothing is counted.

        ``repeats`` says whether the job is there, of a request that may be sent again; None for one that makes a job of
        its own or none. ``tell`` gets what is left of each limit. Raises a 429 Problem that names the limit, or 503
        where that cannot be known.
        """
        ledger = self._ledger
        if ledger is None or self._bounds(caller) is None:
            return False
        anew = partial(ledger.ask, anew=True)
        found = await self._asked(anew if repeats is None else ledger.ask, caller, wish)
        if found.answer is not True and repeats is not None:
            if await repeats():
                found = replace(found, answer=False)
            elif found.answer is False:  # the place is of one that is gone, or of one that may never be made
                found = await self._asked(anew, caller, wish)
        return self._told(found, caller, tell)

    async def refuse_full(self, caller: Identity, wish: Wish, tell: Callable[[list[Left]], None] = _nobody) -> None:
        """Raise what :meth:`reserve` would for a new job. Nothing is reserved: much may come before the job is made."""
        if self._ledger is None or self._bounds(caller) is None:
            return
        found = await self._asked(self._ledger.look, caller, wish)
        if isinstance(found.answer, Exceeded):
            self._told(found, caller, tell)

    def _bounds(self, caller: Identity) -> Bounds | None:
        """None where nothing is counted."""
        _, tier = self.tier(caller)
        bounds = Bounds(
            tier.jobs_per_day, tier.jobs_per_hour, tier.concurrent_jobs, self._limits.jobs_per_hour_per_address,
            tier.audio_minutes_per_day, self._limits.minutes_until_known,
        )  # fmt: skip
        return None if bounds == Bounds(assumed=bounds.assumed) else bounds

    async def _asked(
        self, ask: Callable[[Wish, Bounds, int], Awaitable[Answer]], caller: Identity, wish: Wish
    ) -> Answer:
        bounds = self._bounds(caller) or Bounds()
        try:
            found = await ask(wish, bounds, self._now())
            if may_have_passed(found.answer) and await self._settle(wish.user):
                found = await ask(wish, bounds, self._now())
        except DatabaseUnavailable:
            raise unavailable("Your limits cannot be looked up at the moment, so no job is made.") from None
        return found

    def _told(self, found: Answer, caller: Identity, tell: Callable[[list[Left]], None]) -> bool:
        tell(left_of(found.used, self._bounds(caller) or Bounds(), self._now()))
        if isinstance(found.answer, Exceeded):
            raise self._refusal(found.answer, self.tier(caller)[0])
        return found.answer

    async def made(self, wish: Wish, *, new: bool, reserved: bool, caller: Identity) -> None:
        """What the creation came to: a place counts once for each job that was made."""
        if self._ledger is None or reserved == new:
            return
        _, tier = self.tier(caller)
        if reserved:
            await self.refused(wish)
        elif tier.counts or self._limits.jobs_per_hour_per_address is not None:
            await or_log(self._ledger.record(wish, self._now()), _STALE)

    async def refused(self, wish: Wish) -> None:
        """The job was not made: its place is free."""
        if self._ledger is not None:
            await or_log(self._ledger.release(wish), _STALE)

    def doubt(self, wish: Wish) -> None:
        """It is not known whether the job was made; the next comparison tells."""
        if len(self._doubts) < _MOST_DOUBTS:
            self._doubts.add(wish.token)

    def _refusal(self, found: Exceeded, tier: str) -> Problem:
        now = self._now()
        wait = _SOON if found.ends is None else max(1, -(-(found.ends - now) // 1_000))
        until = "once one of your jobs has ended"
        if found.ends is not None:
            until = f"at {datetime.fromtimestamp(-(-found.ends // 1_000), UTC):%Y-%m-%dT%H:%M:%SZ}"
        whose = "this address" if found.limit.endswith("address") else f"your tier, {tier}"
        detail = f"The limit of {found.most} {found.limit} of {whose} is reached; try again {until}."
        return Problem(429, "limit-reached", detail, headers={"Retry-After": str(wait)})

    # ---------------------------------------------------------------- afterwards

    async def run(self) -> None:
        """Compare reservations with the jobs that there are, each minute, until cancelled."""
        while self._ledger is not None:
            await asyncio.sleep(_RECONCILE_SECONDS)
            try:
                await self._settle(None)
                await self._ledger.prune(self._now())
            except (DatabaseUnavailable, Problem) as error:
                _log.info("reservations are not compared: %s", error)

    async def _settle(self, user: str | None) -> bool:
        """Whether a place was found to be free."""
        if self._ledger is None:
            return False
        now = self._now()
        ended: list[Open] = []
        never: list[Open] = []
        measured: list[tuple[Open, float]] = []
        rows = await self._ledger.open(now, user)
        newest = {(row.namespace, row.name): row.created for row in rows}  # the oldest come first
        for row in rows:
            seen, age = await self._seen(row.namespace, row.name), now - row.created
            newer = newest[row.namespace, row.name]
            # A name is one job's: once a newer place for it is settled, what had this one is gone, or was never made.
            is_older = row.created < newer < now - _GONE_AFTER
            fate = Fate.ABSENT if is_older else seen.fate
            # One that has ended without a length worked on none; one that nobody saw end keeps what was assumed.
            minutes = 0.0 if seen.minutes is None and fate is Fate.ENDED else seen.minutes
            if minutes is not None and minutes != row.minutes and not is_older:
                measured.append((row, minutes))
            doubted = row.token in self._doubts
            if doubted and fate is Fate.ABSENT and age > _DOUBTED_AFTER:
                never.append(row)
            elif fate is Fate.ENDED or (fate is Fate.ABSENT and age > _GONE_AFTER):
                ended.append(row)
            if doubted and age > _DOUBTED_AFTER and (is_older or row.created == newer):
                self._doubts.discard(row.token)
        if ended or never or measured:
            await self._ledger.settle(ended, never, now, measured)
        return bool(ended or never or measured)

    def _now(self) -> int:
        return int(self._clock() * 1_000)
