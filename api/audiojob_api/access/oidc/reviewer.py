"""Reviews tokens of providers without asking anybody but for new keys."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from audiojob_api.access.authorizer import Reviewed
from audiojob_api.access.config import AccessConfig, Provider
from audiojob_api.access.oidc.keyring import Keyring, NoKeysError
from audiojob_api.access.oidc.rules import member
from audiojob_api.access.oidc.tokens import LEEWAY_SECONDS, RefusedToken, read_unverified, user_of, verify
from audiojob_api.problems import unavailable

_log = logging.getLogger(__name__)

_MOST_CACHED_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Known:
    """A provider and its keys."""

    provider: Provider
    keys: Keyring


class OidcReviewer:
    """A `TokenReviewer` for the tokens of these providers, by issuer."""

    def __init__(
        self, providers: Mapping[str, Known], config: AccessConfig, clock: Callable[[], float] = time.time
    ) -> None:
        self._providers = providers
        self._config = config
        self._clock = clock

    @property
    def names(self) -> Collection[str]:
        """How names of its users begin."""
        return [f"oidc:{known.provider.name}:" for known in self._providers.values()]

    def owns(self, token: str) -> bool:
        """Whether the token says that it is of one of these providers: then it is nobody else's to judge."""
        said = read_unverified(token)
        return said is not None and said.issuer in self._providers

    async def review(self, token: str) -> Reviewed | None:
        """The token's owner; None for one that is not valid. Raises a 503 Problem where no key is known."""
        said = read_unverified(token)
        if said is None:
            return None
        known = self._providers[said.issuer]
        provider = known.provider
        try:
            if said.critical or said.algorithm not in provider.algorithms:
                raise RefusedToken("its header asks for what is not taken")
            key = await known.keys.find(said)
            if key is None:
                raise RefusedToken("no key of the provider fits")
            now = self._clock()
            claims = verify(token, key, issuer=provider.issuer, audiences=provider.audiences, now=now)
            user = user_of(claims, provider.user_claim)
        except RefusedToken as refused:
            _log.info("a token of the provider %s is refused: %s", provider.name, refused)
            return None
        except NoKeysError:
            raise unavailable("Your identity provider does not answer; try again.") from None
        seconds = min(_MOST_CACHED_SECONDS, float(claims["exp"]) + LEEWAY_SECONDS - now)
        return Reviewed(member(self._config, provider.name, user, claims), seconds)
