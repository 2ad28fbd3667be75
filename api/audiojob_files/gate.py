"""The gate: a request does what its ticket says, or nothing."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jwt
from jwt.algorithms import OKPAlgorithm
from pydantic import ValidationError

from audiojob_files.refusals import Refusal
from audiojob_store.ticket import ALGORITHM, ISSUER, MAX_SECONDS, WRITES, Ticket, Verb, audience

_log = logging.getLogger(__name__)

LEEWAY_SECONDS: Final = 5
RELOAD_SECONDS: Final = 2.0
MAX_KEYS_BYTES: Final = 64 * 1024
MAX_REMEMBERED: Final = 50_000
MAX_TICKET: Final = 8 * 1024
_CLAIMS: Final = frozenset({"iss", "aud"})


def forbidden(why: str) -> Refusal:
    """403. The API never sends such a ticket, so that its log is where to look."""
    return Refusal(403, "bad-ticket", f"The ticket is refused: {why}.")


@dataclass(slots=True)
class Keys:
    """Public keys by their id, from a file that is looked at again when an unknown one is named."""

    path: Path
    clock: Callable[[], float] = time.monotonic
    _found: dict[str, Any] = field(default_factory=dict)
    _next: float = 0.0

    def find(self, kid: object) -> Any | None:
        """The key; None if there is none."""
        if not isinstance(kid, str):
            return None
        if kid not in self._found and self.clock() >= self._next:
            self._next = self.clock() + RELOAD_SECONDS
            self._found = read_keys(self.path)
        return self._found.get(kid)


def read_keys(path: Path) -> dict[str, Any]:
    """The Ed25519 keys of a JWKS; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            listed = json.loads(file.read(MAX_KEYS_BYTES))["keys"]
        return {each["kid"]: OKPAlgorithm.from_jwk(each) for each in listed if each.get("crv") == "Ed25519"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, jwt.InvalidKeyError) as error:
        _log.warning("%s cannot be read: %s", path, error)
        return {}


@dataclass(slots=True)
class Gate:
    """Checks tickets for one namespace. One for a write serves once, and never after this process was started anew."""

    namespace: str
    keys: Keys
    clock: Callable[[], float] = time.time
    _used: dict[str, int] = field(default_factory=dict)
    _started: int = 0

    def __post_init__(self) -> None:
        self._started = int(self.clock())

    def admit(self, text: str | None, verb: Verb, key: str | None = None) -> Ticket:
        """The ticket, if it allows this. Raises a 403 :class:`Refusal`."""
        if not text:
            raise forbidden("there is none")
        if len(text) > MAX_TICKET:
            raise forbidden("it is too long")
        ticket = self._read(text)
        if ticket.verb is not verb:
            raise forbidden(f"it is for {ticket.verb.value}, not for {verb.value}")
        if key is not None and ticket.key != key:
            raise forbidden("it is for another upload")
        if verb in WRITES:
            self._spend(ticket)
        return ticket

    def _read(self, text: str) -> Ticket:
        try:
            head = jwt.get_unverified_header(text)
            key = self.keys.find(head.get("kid")) if head.get("alg") == ALGORITHM else None
            if key is None:
                raise forbidden("its key is not known")
            claims = jwt.decode(
                text,
                key,
                algorithms=[ALGORITHM],
                audience=audience(self.namespace),
                issuer=ISSUER,
                options={"require": ["exp", "iat", "jti", "aud", "iss"], "verify_exp": False, "verify_iat": False},
            )
            ticket = Ticket.read({name: value for name, value in claims.items() if name not in _CLAIMS})
        except (jwt.InvalidTokenError, ValidationError) as error:
            raise forbidden(type(error).__name__) from None
        self._check_times(ticket)
        return ticket

    def _check_times(self, ticket: Ticket) -> None:
        now = self.clock()
        if now >= ticket.exp + LEEWAY_SECONDS:
            raise forbidden("it has expired")
        if ticket.iat > now + LEEWAY_SECONDS:
            raise forbidden("it is from the future; the clocks differ")
        if not 0 < ticket.exp - ticket.iat <= MAX_SECONDS:
            raise forbidden("it is for too long")

    def _spend(self, ticket: Ticket) -> None:
        """Raises for one that was used, which is also taken for true of one from before this process began."""
        now = int(self.clock())
        if ticket.iat < self._started:
            raise forbidden("it is older than this process")
        if ticket.jti in self._used:
            raise forbidden("it was used already")
        if len(self._used) >= MAX_REMEMBERED:
            self._used = {jti: end for jti, end in self._used.items() if end > now}
            if len(self._used) >= MAX_REMEMBERED:
                raise Refusal(503, "too-many-writes", "Too many uploads at once.", {"Retry-After": "60"})
        self._used[ticket.jti] = ticket.exp + LEEWAY_SECONDS
