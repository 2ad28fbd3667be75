"""A files service over a folder of the test, and an API's key to write tickets with."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from audiojob_files.__main__ import READ_BYTES
from audiojob_files.app import create_app
from audiojob_files.settings import FilesSettings
from audiojob_store.ticket import HEADER, ISSUER, audience

NAMESPACE = "music"


@dataclass
class Service:
    """A running service and its client."""

    store: Path
    session: aiohttp.ClientSession
    key: Ed25519PrivateKey

    @property
    def own(self) -> Path:
        """The namespace's folder."""
        return self.store / NAMESPACE

    def ticket(self, verb: str, key: str, **claims: Any) -> str:
        """A ticket as the API signs it; ``claims`` replace its own."""
        now = int(time.time())
        head = {"kid": claims.pop("kid", "one")}
        body = {
            "iss": ISSUER, "aud": audience(NAMESPACE), "jti": secrets.token_hex(16), "iat": now, "exp": now + 60,
            "verb": verb, "key": key, **claims,
        }  # fmt: skip
        return jwt.encode(body, self.key, algorithm="EdDSA", headers=head)

    def call(self, method: str, path: str, ticket: str | None, **options: Any) -> Any:
        """A request, as a context manager."""
        headers = {**options.pop("headers", {}), **({HEADER: ticket} if ticket else {})}
        return self.session.request(method, path, headers=headers, **options)


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "store" / NAMESPACE).mkdir(parents=True)
    key = Ed25519PrivateKey.generate()
    public = json.loads(OKPAlgorithm.to_jwk(key.public_key()))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [{**public, "kid": "one"}]}))
    settings = FilesSettings(
        namespace=NAMESPACE, root=tmp_path / "store", keys=tmp_path / "keys.json", host="127.0.0.1", port=0,
        min_free_bytes=0, max_upload_bytes=64 * 1024**2,
    )  # fmt: skip
    runner = web.AppRunner(create_app(settings), access_log=None, read_bufsize=READ_BYTES, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, settings.host, 0).start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}", auto_decompress=False) as session:
        yield Service(tmp_path / "store", session, key)
    await runner.cleanup()
