"""Who calls, and what they may do: TokenReview, then SubjectAccessReview, both remembered for some seconds."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Annotated, Generic, TypeVar

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from audiojob_api.cluster.gateway import Gateway, Identity
from audiojob_api.http.metrics import ApiMetrics
from audiojob_api.problems import Problem, unavailable
from audiojob_kube.errors import ApiError, TooManyRequests

_log = logging.getLogger(__name__)

V = TypeVar("V")

_MAX_TOKEN_CHARACTERS = 16_384
_CACHE_ENTRIES = 10_000


class ShortMemory(Generic[V]):
    """Values by key for a fixed time; the oldest go when there are too many."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, V]] = OrderedDict()

    async def get(self, key: str, ask: Callable[[], Awaitable[V]]) -> V:
        """The remembered value, or what ``ask`` returns now. An ``ask`` that raises leaves nothing behind."""
        entry = self._entries.get(key)
        if entry is not None and self._clock() < entry[0]:
            return entry[1]
        value = await ask()
        self._entries[key] = (self._clock() + self._seconds, value)
        self._entries.move_to_end(key)
        while len(self._entries) > _CACHE_ENTRIES:
            self._entries.popitem(last=False)
        return value


class Authenticator:
    """Answers for one process. Tokens are kept as hashes only."""

    def __init__(self, gateway: Gateway, metrics: ApiMetrics, *, audience: str, cache_seconds: float) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self._audience = audience
        self._identities: ShortMemory[Identity | None] = ShortMemory(cache_seconds)
        self._rights: ShortMemory[bool] = ShortMemory(cache_seconds)

    async def authorize(self, request: Request, verb: str) -> Identity:
        """The caller's identity. Raises a 401, 403, 429 or 503 :class:`Problem`."""
        try:
            return await self._authorize(request, verb)
        except TooManyRequests:
            raise
        except ApiError as error:
            # Our own rights or the cluster's set-up, never the caller's fault.
            _log.error("a token or its rights cannot be reviewed: %s", error)
            raise unavailable("The cluster does not answer who you are; the log has the details.") from None

    async def _authorize(self, request: Request, verb: str) -> Identity:
        token = bearer_token(request.headers.getlist("authorization"))
        if token is None:
            raise self._unauthenticated()
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        identity = await self._identities.get(digest, lambda: self._gateway.review_token(token, self._audience))
        if identity is None:
            raise self._unauthenticated()
        if not await self._rights.get(f"{digest} {verb}", lambda: self._gateway.may(identity, verb)):
            self._metrics.auth.labels("forbidden").inc()
            raise Problem(
                403, "forbidden", f"You may not {verb} audiojobs in this namespace; ask for a Role that allows it."
            )
        self._metrics.auth.labels("allowed").inc()
        return identity

    def _unauthenticated(self) -> Problem:
        # One answer for every cause: it must not tell which part of a token was wrong.
        self._metrics.auth.labels("unauthenticated").inc()
        audience = self._audience
        detail = f"Send a bearer token with audience {audience}: kubectl create token NAME --audience {audience}"
        return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": "Bearer"})


def bearer_token(headers: list[str]) -> str | None:
    """The token of the one Authorization header; None if there is none, several, or no sound bearer token in it."""
    if len(headers) != 1:
        return None
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN_CHARACTERS:
        return None
    return token if token.isascii() and " " not in token and token.isprintable() else None


# For the OpenAPI document only: it would accept the first of two headers.
_SCHEME = HTTPBearer(
    auto_error=False, scheme_name="KubernetesToken", description="A Kubernetes token for the API's audience."
)


def caller_who_may(verb: str) -> Callable[..., Awaitable[Identity]]:
    """A dependency that admits callers who may ``verb`` AudioJobs."""

    async def authorized(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_SCHEME)]
    ) -> Identity:
        authenticator: Authenticator = request.app.state.authenticator
        return await authenticator.authorize(request, verb)

    return authorized
