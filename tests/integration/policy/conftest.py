"""Fixtures: the policy in force, and namespaces as the chart prepares them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from tests.integration.policy.space import Namespace, prepare

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import repository
from audiojob_dev.rest import wait_until
from audiojob_types.constants import RUNNER_SERVICE_ACCOUNT
from audiojob_types.generate.runner_policy import NAME


@pytest.fixture(scope="module")
def enforced(apiserver: LocalApiServer) -> Iterator[LocalApiServer]:
    """The API server with the chart's policy, from when it is seen to refuse until it is seen to be gone."""
    file = repository() / "charts" / "audiojob" / "templates" / "runner-policy.yaml"
    apiserver.kubectl("apply", "-f", str(file))
    probe = prepare(apiserver, f"policy-probe-{uuid.uuid4().hex[:6]}")
    job = probe.audiojob({"state": "Running"})
    token = apiserver.service_account_token(probe.name, RUNNER_SERVICE_ACCOUNT)

    def refused() -> bool:
        answer = probe.report(token, job, {"percent": 5})
        return answer.status == 403 and NAME in answer.message

    try:
        wait_until("the policy", refused, seconds=30)
        yield apiserver
    finally:
        apiserver.kubectl("delete", "-f", str(file), "--ignore-not-found")
        # Else the next module takes what is left of this one's for its own, and it ends under that module's hands.
        wait_until("the policy's end", lambda: probe.report(token, job, {"percent": 5}).status == 200, seconds=30)
        probe.delete()


@pytest.fixture
def space(enforced: LocalApiServer) -> Iterator[Namespace]:
    """A fresh namespace under the policy."""
    prepared = prepare(enforced, f"policy-{uuid.uuid4().hex[:10]}")
    yield prepared
    prepared.delete()


@pytest.fixture
def elsewhere(enforced: LocalApiServer) -> Iterator[Namespace]:
    """A second prepared namespace."""
    prepared = prepare(enforced, f"policy-{uuid.uuid4().hex[:10]}")
    yield prepared
    prepared.delete()
