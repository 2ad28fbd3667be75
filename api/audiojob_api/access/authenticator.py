"""Who calls, and what they may do: a token review, then access reviews, all cached for some seconds."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, Generic, TypeVar

from audiojob_api.access.attempts import Attempts
from audiojob_api.access.authorizer import Authorizer, Identity, Reviewed, TokenReviewer
from audiojob_api.access.rights import Right
from audiojob_api.access.roles import Allowed, require_role, require_scopes
from audiojob_api.problems import Problem, unavailable
from audiojob_kube.errors import ApiError, TooManyRequests

_log = logging.getLogger(__name__)

V = TypeVar("V")

# Where other APIs take tokens and keys.
_IN_HEADERS: Final = frozenset({"x-api-key", "api-key", "x-auth-token"})
_IN_ADDRESSES: Final = _IN_HEADERS | {"access_token", "token", "api_key", "apikey", "authorization", "bearer"}
_MAX_TOKEN_CHARACTERS: Final = 16_384
_CACHE_ENTRIES: Final = 10_000
# A token that was good this recently is no guess: looking it up again is not an attempt.
_PROVEN_SECONDS: Final = 3_600.0


class ExpiringCache(Generic[V]):
    """Values by key for a fixed time; the oldest go when there are too many."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def find(self, key: str) -> V | None:
        """The cached value; None if there is none."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and self._clock() < entry[0] else None

    def put(self, key: str, value: V, seconds: float | None = None) -> None:
        """Keep a value from now on, for a time of its own where one is given."""
        self._entries[key] = (self._clock() + (self._seconds if seconds is None else seconds), value)
        self._entries.move_to_end(key)
        while len(self._entries) > _CACHE_ENTRIES:
            self._entries.popitem(last=False)


class Together(Generic[V]):
    """Callers that want the same at the same time share one call: many clients of one account come at once."""

    def __init__(self) -> None:
        self._calls: dict[str, asyncio.Task[V]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._calls

    async def call(self, key: str, load: Callable[[], Coroutine[None, None, V]]) -> V:
        """What ``load`` returns or raises. It goes on for the others when one of them goes away."""
        task = self._calls.get(key)
        if task is None:
            task = self._calls[key] = asyncio.create_task(load())
            task.add_done_callback(partial(self._ended, key))
        return await asyncio.shield(task)

    def _ended(self, key: str, task: asyncio.Task[V]) -> None:
        del self._calls[key]
        if not task.cancelled():
            task.exception()  # it is known, though nobody may be left to hear of it


class Authenticator:
    """Answers for one process. Tokens are kept as hashes only. ``count`` is called with the outcome of each request."""

    def __init__(
        self,
        authorizer: Authorizer,
        *,
        audience: str,
        cache_seconds: float,
        attempts: Attempts,
        count: Callable[[str], None],
        reviewers: Sequence[TokenReviewer] = (),
    ) -> None:
        self._reserved = tuple(name for each in reviewers for name in each.names)
        self._authorizer = authorizer
        self._reviewers = reviewers
        self._audience = audience
        self._seconds = cache_seconds
        self._attempts = attempts
        self._count = count
        # Apart from each other: what strangers send must not push out what callers have.
        self._identities: ExpiringCache[Identity] = ExpiringCache(cache_seconds)
        self._refused: ExpiringCache[bool] = ExpiringCache(cache_seconds)
        self._proven: ExpiringCache[bool] = ExpiringCache(_PROVEN_SECONDS)
        self._rights: ExpiringCache[bool] = ExpiringCache(cache_seconds)
        self._reviews: Together[Identity | None] = Together()
        self._access: Together[bool] = Together()

    def refuse_misplaced(self, headers: Collection[str], query: Collection[str]) -> None:
        """Raise a 401 :class:`Problem` for a credential elsewhere than in the Authorization header. Takes names.

        What stands in an address is written into logs and histories on the way; two credentials may be two callers.
        """
        named = [*(name for name in headers if name.lower() in _IN_HEADERS)]
        named += [name for name in query if name.lower() in _IN_ADDRESSES]
        if named:
            self._count("unauthenticated")
            detail = (
                f"{named[0]}: send tokens and keys in the header Authorization: Bearer … alone; one that was in an "
                "address may be in logs by now, so get another."
            )
            raise Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": "Bearer"})

    async def identify(self, headers: Sequence[str], address: str) -> Identity:
        """Who calls, from the Authorization headers of a request or handshake that came from ``address``.

        Raises a 401, 429 or 503 :class:`Problem`, or TooManyRequests or TransportError.
        """
        token = bearer_token(headers)
        if token is None:
            raise self._unauthenticated()
        digest = _digest(token)
        identity = self._identities.find(digest)
        if identity is None and not self._refused.find(digest):
            with _reviewing():
                identity = await self._review(token, digest, address)
        if identity is None:
            raise self._unauthenticated()
        return identity

    def known(self, headers: Sequence[str]) -> Identity | None:
        """Who calls, where :meth:`identify` would say so without asking anybody; else None."""
        token = bearer_token(headers)
        return None if token is None else self._identities.find(_digest(token))

    async def require(self, identity: Identity, namespace: str, rights: Sequence[Right]) -> Allowed:
        """Whether the caller has them all for every job, or for own ones alone.

        Raises a 403 or 503 :class:`Problem`, TooManyRequests or TransportError.
        """
        try:
            require_scopes(identity, rights)
            if identity.grants is not None:
                allowed = require_role(identity, namespace, rights)
                self._count("allowed")
                return allowed
        except Problem:
            self._count("forbidden")
            raise
        await self._require_of_cluster(identity, namespace, rights)
        return Allowed(own=False)

    async def _require_of_cluster(self, identity: Identity, namespace: str, rights: Sequence[Right]) -> None:
        for right in rights:
            # A name comes from a path, and may be as long as one: it is kept as a hash.
            job = "" if right.name is None else _digest(right.name)
            key = f"{identity.digest} {namespace} {right.verb} {job}"
            allowed = self._rights.find(key)
            if allowed is None:
                with _reviewing():
                    allowed = await self._access.call(key, partial(self._ask, key, identity, namespace, right))
            if not allowed:
                self._count("forbidden")
                raise Problem(
                    403, "forbidden", f"You may not {right} in this namespace; ask for a Role that allows it."
                )
        self._count("allowed")

    async def _ask(self, key: str, identity: Identity, namespace: str, right: Right) -> bool:
        allowed = await self._authorizer.may(identity, namespace, right)
        self._rights.put(key, allowed)
        return allowed

    async def _review(self, token: str, digest: str, address: str) -> Identity | None:
        """Ask the API server; None for a token that is not valid. An unknown one is an attempt until it is."""
        proven = bool(self._proven.find(digest))
        if not proven and digest not in self._reviews and (wait := self._attempts.take(address)):
            self._count("limited")
            seconds = math.ceil(wait)
            detail = f"Too many tokens from your address were not valid; try again in {seconds} s."
            raise Problem(429, "too-many-requests", detail, headers={"Retry-After": str(seconds)})
        return await self._reviews.call(digest, partial(self._look_up, token, digest, address, proven))

    async def _look_up(self, token: str, digest: str, address: str, proven: bool) -> Identity | None:
        reviewed = await self._judge(token)
        if reviewed is None:
            self._refused.put(digest, True)
            return None
        if not proven:
            self._attempts.give_back(address)
        self._proven.put(digest, True)
        self._identities.put(digest, reviewed.identity, reviewed.seconds)
        return reviewed.identity

    async def _judge(self, token: str) -> Reviewed | None:
        for reviewer in self._reviewers:
            if reviewer.owns(token):
                return await reviewer.review(token)
        identity = await self._authorizer.review_token(token, self._audience)
        if identity is not None and identity.username.startswith(self._reserved):
            # Jobs and keys belong to names: two accounts of one name would have each other's.
            _log.warning("a Kubernetes account is refused, since its name belongs to a provider: %s", identity.username)
            return None
        return None if identity is None else Reviewed(identity, self._seconds)

    def _unauthenticated(self) -> Problem:
        # One answer for every cause: it must not reveal which part of a token was wrong.
        self._count("unauthenticated")
        audience = self._audience
        detail = f"Send a bearer token with audience {audience}: kubectl create token NAME --audience {audience}"
        if self._reviewers:
            detail += ", or one of an identity provider of this API"
        return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": "Bearer"})


@contextmanager
def _reviewing() -> Iterator[None]:
    """Turns a refused review into a 503 :class:`Problem`; that the API server is busy stays what it is."""
    try:
        yield
    except TooManyRequests:
        raise
    except ApiError as error:
        # Our own rights or the cluster's set-up, never the caller's fault.
        _log.error("a token or its rights cannot be reviewed: %s", error)
        raise unavailable("Your token cannot be reviewed at the moment; the API's log has the details.") from None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def bearer_token(headers: Sequence[str]) -> str | None:
    """The token of the one Authorization header; None if there is none, several, or no valid bearer token in it."""
    if len(headers) != 1:
        return None
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN_CHARACTERS:
        return None
    return token if token.isascii() and " " not in token and token.isprintable() else None
