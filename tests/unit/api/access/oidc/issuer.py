"""A provider in memory: keys, tokens and the documents that it would serve."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from audiojob_api.access.authorizer import Role
from audiojob_api.access.config import AccessConfig
from audiojob_api.access.oidc.keyring import Keyring
from audiojob_api.access.oidc.reviewer import Known, OidcReviewer
from audiojob_api.access.oidc.tokens import Key, keys_of

ISSUER = "https://id.example.org/realms/music"
AUDIENCE = "audiojob"
CONFIG = AccessConfig.model_validate(
    {
        "providers": [{"name": "corp", "issuer": ISSUER, "audiences": [AUDIENCE]}],
        "rules": [
            {"claim": "groups", "values": ["band"], "tenant": "band", "namespace": "team", "role": "submitter"},
            {"claim": "groups", "values": ["crew"], "tenant": "band", "namespace": "team", "role": "operator"},
            {"claim": "groups", "values": ["fans"], "tenant": "band", "namespace": "team", "role": "viewer"},
            {"claim": "org.name", "values": ["film"], "tenant": "film", "namespace": "film", "role": "admin"},
        ],
    }
)
_ALGORITHMS: dict[str, Any] = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


@cache
def private_key(algorithm: str, kid: str) -> Any:
    """One for each name; a name stands for a key of its own."""
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def public_document(algorithm: str, kid: str) -> dict[str, Any]:
    public = private_key(algorithm, kid).public_key()
    document: dict[str, Any] = json.loads(_ALGORITHMS[algorithm].to_jwk(public))
    return {**document, "kid": kid, "use": "sig"}


class Issuer:
    """What the provider has; tests change it."""

    def __init__(self) -> None:
        self.kids = [("ES256", "one")]
        self.fetches = 0
        self.away = False
        self.seconds = time.time()

    async def fetch(self) -> Sequence[Key]:
        self.fetches += 1
        if self.away:
            raise OSError("refused")
        return keys_of({"keys": [public_document(*each) for each in self.kids]})

    def token(self, *, algorithm: str = "ES256", kid: str = "one", headers: Any = None, **claims: Any) -> str:
        """One for a member of the band; a claim that is None is left out."""
        body = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "groups": ["band"],
            "iat": self.seconds, "exp": self.seconds + 600, **claims,
        }  # fmt: skip
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, private_key(algorithm, kid), algorithm, {"kid": kid, **(headers or {})})

    def reviewer(self, config: AccessConfig = CONFIG) -> OidcReviewer:
        (provider,) = config.providers
        keyring = Keyring(provider.name, self.fetch, lambda: self.seconds)
        return OidcReviewer({provider.issuer: Known(provider, keyring)}, config, lambda: self.seconds)


ROLES = {"band": Role.SUBMITTER, "crew": Role.OPERATOR, "fans": Role.VIEWER}
