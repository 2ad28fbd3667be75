"""A token of a provider: read without trust, then verified with the provider's own key.

The key decides the algorithm, never the token: `alg: none`, and an HMAC with a public key as its secret, fit no key.
What a token says of where its keys lie (`jku`, `x5u`, `jwk`) is not read.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

LEEWAY_SECONDS: Final = 30.0
_LEAST_RSA_BITS: Final = 2_048
_MOST_KEYS: Final = 100
_MOST_NAME: Final = 255
_REQUIRED: Final = ("exp", "sub", "iss", "aud")

Claims = Mapping[str, Any]


class RefusedToken(Exception):  # noqa: N818 - it is no failure
    """Why a token is not taken: for the log, never for the caller. Holds nothing of the token but times and names."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of a provider, and the one algorithm that it verifies."""

    kid: str | None
    algorithm: str
    public: Any


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself."""

    issuer: str
    algorithm: str
    kid: str | None
    critical: bool


def read_unverified(token: str) -> Unverified | None:
    """None for what is no signed JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    header, payload = _json(parts[0]), _json(parts[1])
    if header is None or payload is None:
        return None
    issuer, algorithm, kid = payload.get("iss"), header.get("alg"), header.get("kid")
    if not isinstance(issuer, str) or not isinstance(algorithm, str) or not isinstance(kid, str | None):
        return None
    return Unverified(issuer, algorithm, kid, "crit" in header)


def _json(part: str) -> dict[str, Any] | None:
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def keys_of(document: object) -> tuple[Key, ...]:
    """The keys of a JWKS document that verify what we take; others are passed over. Raises ValueError."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the document has no list of keys")
    found = []
    for each in listed[:_MOST_KEYS]:
        if isinstance(each, dict) and each.get("use", "sig") == "sig":
            key = _key(each)
            if key is not None:
                found.append(key)
    return tuple(found)


def _key(document: dict[str, Any]) -> Key | None:
    if document.get("kty") not in ("RSA", "EC", "OKP"):
        return None  # never a secret (oct)
    try:
        public = jwt.PyJWK.from_dict(document).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    match public:
        case rsa.RSAPublicKey() if public.key_size >= _LEAST_RSA_BITS:
            algorithm = "RS256"
        case ec.EllipticCurvePublicKey() if isinstance(public.curve, ec.SECP256R1):
            algorithm = "ES256"
        case ed25519.Ed25519PublicKey():
            algorithm = "EdDSA"
        case _:
            return None
    kid = document.get("kid")
    if document.get("alg", algorithm) != algorithm or not isinstance(kid, str | None):
        return None
    return Key(kid, algorithm, public)


def choose(keys: Sequence[Key], said: Unverified) -> Key | None:
    """The key that the token names; without a name, the only one of its algorithm."""
    fitting = [key for key in keys if key.algorithm == said.algorithm and said.kid in (None, key.kid)]
    return fitting[0] if len(fitting) == 1 else None


def verify(token: str, key: Key, *, issuer: str, audiences: Sequence[str], now: float) -> Claims:
    """The claims of a token that this key signed, for us, at its time. Raises RefusedToken."""
    try:
        claims: Claims = jwt.decode(
            token,
            key.public,
            algorithms=[key.algorithm],
            audience=list(audiences),
            issuer=issuer,
            # Times are compared below, by our clock.
            options={"require": list(_REQUIRED), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except jwt.PyJWTError as error:
        raise RefusedToken(type(error).__name__) from None
    expires, begins, made = (_moment(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is None:
        raise RefusedToken("exp is missing")
    if now >= expires + LEEWAY_SECONDS:
        raise RefusedToken(f"expired {now - expires:.0f} s ago by this clock")
    for name, moment in (("nbf", begins), ("iat", made)):
        if moment is not None and moment > now + LEEWAY_SECONDS:
            raise RefusedToken(f"{name} is {moment - now:.0f} s ahead of this clock")
    return claims


def user_of(claims: Claims, claim: str) -> str:
    """The user's name at the provider. Raises RefusedToken."""
    name = find(claims, claim)
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME or not name.isprintable():
        raise RefusedToken(f"{claim} is no name of at most {_MOST_NAME} characters")
    return name


def find(claims: Claims, path: str) -> object:
    """A claim by its name, else by a path with dots; None for none."""
    if path in claims:
        return claims[path]
    here: object = claims
    for step in path.split("."):
        if not isinstance(here, Mapping):
            return None
        here = here.get(step)
    return here


def _moment(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise RefusedToken(f"{name} is no time")
    return float(value)
