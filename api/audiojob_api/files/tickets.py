"""Signs tickets. The key never leaves the API; the service has its public half."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audiojob_store.ticket import ALGORITHM, ISSUER, Ticket, Verb, audience

SECONDS: Final = 60  # the service looks at it once, when the request begins
MAX_KEYS: Final = 3  # the newest, and those of replicas that are still to learn of it


class Signer:
    """One key. ``seed`` is its 32 secret bytes."""

    def __init__(self, seed: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._clock = clock
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.kid = hashlib.sha256(public).hexdigest()[:16]
        point = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
        self.public: Mapping[str, str] = {"kty": "OKP", "crv": "Ed25519", "x": point, "kid": self.kid, "use": "sig"}

    def sign(self, namespace: str, verb: Verb, key: str, claims: Mapping[str, Any]) -> str:
        """A ticket for one request to the service of ``namespace``."""
        now = int(self._clock())
        ticket = Ticket(verb=verb, key=key, jti=secrets.token_hex(16), iat=now, exp=now + SECONDS, **claims)
        body = {"iss": ISSUER, "aud": audience(namespace), **ticket.to_wire()}
        return jwt.encode(body, self._key, algorithm=ALGORITHM, headers={"kid": self.kid})


def with_key(listed: str | None, public: Mapping[str, str]) -> str | None:
    """The list of public keys with this one first; None where it is there. What cannot be read is written anew."""
    try:
        keys = [each for each in json.loads(listed or "{}").get("keys", []) if isinstance(each, dict)]
    except (ValueError, AttributeError):
        keys = []
    if any(each == public for each in keys):
        return None
    others = [each for each in keys if each.get("kid") != public["kid"]]
    return json.dumps({"keys": [dict(public), *others][:MAX_KEYS]})
