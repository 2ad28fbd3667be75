"""The application, put together from its parts; nothing is global."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI

from audiojob_api.access.authenticator import Authenticator
from audiojob_api.cluster.gateway import Gateway
from audiojob_api.http.limits import BodyLimit
from audiojob_api.http.metrics import ApiMetrics, RequestTimer
from audiojob_api.http.routes import control, events, health, jobs
from audiojob_api.jobs.queue_position import Places
from audiojob_api.problems import install_handlers, with_media_type
from audiojob_api.settings import ApiSettings


class _App(FastAPI):
    """Describes its errors as what they are."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = with_media_type(super().openapi())
        return self.openapi_schema


def create_app(settings: ApiSettings, gateway: Gateway) -> FastAPI:
    """The ASGI application. Its lifespan keeps the gateway's read model current."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(gateway.run(), name="read-model")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    app = _App(
        title="audiojob",
        version="v1",  # of the interface, not of the release
        description="Creates and follows AudioJobs. Bearer tokens are Kubernetes tokens with audience "
        f"`{settings.audience}`; errors are application/problem+json.",
        lifespan=lifespan,
        redirect_slashes=False,  # behind a TLS proxy a redirect would send the token over plain HTTP
    )
    metrics = ApiMetrics()
    app.state.settings = settings
    app.state.gateway = gateway
    app.state.metrics = metrics
    app.state.places = Places(gateway.jobs, settings.ageing_seconds)
    app.state.stopping = asyncio.Event()
    app.state.authenticator = Authenticator(
        gateway, metrics, audience=settings.audience, cache_seconds=settings.auth_cache_seconds
    )
    install_handlers(app)
    app.include_router(health.router)
    app.include_router(jobs.router)
    app.include_router(control.router)
    app.include_router(events.router)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(RequestTimer, metrics=metrics)
    return app
