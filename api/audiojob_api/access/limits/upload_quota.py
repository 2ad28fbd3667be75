"""Limits of uploads as the API asks for them: how large one is, and how much of them a user or a namespace stores."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from audiojob_api.access.authorizer import Identity
from audiojob_api.access.config import Tier
from audiojob_api.access.limits.later import or_log
from audiojob_api.access.limits.uploads import Full, Kept, Room, StoredBytes
from audiojob_api.problems import Problem, unavailable
from audiojob_api.sql.errors import DatabaseUnavailable

_log = logging.getLogger(__name__)

_STALE: Final = "bytes of an upload are not up to date"
_ROUND_SECONDS: Final = 60.0
_LOOK_AGAIN: Final = 3_600_000
_LOOK_AT_ONCE: Final = 30_000  # of a user who is out of room
_A_ROUND: Final = 500
_AT_ONCE: Final = 100
_WAIT: Final = "30"


@dataclass(frozen=True, slots=True)
class UploadBounds:
    """What holds for all users beside their tiers. ``tier`` tells a caller's, with its name."""

    tier: Callable[[Identity], tuple[str, Tier]]
    per_namespace: int | None = None


class UploadQuota:
    """``stored`` says how many bytes an upload has in the store, None once it is gone; it raises a Problem where that
    is not known.
    """

    def __init__(
        self,
        bounds: UploadBounds,
        ledger: StoredBytes | None,
        stored: Callable[[Kept], Awaitable[int | None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bounds = bounds
        self._ledger = ledger
        self._stored = stored
        self._clock = clock

    def largest(self, caller: Identity) -> int | None:
        """The most bytes that one upload of the caller may have; None for no limit."""
        return self._bounds.tier(caller)[1].max_upload_bytes

    async def reserve(self, caller: Identity, upload: Kept) -> None:
        """Count an upload before it is made. Raises a 413 or 429 Problem that names the limit, or 503."""
        name, tier = self._bounds.tier(caller)
        if tier.max_upload_bytes is not None and upload.bytes > tier.max_upload_bytes:
            detail = f"bytes: an upload has at most {tier.max_upload_bytes} bytes in your tier, {name}."
            raise Problem(413, "upload-too-large", detail)
        room = Room(tier.stored_bytes, self._bounds.per_namespace)
        if self._ledger is None or room == Room():
            return
        try:
            full = await self._ledger.reserve(upload, room, self._now())
            if full is not None and await self._look(_LOOK_AT_ONCE, _AT_ONCE, upload.user):
                full = await self._ledger.reserve(upload, room, self._now())
        except DatabaseUnavailable:
            raise unavailable("Your limits cannot be looked up at the moment, so no upload is taken.") from None
        if full is not None:
            raise _refusal(full, upload, name)

    async def release(self, upload: Kept) -> None:
        """It was refused, or removed."""
        if self._ledger is not None:
            await or_log(self._ledger.release(upload), _STALE)

    async def failed(self, upload: Kept) -> None:
        """It was refused, or broke off; one that came earlier under the same id is stored yet, and counts."""
        if self._ledger is None:
            return
        try:
            size = await self._stored(upload)
        except Problem as problem:  # the comparison with what is stored finds it
            _log.info("bytes of an upload are not up to date: %s", problem.detail)
            return
        known = replace(upload, bytes=size or 0)
        await or_log(self._ledger.release(upload) if size is None else self._ledger.found(known, self._now()), _STALE)

    async def came(self, upload: Kept, size: int) -> None:
        """All of it came, and it has fewer bytes than it might have had."""
        if self._ledger is not None and size != upload.bytes:
            await or_log(self._ledger.found(replace(upload, bytes=size), self._now()), _STALE)

    async def run(self) -> None:
        """Compare the rows with what is stored, each at least every few hours, until cancelled."""
        while self._ledger is not None:
            await asyncio.sleep(_ROUND_SECONDS)
            try:
                await self._look(_LOOK_AGAIN, _A_ROUND, None)
            except (DatabaseUnavailable, Problem) as error:
                _log.info("uploads are not compared: %s", error)

    async def _look(self, age: int, most: int, user: str | None) -> bool:
        """Whether one was found to be gone. Raises a 503 Problem where none was, and of some it is not known."""
        if self._ledger is None:
            return False
        gone, away = False, dict[str, Problem]()
        for upload in await self._ledger.unseen(self._now() - age, most, user):
            if upload.namespace in away:
                continue
            try:
                size = await self._stored(upload)
            except Problem as problem:  # the others' services may well answer
                away[upload.namespace] = problem
                continue
            if size is None:
                await self._ledger.release(upload)
                gone = True
            else:
                await self._ledger.found(replace(upload, bytes=size), self._now())
        if away and not gone:
            raise next(iter(away.values()))
        return gone

    def _now(self) -> int:
        return int(self._clock() * 1_000)


def _refusal(full: Full, upload: Kept, tier: str) -> Problem:
    left = max(0, full.most - full.taken)
    whose = f"your tier, {tier}," if full.whose == "user" else f"the namespace {upload.namespace}"
    detail = (
        f"The limit of {full.most} bytes of uploads of {whose} leaves {left}, and this one has {upload.bytes}; "
        "remove uploads, or wait until unused ones are removed."
    )
    return Problem(429, "limit-reached", detail, headers={"Retry-After": _WAIT})
