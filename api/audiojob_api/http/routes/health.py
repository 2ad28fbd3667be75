"""Probes and metrics: open to everybody who reaches the port."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from audiojob_api.http.deps import AllServices, ReadModel, Settings, Stopping
from audiojob_api.http.errors import responses
from audiojob_api.problems import unavailable

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Whether the process answers")
async def livez() -> dict[str, str]:
    """Never asks the API server: its outage must not restart every replica."""
    return {"status": "alive"}


@router.get("/readyz", summary="Whether requests can be served", responses=responses(503))
async def readyz(
    read_model: ReadModel, settings: Settings, stopping: Stopping, services: AllServices
) -> dict[str, str]:
    """Ready once the read model is complete, while it is fresh, and until shutdown begins; not while the
    database is being opened. Where that takes long, or it is away, live jobs are served without it.
    """
    if stopping.is_set():
        raise unavailable("The process is shutting down.")
    if not read_model.synced():
        raise unavailable("The first list of jobs is not complete yet.")
    if read_model.age() > settings.stale_after_seconds:
        raise unavailable(f"The Kubernetes API server was last heard from {read_model.age():.0f} s ago.")
    if services.database is not None and services.database.opens_soon:
        raise unavailable(services.database.detail)
    return {"status": "ready"}


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(services: AllServices) -> Response:
    """Text for Prometheus."""
    values = services.metrics
    values.jobs.set(sum(len(space.jobs.live.jobs()) for space in services.spaces.values()))
    values.age.set(services.lifecycle.age())
    return Response(generate_latest(values.registry), media_type=CONTENT_TYPE_LATEST)
