"""A files service over a folder of the test, an API's key to write tickets with, and an API before the service."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import uvicorn
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import OKPAlgorithm
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend

from audiojob_api.__main__ import _config
from audiojob_api.access.config import AccessConfig
from audiojob_api.app import create_app as create_api
from audiojob_api.cluster.files import HttpFiles
from audiojob_api.cluster.ticket_key import TicketKey
from audiojob_api.files.tickets import Signer
from audiojob_api.http.metrics import ApiMetrics
from audiojob_api.jobs.ports import NamespaceJobs
from audiojob_api.settings import ApiSettings
from audiojob_api.sql.database import Database
from audiojob_api.sql.url import parse
from audiojob_files.__main__ import READ_BYTES
from audiojob_files.app import create_app
from audiojob_files.settings import FilesSettings
from audiojob_store.ticket import HEADER, ISSUER, audience

NAMESPACE = "music"
OTHER_TOKEN = "other-token"


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


class _NoKeeping(TicketKey):
    """A key that is there already."""

    async def run(self) -> None:
        await asyncio.Event().wait()


@dataclass
class Api:
    backend: MemoryBackend
    service: Service
    session: aiohttp.ClientSession
    files: HttpFiles

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Status, headers and body, read as JSON where it is some."""
        headers = {"Authorization": f"Bearer {GOOD_TOKEN}", **options.pop("headers", {})}
        async with self.session.request(method, f"/api/v1{path}", headers=headers, **options) as answer:
            content = await answer.read()
            return answer.status, answer.headers, json.loads(content) if "json" in answer.content_type else content


@pytest.fixture
async def api(files: Service, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    """With limits, and a database for them, where a test gives some as the fixture's parameter."""
    seed = files.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    key = _NoKeeping(None, "", "", "", ())  # type: ignore[arg-type] # nothing is asked of the cluster
    key.signer = Signer(seed)
    keys = files.store.parent / "keys.json"
    keys.write_text(json.dumps({"keys": [dict(key.signer.public)]}))
    through = HttpFiles(str(files.session._base_url).rstrip("/"), key)
    backend = MemoryBackend()
    backend.users[OTHER_TOKEN] = "other"
    backend.reachable = {NAMESPACE}
    settings = ApiSettings(namespace=NAMESPACE, port=0, host="127.0.0.1")
    metrics = ApiMetrics()
    jobs = {NAMESPACE: NamespaceJobs(reader=backend, live=backend, writer=backend)}
    whole = replace(backend.backend(), jobs=jobs, files=through)
    if limits := getattr(request, "param", None):
        database = Database(parse(f"sqlite:///{files.store.parent}/api.db"))
        await database.open()
        whole = replace(whole, database=database, access=AccessConfig.model_validate({"limits": limits}))
    app = create_api(settings, whole, backend.stopping, metrics)
    server = uvicorn.Server(_config(app, settings, metrics))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event of it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield Api(backend, files, session, through)
    server.should_exit = True
    await running
