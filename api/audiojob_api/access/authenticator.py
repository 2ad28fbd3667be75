"""Who calls, and what they may do: a token review, then an access review, both cached for some seconds."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from audiojob_api.access.authorizer import Authorizer, Identity
from audiojob_api.problems import Problem, unavailable
from audiojob_kube.errors import ApiError, TooManyRequests

_log = logging.getLogger(__name__)

V = TypeVar("V")

_MAX_TOKEN_CHARACTERS = 16_384
_CACHE_ENTRIES = 10_000


class ExpiringCache(Generic[V]):
    """Values by key for a fixed time; the oldest go when there are too many."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, V]] = OrderedDict()

    async def get(self, key: str, load: Callable[[], Awaitable[V]]) -> V:
        """The cached value, or what ``load`` returns now. A ``load`` that raises leaves nothing behind."""
        entry = self._entries.get(key)
        if entry is not None and self._clock() < entry[0]:
            return entry[1]
        value = await load()
        self._entries[key] = (self._clock() + self._seconds, value)
        self._entries.move_to_end(key)
        while len(self._entries) > _CACHE_ENTRIES:
            self._entries.popitem(last=False)
        return value


class Authenticator:
    """Answers for one process. Tokens are kept as hashes only. ``count`` is called with the outcome of each request."""

    def __init__(
        self, authorizer: Authorizer, *, audience: str, cache_seconds: float, count: Callable[[str], None]
    ) -> None:
        self._authorizer = authorizer
        self._audience = audience
        self._count = count
        self._identities: ExpiringCache[Identity | None] = ExpiringCache(cache_seconds)
        self._rights: ExpiringCache[bool] = ExpiringCache(cache_seconds)

    async def authorize(self, headers: Sequence[str], verb: str) -> Identity:
        """The caller's identity, from the Authorization headers of the request or handshake.

        Raises a 401, 403 or 503 :class:`Problem`, or TooManyRequests or TransportError.
        """
        try:
            return await self._authorize(headers, verb)
        except TooManyRequests:
            raise
        except ApiError as error:
            # Our own rights or the cluster's set-up, never the caller's fault.
            _log.error("a token or its rights cannot be reviewed: %s", error)
            raise unavailable("Your token cannot be reviewed at the moment; the API's log has the details.") from None

    async def _authorize(self, headers: Sequence[str], verb: str) -> Identity:
        token = bearer_token(headers)
        if token is None:
            raise self._unauthenticated()
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        identity = await self._identities.get(digest, lambda: self._authorizer.review_token(token, self._audience))
        if identity is None:
            raise self._unauthenticated()
        if not await self._rights.get(f"{digest} {verb}", lambda: self._authorizer.may(identity, verb)):
            self._count("forbidden")
            raise Problem(
                403, "forbidden", f"You may not {verb} audiojobs in this namespace; ask for a Role that allows it."
            )
        self._count("allowed")
        return identity

    def _unauthenticated(self) -> Problem:
        # One answer for every cause: it must not reveal which part of a token was wrong.
        self._count("unauthenticated")
        audience = self._audience
        detail = f"Send a bearer token with audience {audience}: kubectl create token NAME --audience {audience}"
        return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": "Bearer"})


def bearer_token(headers: Sequence[str]) -> str | None:
    """The token of the one Authorization header; None if there is none, several, or no valid bearer token in it."""
    if len(headers) != 1:
        return None
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN_CHARACTERS:
        return None
    return token if token.isascii() and " " not in token and token.isprintable() else None
