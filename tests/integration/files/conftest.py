"""A files service over a folder of the test, an API's key to write tickets with, and an API before the service."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Iterator
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
from tests.support.buckets.gateway import ACCESS_KEY, SECRET_KEY, Gateway, running_gateway
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


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A real S3 server; only tests of a bucket start it."""
    with running_gateway(tmp_path_factory.mktemp("buckets"), tmp_path_factory.mktemp("metadata")) as found:
        yield found


@pytest.fixture
def store_kind() -> str:
    """Folder, unless a test says S3."""
    return "Folder"


@pytest.fixture
async def files(tmp_path: Path, store_kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """The service; with S3 its store is the folder of the bucket, in which the server keeps objects as files."""
    given: dict[str, Any] = {"root": tmp_path / "store"}
    store = tmp_path / "store"
    if store_kind == "S3":
        server: Gateway = request.getfixturevalue("gateway")
        store = server.root / f"bucket-{uuid.uuid4().hex[:8]}"
        given = in_bucket(tmp_path, server, store.name)
    (store / NAMESPACE).mkdir(parents=True)
    key = Ed25519PrivateKey.generate()
    public = json.loads(OKPAlgorithm.to_jwk(key.public_key()))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [{**public, "kid": "one"}]}))
    settings = FilesSettings(
        namespace=NAMESPACE, keys=tmp_path / "keys.json", host="127.0.0.1", port=0,
        min_free_bytes=0, max_upload_bytes=64 * 1024**2, **given,
    )  # fmt: skip
    runner = web.AppRunner(create_app(settings), access_log=None, read_bufsize=READ_BYTES, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, settings.host, 0).start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}", auto_decompress=False) as session:
        yield Service(store, session, key)
    await runner.cleanup()


def in_bucket(folder: Path, server: Gateway, bucket: str) -> dict[str, Any]:
    """Settings of a service over a bucket that clients reach too."""
    (folder / "credentials").mkdir(parents=True)
    (folder / "parts").mkdir()
    (folder / "credentials/accessKeyId").write_text(ACCESS_KEY)
    (folder / "credentials/secretAccessKey").write_text(SECRET_KEY)
    store = {"kind": "S3", "bucket": bucket, "endpoint": server.endpoint, "allowHttp": True}
    return {
        "store": json.dumps(store), "credentials": folder / "credentials", "parts": folder / "parts",
        "parts_bytes": 256 * 1024**2, "public_url": server.endpoint,
    }  # fmt: skip


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

    @property
    def headers(self) -> dict[str, str]:
        """Of a caller who may do everything."""
        return {"Authorization": f"Bearer {GOOD_TOKEN}"}

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Status, headers and body, read as JSON where it is some."""
        headers = {**self.headers, **options.pop("headers", {})}
        async with self.session.request(method, f"/api/v1{path}", headers=headers, **options) as answer:
            content = await answer.read()
            return answer.status, answer.headers, json.loads(content) if "json" in answer.content_type else content


@pytest.fixture
async def api(files: Service, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    """With limits, and a database for them, where a test gives some as the fixture's parameter."""
    seed = files.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    key = _NoKeeping(None, "", "", "", ())  # type: ignore[arg-type] # nothing is asked of the cluster
    key.signer = Signer(seed)
    keys = tmp_path / "keys.json"
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
        database = Database(parse(f"sqlite:///{tmp_path}/api.db"))
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
