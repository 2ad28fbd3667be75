"""The keys of one provider: fetched when needed, kept while the provider is away, never fetched at strangers' pace."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from audiojob_api.access.oidc.tokens import Key, Unverified, choose

_log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 3_600.0
KEPT_SECONDS: Final = 86_400.0
PAUSE_SECONDS: Final = 30.0
"""Between two fetches, whoever asks: strangers' tokens with keys that nobody knows cost the provider nothing more."""


class NoKeysError(Exception):
    """The provider does not answer, and what it said before is too old or was never heard."""


class Keyring:
    """Keys that ``fetch`` brings. It raises any of OSError, TimeoutError or ValueError where it cannot."""

    def __init__(
        self, name: str, fetch: Callable[[], Awaitable[Sequence[Key]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._clock = clock
        self._keys: Sequence[Key] = ()
        self._good_until = -1.0
        self._fresh_until = -1.0
        self._next_try = float("-inf")
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def find(self, said: Unverified) -> Key | None:
        """The key that the token names; None where the provider has no such key. Raises NoKeysError."""
        if self._clock() >= self._good_until:
            await self._refresh()
        elif self._clock() >= self._fresh_until:
            self._refresh_meanwhile()
        if self._clock() >= self._good_until:
            raise NoKeysError(self._name)
        found = choose(self._keys, said)
        if found is None:  # the provider may have new keys since
            await self._refresh()
            found = choose(self._keys, said)
        return found

    def _refresh_meanwhile(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._refresh(), name=f"keys-of-{self._name}")

    async def _refresh(self) -> None:
        asked = self._next_try
        async with self._lock:
            # Whoever waited for another's fetch takes what that one brought.
            if self._next_try != asked or self._clock() < self._next_try:
                return
            try:
                self._keys = _some(await self._fetch())
            except (OSError, TimeoutError, ValueError) as error:
                _log.warning(
                    "keys of the provider %s cannot be fetched: %s", self._name, str(error) or type(error).__name__
                )
            else:
                self._fresh_until = self._clock() + REFRESH_SECONDS
                self._good_until = self._clock() + KEPT_SECONDS
            finally:
                self._next_try = self._clock() + PAUSE_SECONDS


def _some(keys: Sequence[Key]) -> Sequence[Key]:
    if not keys:
        raise ValueError("it has none that verifies what is taken")
    return keys
