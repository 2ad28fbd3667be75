"""The API as installed: a token from the cluster, a job over HTTP, its events until the end."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.product import Product, simulate_pipeline

from audiojob_dev.demo import request
from audiojob_dev.demo.install import RELEASE, RELEASE_NAMESPACE
from audiojob_types.constants import API_AUDIENCE

pytestmark = pytest.mark.beside_others

PIPELINES = [simulate_pipeline("e2e-api", phases=2)]


@pytest.fixture(scope="module")
def base(product: Product) -> Iterator[str]:
    """The API's address, through a port-forward."""
    with product.cluster.port_forward(RELEASE_NAMESPACE, f"service/{RELEASE}-api", 80) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def token(product: Product) -> str:
    """A token of an account that may use AudioJobs."""
    product.apply(*request.caller(product.namespace))
    return product.cluster.kubectl(
        "-n", product.namespace, "create", "token", request.CALLER, "--audience", API_AUDIENCE
    ).strip()


def call(method: str, url: str, token: str | None, body: Any = None) -> tuple[int, Any]:
    """One request; the status and the JSON answer."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_job_over_http_is_followed_to_its_end(base: str, token: str) -> None:
    body = {"pipeline": "e2e-api", "parameters": {"simulate": {"durationMilliseconds": 1500}}}
    status, created = call("POST", f"{base}/api/v1/jobs", token, body)
    assert status == 201, created
    follow = urllib.request.Request(
        f"{base}/api/v1/jobs/{created['name']}/events", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(follow, timeout=60) as stream:
        events = [json.loads(line[5:]) for line in stream if line.startswith(b"data:")]
    states = [event["status"]["state"] for event in events]
    assert states[-1] == "Succeeded"
    assert "Running" in states


def test_cancel_over_http(base: str, token: str, product: Product) -> None:
    body = {
        "name": f"http-{uuid.uuid4().hex[:6]}",
        "pipeline": "e2e-api",
        "parameters": {"simulate": {"durationMilliseconds": 60_000}},
    }
    status, created = call("POST", f"{base}/api/v1/jobs", token, body)
    assert status == 201, created
    assert call("POST", f"{base}/api/v1/jobs/{created['name']}/cancel", token)[0] == 202
    assert product.finished(created["name"]).status.state == "Cancelled"


def test_without_a_token_nothing_is_told(base: str) -> None:
    status, problem = call("GET", f"{base}/api/v1/jobs", None)
    assert status == 401
    assert API_AUDIENCE in problem["detail"]
