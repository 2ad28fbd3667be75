"""The application, assembled from its parts; nothing is global."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from fastapi import FastAPI
from prometheus_client import ProcessCollector

from audiojob_api.access.attempts import Attempts
from audiojob_api.access.authenticator import Authenticator
from audiojob_api.access.authorizer import Authorizer, TokenReviewer
from audiojob_api.access.config import AccessConfig
from audiojob_api.access.keys.reviewer import KeyReviewer
from audiojob_api.access.keys.store import KeyStore
from audiojob_api.access.limits.burst import Bursts
from audiojob_api.access.limits.ledger import Ledger
from audiojob_api.access.limits.quota import Fate, Quota, Seen
from audiojob_api.access.limits.shares import Shares
from audiojob_api.access.limits.upload_quota import UploadBounds, UploadQuota
from audiojob_api.access.limits.uploads import Kept, StoredBytes
from audiojob_api.access.places import Places
from audiojob_api.archive.metrics import ArchiveMetrics
from audiojob_api.archive.writer import ArchiveWriter
from audiojob_api.files.ports import Files
from audiojob_api.files.uploads import stored_bytes
from audiojob_api.http import docs_page
from audiojob_api.http.audit import AccessLog, AuditLog
from audiojob_api.http.bodies import HeadRequests
from audiojob_api.http.deps import Services, Space, install
from audiojob_api.http.errors import install_handlers
from audiojob_api.http.limits import BodyLimit, CallersFirst, FairShares, FloodGuard, HeadRules, RateHeaders
from audiojob_api.http.metrics import ApiMetrics, RequestTimer
from audiojob_api.http.openapi import DescribedApp
from audiojob_api.http.routes import (
    control,
    events,
    health,
    jobs,
    jobs_with_file,
    keys,
    logs,
    outputs,
    statistics,
    uploads,
)
from audiojob_api.http.routes.bulk import jobs as bulk
from audiojob_api.http.routes.compat import scores
from audiojob_api.http.routes.planning import estimates
from audiojob_api.jobs.estimates.estimator import Estimator
from audiojob_api.jobs.following import has_ended
from audiojob_api.jobs.ports import Lifecycle, NamespaceJobs, Pipelines
from audiojob_api.jobs.queue_position import QueuePositions
from audiojob_api.jobs.statistics.health import Trouble
from audiojob_api.jobs.statistics.sums import minutes_of
from audiojob_api.jobs.views import view
from audiojob_api.settings import ApiSettings
from audiojob_api.sql.database import Database

_ROUTES: Final = (
    health, jobs_with_file, jobs, bulk, control, events, keys, statistics, outputs, logs, uploads, scores, estimates,
    docs_page,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Backend:
    """What the API stands on, one protocol for each concern."""

    authorizer: Authorizer
    jobs: Mapping[str, NamespaceJobs]
    """By namespace: all that are served."""
    lifecycle: Lifecycle
    reviewers: Sequence[TokenReviewer] = ()
    """Of tokens that are not the API server's to judge."""
    database: Database | None = None
    archive: ArchiveWriter | None = None
    access: AccessConfig = field(default_factory=AccessConfig)
    files: Files | None = None
    """The files services; None where files are off."""
    pipelines: Pipelines | None = None
    """None where they cannot be read, so that nothing is estimated."""
    operator: Trouble | None = None
    """None where nobody looks at the operator."""


