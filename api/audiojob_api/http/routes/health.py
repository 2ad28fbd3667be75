"""Probes and metrics: open to everybody who reaches the port."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from audiojob_api.cluster.gateway import Gateway
from audiojob_api.http.metrics import ApiMetrics
from audiojob_api.problems import responses, unavailable

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Whether the process answers")
async def livez() -> dict[str, str]:
    """Never asks the API server: its outage must not restart every replica."""
    return {"status": "alive"}


@router.get("/readyz", summary="Whether requests can be served", responses=responses(503))
async def readyz(request: Request) -> dict[str, str]:
    """Ready once the read model is complete, while it is fresh, and until shutdown begins."""
    gateway: Gateway = request.app.state.gateway
    if request.app.state.stopping.is_set():
        raise unavailable("Shutting down.")
    if not gateway.synced():
        raise unavailable("The first list of jobs is not complete yet.")
    if gateway.age() > request.app.state.settings.stale_after_seconds:
        raise unavailable(f"Nothing heard from the Kubernetes API server for {gateway.age():.0f} s.")
    return {"status": "ready"}


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Text for Prometheus."""
    gateway: Gateway = request.app.state.gateway
    values: ApiMetrics = request.app.state.metrics
    values.jobs.set(len(gateway.jobs()))
    values.age.set(gateway.age())
    return Response(generate_latest(values.registry), media_type=CONTENT_TYPE_LATEST)
