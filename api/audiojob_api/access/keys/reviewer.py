"""API keys as tokens: who their owner is by now."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from audiojob_api.access.authorizer import Identity, Reviewed
from audiojob_api.access.config import AccessConfig
from audiojob_api.access.keys.secret import PREFIX, parse_key
from audiojob_api.access.keys.store import Key, KeyStore, is_due, is_valid
from audiojob_api.access.oidc.rules import member
from audiojob_api.problems import unavailable
from audiojob_api.sql.errors import DatabaseUnavailable

_log = logging.getLogger(__name__)

_CACHED_SECONDS: Final = 10.0
"""A revoked key is refused this much later at the latest, in every replica."""


class KeyReviewer:
    """A `TokenReviewer` for API keys."""

    def __init__(
        self,
        store: KeyStore,
        config: AccessConfig,
        cache_seconds: float = _CACHED_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._seconds = min(cache_seconds, _CACHED_SECONDS)
        self._store = store
        self._config = config
        self._clock = clock
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> Collection[str]:
        """None: a key has its owner's."""
        return ()

    def owns(self, token: str) -> bool:
        """Whether it looks like a key."""
        return token.startswith(PREFIX)

    async def review(self, token: str) -> Reviewed | None:
        """The key's owner; None for one that is not valid. Raises a 503 Problem while the database is away."""
        text = parse_key(token)
        if text is None:
            return None
        try:
            key = await self._store.find(text.id)
        except DatabaseUnavailable:
            raise unavailable("API keys cannot be looked up at the moment.") from None
        now = int(self._clock() * 1_000)
        if key is None or not is_valid(key, text, now):
            return None
        if is_due(key, now):
            self._touch(key, now)
        return Reviewed(owner_of(key, self._config), min(self._seconds, (key.expires - now) / 1_000))

    def _touch(self, key: Key, now: int) -> None:
        async def write() -> None:
            try:
                await self._store.touch(key.id, now)
            except DatabaseUnavailable as error:
                _log.info("the use of a key is not written down: %s", error)

        task = asyncio.create_task(write())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)


def account_of(identity: Identity) -> Mapping[str, Any]:
    """What a key keeps of its owner, so that later changes of rules and roles count for the key too."""
    if identity.account is not None:
        return identity.account
    return {
        "username": identity.username, "uid": identity.uid, "groups": list(identity.groups), "extra": identity.extra,
    }  # fmt: skip


def owner_of(key: Key, config: AccessConfig) -> Identity:
    """The owner, with the rights that rules, roles and RBAC give by now, within the key's scopes."""
    found = key.account
    if "provider" in found:
        known = any(each.name == found["provider"] for each in config.providers)
        owner = member(config, found["provider"], found["user"], found["claims"])
        owner = owner if known else replace(owner, grants=())
    else:
        owner = Identity(found["username"], found["uid"], tuple(found["groups"]), found["extra"])
    return replace(owner, scopes=key.scopes)
