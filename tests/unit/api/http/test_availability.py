"""What callers get when something behind the API is missing, and what the metrics record of it."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.fakes import MemoryBackend

from audiojob_api.access.authorizer import Identity
from audiojob_kube.errors import ApiError, Forbidden, NotFound, ServerError, TooManyRequests, TransportError

JOBS = "/api/v1/jobs"


class UnreviewedBackend(MemoryBackend):
    """A cluster that does not say who a token belongs to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def review_token(self, token: str, audience: str) -> Identity | None:
        self.reviews += 1
        raise self._error


@pytest.mark.parametrize(
    ("backend", "status"),
    [
        pytest.param(UnreviewedBackend(TransportError("refused")), 503, id="it is away"),
        pytest.param(UnreviewedBackend(ServerError(500, "InternalError", "etcd")), 503, id="it fails"),
        pytest.param(UnreviewedBackend(Forbidden(403, "Forbidden", "system:us may not")), 503, id="we lack the right"),
        pytest.param(UnreviewedBackend(TooManyRequests(429, "", "", retry_after=0.2)), 429, id="it is busy"),
    ],
)
def test_a_cluster_that_reviews_no_token(client: TestClient, backend: UnreviewedBackend, status: int) -> None:
    answers = [client.get(JOBS) for _ in range(2)]
    for answer in answers:
        assert answer.status_code == status, answer.text
        assert int(answer.headers["retry-after"]) >= 1
        assert "system:us" not in answer.text
    assert backend.reviews == 2, "a failure is not cached"


@pytest.mark.parametrize("path", [JOBS, f"{JOBS}/song", f"{JOBS}/song/events"], ids=["list", "get", "events"])
def test_before_the_first_list_nothing_is_said_to_be_missing(
    client: TestClient, backend: MemoryBackend, path: str
) -> None:
    backend.is_synced = False
    answer = client.get(path)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "error",
    [NotFound(404, "NotFound", "namespaces not found"), ServerError(500, "InternalError", "etcd")],
    ids=["the namespace is gone", "the database fails"],
)
def test_a_job_that_cannot_be_kept_is_no_404(client: TestClient, backend: MemoryBackend, error: ApiError) -> None:
    backend.failure = error
    assert client.post(JOBS, json={"pipeline": "separate"}).status_code == 503


def requests_counted(client: TestClient) -> list[str]:
    return [line for line in client.get("/metrics").text.splitlines() if "request_seconds_count" in line]


def test_our_own_faults_are_counted(client: TestClient, backend: MemoryBackend) -> None:
    backend.failure = RuntimeError("a fault")
    client.post(JOBS, json={"pipeline": "separate"})
    assert any('status="5xx"' in line and f'route="{JOBS}"' in line for line in requests_counted(client))


def test_made_up_methods_make_no_new_series(client: TestClient) -> None:
    for number in range(20):
        client.request(f"EVIL{number}", JOBS)
    assert not any("EVIL" in line for line in requests_counted(client))


def test_the_openapi_document_describes_errors_and_tokens(document: dict[str, Any]) -> None:
    create = document["paths"][JOBS]["post"]
    assert {"201", "200", "400", "401", "403", "409", "413", "415", "422", "429", "500", "503"} <= set(
        create["responses"]
    )
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert set(response["content"]) == {"application/problem+json"}, (path, method, status)
    assert create["security"], "the page at /docs can send a token"
    assert [scheme["scheme"] for scheme in document["components"]["securitySchemes"].values()] == ["bearer"]