def create_app(
    settings: ApiSettings, backend: Backend, stopping: asyncio.Event, metrics: ApiMetrics | None = None
) -> FastAPI:
    """The ASGI application. Its lifespan keeps the read model current; ``stopping`` ends its event streams."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(backend.lifecycle.run(), name="read-model")]
        if backend.database is not None:
            tasks.append(asyncio.create_task(backend.database.run(), name="database"))
            tasks.append(asyncio.create_task(services.quota.run(), name="quota"))
            tasks.append(asyncio.create_task(services.upload_quota.run(), name="upload-quota"))
        if backend.archive is not None:
            tasks.append(asyncio.create_task(backend.archive.run(), name="archive"))
        if backend.files is not None:
            tasks.append(asyncio.create_task(backend.files.run(), name="files"))
        try:
            yield
        finally:
            for task in reversed(tasks):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            if backend.database is not None:
                await backend.database.close()
            if backend.files is not None:
                await backend.files.close()

    services = _services(settings, backend, stopping, metrics or ApiMetrics())
    app = DescribedApp(
        title="audiojob",
        version="v1",  # of the interface, not of the release
        description="Creates and follows AudioJobs. Bearer tokens are Kubernetes tokens with audience "
        f"`{settings.audience}`, tokens of the API's identity providers, or API keys; errors are "
        "application/problem+json.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their scripts from a public network; ours is http.docs_page
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # nobody exports it, and each request would ask
        redirect_slashes=False,  # behind a TLS proxy a redirect would send the token over plain HTTP
        # The routers' own routes: a router that is included has all of them built again, for every app.
        routes=[route for module in _ROUTES for route in module.router.routes],
    )
    install(app, services)
    install_handlers(app)
    _add_middleware(app, settings, services)
    return app


def _add_middleware(app: FastAPI, settings: ApiSettings, services: Services) -> None:
    """The innermost first."""
    metrics = services.metrics
    app.add_middleware(HeadRequests)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(CallersFirst, authenticator=services.authenticator)
    if services.bursts is not None:
        app.add_middleware(
            FloodGuard, authenticator=services.authenticator, bursts=services.bursts, count=metrics.count_authorization
        )
    app.add_middleware(HeadRules, max_bytes=settings.max_head_bytes)
    app.add_middleware(FairShares, shares=services.shares)
    app.add_middleware(AuditLog)
    app.add_middleware(RateHeaders)
    app.add_middleware(RequestTimer, metrics=metrics)
    if settings.access_log:
        app.add_middleware(AccessLog)


def _services(settings: ApiSettings, backend: Backend, stopping: asyncio.Event, metrics: ApiMetrics) -> Services:
    ProcessCollector(registry=metrics.registry)  # its memory and CPU
    access, database = backend.access, backend.database
    if database is not None:
        metrics.registry.register(ArchiveMetrics(database, backend.archive))
    key_store = None if database is None else KeyStore(database)
    reviewers = list(backend.reviewers)
    if key_store is not None:
        reviewers.append(KeyReviewer(key_store, access, settings.auth_cache_seconds))
    authenticator = Authenticator(
        backend.authorizer,
        audience=settings.audience,
        cache_seconds=settings.auth_cache_seconds,
        attempts=Attempts(settings.attempts_per_minute, settings.attempts_per_minute_in_all),
        count=metrics.count_authorization,
        reviewers=reviewers,
    )
    ledger = Ledger(database) if database is not None and access.limits.counts else None
    quota = Quota(access.limits, ledger, partial(_seen, backend.jobs))
    return Services(
        settings=settings,
        authenticator=authenticator,
        places=Places(frozenset(backend.jobs), settings.namespace),
        spaces={name: _space(name, jobs, settings, backend.pipelines) for name, jobs in backend.jobs.items()},
        lifecycle=backend.lifecycle,
        database=database,
        access=access,
        quota=quota,
        upload_quota=_upload_quota(backend, quota),
        bursts=Bursts(access.limits.burst) if access.limits.burst else None,
        shares=Shares(settings.max_requests_per_user),
        keys=key_store,
        files=backend.files,
        operator=backend.operator,
        metrics=metrics,
        stopping=stopping,
    )


def _upload_quota(backend: Backend, quota: Quota) -> UploadQuota:
    limits, database = backend.access.limits, backend.database
    ledger = StoredBytes(database) if database is not None and limits.counts_bytes else None

    async def stored(upload: Kept) -> int | None:
        if backend.files is None:
            return upload.bytes
        return await stored_bytes(backend.files, upload.namespace, upload.id, upload.user)

    return UploadQuota(UploadBounds(quota.tier, limits.stored_bytes_per_namespace), ledger, stored)


async def _seen(jobs: Mapping[str, NamespaceJobs], namespace: str, name: str) -> Seen:
    """What became of a job. Raises a 503 Problem while that is not known."""
    job = await jobs[namespace].reader.find(name) if namespace in jobs else None
    if job is None:
        return Seen(Fate.ABSENT)
    return Seen(Fate.ENDED if has_ended(job) else Fate.OPEN, minutes_of(job))


def _space(namespace: str, jobs: NamespaceJobs, settings: ApiSettings, pipelines: Pipelines | None) -> Space:
    positions = QueuePositions(jobs.live.jobs, settings.ageing_seconds)
    estimator = None if pipelines is None else Estimator(jobs, pipelines)
    return Space(namespace, jobs, lambda job: view(job, positions.of(job)), positions, estimator)
