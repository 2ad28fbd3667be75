"""Whose request it is by address: what an ingress that is named says counts, and nobody else is believed."""

from __future__ import annotations

import json
import logging

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.__main__ import _config
from audiojob_api.app import create_app
from audiojob_api.http.metrics import ApiMetrics
from audiojob_api.settings import ApiSettings

INGRESS, CLIENT, FORGED = "10.1.2.3", "198.51.100.7", "192.0.2.1"


@pytest.mark.parametrize(
    ("trusted", "peer", "told", "address"),
    [
        pytest.param("", INGRESS, [CLIENT], INGRESS, id="nobody is trusted"),
        pytest.param("", "127.0.0.1", [CLIENT], "127.0.0.1", id="nor a port-forward"),
        pytest.param("10.0.0.0/8", INGRESS, [CLIENT], CLIENT, id="an ingress of a trusted network"),
        pytest.param(INGRESS, INGRESS, [CLIENT], CLIENT, id="of a trusted address"),
        pytest.param("10.0.0.0/8", FORGED, [CLIENT], FORGED, id="a client that came past it"),
        pytest.param("10.0.0.0/8", INGRESS, [f"{FORGED}, {CLIENT}"], CLIENT, id="what the client sent stands before"),
        pytest.param("10.0.0.0/8", INGRESS, [FORGED, CLIENT], CLIENT, id="in a header of its own too"),
        pytest.param("10.0.0.0/8", INGRESS, [f"{FORGED}, {CLIENT}, 10.9.9.9"], CLIENT, id="two proxies"),
        pytest.param("10.0.0.0/8", INGRESS, [f"10.4.4.4, {CLIENT}"], CLIENT, id="who calls itself a proxy"),
        pytest.param("10.0.0.0/8", INGRESS, [], INGRESS, id="an ingress that says nothing"),
    ],
)
def test_the_address_of_a_client(
    backend: MemoryBackend, caplog: pytest.LogCaptureFixture, trusted: str, peer: str, told: list[str], address: str
) -> None:
    settings = ApiSettings(namespace="team", trusted_proxies=trusted)
    metrics = ApiMetrics()
    config = _config(create_app(settings, backend.backend(), backend.stopping, metrics), settings, metrics)
    config.load()
    caplog.set_level(logging.INFO, "audiojob_api.access")
    client = TestClient(config.loaded_app, client=(peer, 4711))
    client.get("/api/v1/jobs", headers=[("X-Forwarded-For", each) for each in told])
    (line,) = (json.loads(each.getMessage()) for each in caplog.records if each.name == "audiojob_api.access")
    assert line["client"] == address
