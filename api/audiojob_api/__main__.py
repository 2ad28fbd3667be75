"""``python -m audiojob_api``: serve the API."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import uuid
from collections.abc import Mapping, Sequence
from types import FrameType

import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import ValidationError

from audiojob_api.access.authorizer import TokenReviewer
from audiojob_api.access.config import AccessConfig, load_access
from audiojob_api.access.oidc.keyring import Keyring
from audiojob_api.access.oidc.reviewer import Known, OidcReviewer
from audiojob_api.app import Backend, create_app
from audiojob_api.archive.joined import JoinedReader
from audiojob_api.archive.reader import ArchiveReader
from audiojob_api.archive.statistics import Statistics
from audiojob_api.archive.store import ArchiveStore
from audiojob_api.archive.writer import ArchiveWriter
from audiojob_api.cluster.files import HttpFiles
from audiojob_api.cluster.jobs import KubeJobs, ReadModels
from audiojob_api.cluster.operator import KubeOperator
from audiojob_api.cluster.pipelines import KubePipelines
from audiojob_api.cluster.reviews import KubeAuthorizer
from audiojob_api.cluster.ticket_key import TicketKey
from audiojob_api.http.connection import ConnectionLimits, protocol
from audiojob_api.http.metrics import ApiMetrics
from audiojob_api.jobs.ports import NamespaceJobs
from audiojob_api.providers.keys import ProviderKeys, trust
from audiojob_api.settings import ApiSettings
from audiojob_api.sql.database import Database
from audiojob_api.sql.errors import DatabaseError
from audiojob_api.sql.filesystem import require_local
from audiojob_api.sql.url import parse
from audiojob_kube.client import connect
from audiojob_kube.config import load_connection
from audiojob_kube.errors import ConfigError
from audiojob_kube.protocol import KubeClient
from audiojob_types.constants import FILES_KEYS_CONFIGMAP, MANAGER_API
from audiojob_types.outside.logs import RedactingFormatter, close_other_ways, leave_out_origins
from audiojob_types.outside.redaction import SECRETS

_EXIT_USAGE = 64
_GRACEFUL_SECONDS = 10
# New objects before the youngest are looked through, and how many such looks before the older ones. Python's own 700
# are the requests of one moment, nearly all of which live: a tenth of a creation went into looking for others.
_COLLECTED_AFTER = (20_000, 20, 20)


class _Server(uvicorn.Server):
    """Ends event streams as soon as shutdown begins; uvicorn itself would wait for them."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.set()
        super().handle_exit(sig, frame)


async def serve(settings: ApiSettings, access: AccessConfig) -> None:
    """Run until SIGTERM."""
    client = connect(load_connection(settings.kubeconfig), user_agent=MANAGER_API, field_manager=MANAGER_API)
    try:
        stopping = asyncio.Event()
        metrics = ApiMetrics()
        app = create_app(settings, _backend(client, settings, access), stopping, metrics)
        # Half a second of work: in a thread, before somebody asks for it and everybody waits.
        describing = asyncio.create_task(asyncio.to_thread(app.openapi))
        gc.collect()
        gc.freeze()  # the program itself, which each collection would look through while the jobs come
        await _Server(_config(app, settings, metrics), stopping).serve()
        await describing
    finally:
        await client.aclose()


def _config(app: FastAPI, settings: ApiSettings, metrics: ApiMetrics) -> uvicorn.Config:
    limits = ConnectionLimits(
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
        send_seconds=settings.send_seconds,
        most=settings.max_connections,
        head_bytes=settings.max_head_bytes,
    )
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol(limits, lambda reason: metrics.refused.labels(reason).inc()),  # type: ignore[arg-type] # uvicorn calls it, whatever it is
        ws="none",  # no route is one, and its connections would not have our limits
        # Without this, what comes through `kubectl port-forward` could name any address as its own.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        log_level=settings.log_level.lower(),
        access_log=False,
        log_config=None,  # its own would print what h11 says without our formatter
        server_header=False,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
    )


def _backend(client: KubeClient, settings: ApiSettings, access: AccessConfig) -> Backend:
    models = {namespace: KubeJobs(client, namespace, settings.archive.labels) for namespace in settings.served}
    database = _database(settings, access)
    archive = _archive(settings, database, models)
    return Backend(
        authorizer=KubeAuthorizer(client),
        jobs={name: _jobs(each, name, archive) for name, each in models.items()},
        lifecycle=ReadModels(list(models.values())),
        reviewers=_reviewers(access),
        database=database,
        archive=archive,
        access=access,
        files=_files(client, settings),
        pipelines=KubePipelines(client),
        operator=KubeOperator(client, settings.operator_lease).trouble if settings.operator_lease else None,
    )


def _archive(settings: ApiSettings, database: Database | None, models: Mapping[str, KubeJobs]) -> ArchiveWriter | None:
    """Raises DatabaseError where there is no database to keep an archive in."""
    if not settings.archive.enabled:
        return None
    if database is None:
        raise DatabaseError("archive.enabled: needs database.url, where the archive is kept")
    store = ArchiveStore(database, f"api-{uuid.uuid4()}")
    writer = ArchiveWriter(store, models, settings.archive.retention_days)
    for model in models.values():
        model.watch(writer.saw)
    return writer


def _jobs(jobs: KubeJobs, namespace: str, archive: ArchiveWriter | None) -> NamespaceJobs:
    if archive is None:
        return NamespaceJobs(jobs, jobs, jobs)
    reader = JoinedReader(jobs, ArchiveReader(archive.database, namespace))
    return NamespaceJobs(reader, jobs, jobs, Statistics(archive, namespace))


def _files(client: KubeClient, settings: ApiSettings) -> HttpFiles | None:
    if settings.files_url is None:
        return None
    home = settings.files_home or settings.namespace
    key = TicketKey(client, home, settings.files_secret, FILES_KEYS_CONFIGMAP, settings.served)
    return HttpFiles(settings.files_url, key)


def _reviewers(access: AccessConfig) -> Sequence[TokenReviewer]:
    tls = trust(access.ca_file)
    known = {each.issuer: Known(each, Keyring(each.name, ProviderKeys(each, tls))) for each in access.providers}
    return [OidcReviewer(known, access)] if known else []


def _database(settings: ApiSettings, access: AccessConfig) -> Database | None:
    """Raises DatabaseError for an address that cannot be used: it will not get better by waiting."""
    if settings.database.url is None:
        if access.limits.counts or access.limits.counts_bytes:
            raise DatabaseError("limits that count jobs or bytes need a database: set AUDIOJOB_DATABASE__URL")
        return None
    url = parse(settings.database.url.get_secret_value())
    if url.url.password:
        SECRETS.learn(url.url.password)
    if url.file is not None:
        require_local(url.file)
    return Database(url)


def main() -> int:
    """The process; 64 for settings that cannot be used."""
    try:
        settings = ApiSettings()
    except ValidationError as error:
        for one in error.errors():
            name = "AUDIOJOB_" + "__".join(str(part).upper() for part in one["loc"])
            print(f"audiojob-api: {name}: {one['msg']}", file=sys.stderr)
        return _EXIT_USAGE
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    close_other_ways()
    leave_out_origins()
    gc.set_threshold(*_COLLECTED_AFTER)
    try:
        access = load_access(settings.access_file, settings.served)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, access))
    except (ConfigError, DatabaseError) as error:
        print(f"audiojob-api: {error}", file=sys.stderr)
        return _EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
