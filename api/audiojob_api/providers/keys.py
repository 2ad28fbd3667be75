"""Fetches the keys of an OpenID Connect provider: its discovery document, then the keys that this one names."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from audiojob_api.access.config import Provider
from audiojob_api.access.oidc.tokens import Key, keys_of
from audiojob_kube.errors import ConfigError

_SECONDS: Final = aiohttp.ClientTimeout(total=10, connect=5)
_MOST_BYTES: Final = 1024 * 1024
_DISCOVERY: Final = "/.well-known/openid-configuration"


def trust(ca_file: str | None) -> ssl.SSLContext:
    """Whose certificates providers may have. Raises ConfigError."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # SSLError is one
            raise ConfigError(f"caFile: {ca_file} holds no certificates: {error}") from None
    return context


class ProviderKeys:
    """The keys of one provider as they are now. Calls raise OSError, TimeoutError or ValueError."""

    def __init__(self, provider: Provider, tls: ssl.SSLContext) -> None:
        self._provider = provider
        self._schemes = ("https", "http") if provider.allow_http else ("https",)
        self._tls = tls

    async def __call__(self) -> Sequence[Key]:
        """All that verify what we take."""
        issuer = self._provider.issuer
        connector = aiohttp.TCPConnector(ssl=self._tls)
        # No cookies, no proxy of the environment, no redirects: keys come from where the administrator said.
        async with aiohttp.ClientSession(
            connector=connector, timeout=_SECONDS, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            found = await _document(session, issuer.rstrip("/") + _DISCOVERY)
            if found.get("issuer") != issuer:
                raise ValueError("its discovery document is of another issuer")
            address = found.get("jwks_uri")
            if not isinstance(address, str) or urlsplit(address).scheme not in self._schemes:
                raise ValueError("its discovery document names no https address of its keys")
            return keys_of(await _document(session, address))


async def _document(session: aiohttp.ClientSession, address: str) -> Mapping[str, Any]:
    try:
        async with session.get(address, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"{address} answers with {answer.status}")
            content = await answer.content.read(_MOST_BYTES + 1)
            while len(content) <= _MOST_BYTES and (more := await answer.content.read(_MOST_BYTES)):
                content += more
    except aiohttp.ClientError as error:
        raise OSError(f"{address}: {str(error) or type(error).__name__}") from None
    if len(content) > _MOST_BYTES:
        raise ValueError(f"{address} answers with more than {_MOST_BYTES} bytes")
    document = json.loads(content)
    if not isinstance(document, dict):
        raise ValueError(f"{address} answers with no object")
    return document
