"""Whoever creates an AudioJob of another one's files must have the right to get that one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.policy.space import Namespace, prepare
from tests.integration.policy.test_metadata_policy import EDIT, account

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until
from audiojob_types import constants as c
from audiojob_types.generate.admission_policy import bind
from audiojob_types.generate.reference_policy import NAME, policy

pytestmark = pytest.mark.integration

OUTPUT = {"source": {"jobRef": {"name": "victim", "output": "vocals"}}}
RETRY = {"retryOf": "victim"}


@pytest.fixture(scope="module")
def space(apiserver: LocalApiServer) -> Iterator[Namespace]:
    """A namespace under the policy."""
    prepared = prepare(apiserver, f"references-{uuid.uuid4().hex[:8]}")
    blind = account(prepared, "probe", ("create",))
    assert create(prepared, blind, RETRY)[0] == 201, "as it was before the policy"
    apiserver.kubectl.apply(policy(), bind(NAME))
    try:
        wait_until("the policy", lambda: create(prepared, blind, RETRY)[0] != 201, seconds=30)
        yield prepared
    finally:
        apiserver.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", NAME)
        wait_until("the policy's end", lambda: create(prepared, blind, RETRY)[0] == 201, seconds=30)
        prepared.delete()


def create(space: Namespace, token: str, spec: dict[str, Any]) -> tuple[int, str]:
    body = {
        "apiVersion": c.API_VERSION,
        "kind": "AudioJob",
        "metadata": {"generateName": "song-"},
        "spec": {"pipeline": "separate", **spec},
    }
    answer = space.send(token, "POST", "audiojobs", body, "application/json")
    return answer.status, answer.message


@pytest.mark.parametrize(
    ("spec", "field"),
    [(OUTPUT, "spec.source.jobRef.name"), (RETRY, "spec.retryOf"), ({**OUTPUT, **RETRY}, "spec.")],
    ids=["its output", "its phases", "both"],
)
def test_who_may_only_create_gets_nothing_of_another_job(space: Namespace, spec: dict[str, Any], field: str) -> None:
    status, message = create(space, account(space, f"blind-{uuid.uuid4().hex[:8]}", ("create",)), spec)
    assert (status, field in message) == (403, True), message


def test_who_may_only_create_creates_a_job_of_its_own(space: Namespace) -> None:
    token = account(space, "creator", ("create",))
    for spec in ({}, {"source": {"url": "https://example.org/song.flac"}}):
        assert create(space, token, spec)[0] == 201


def test_who_may_get_jobs_builds_on_them(space: Namespace) -> None:
    token = account(space, "editor", EDIT)
    for spec in (OUTPUT, RETRY):
        assert create(space, token, spec)[0] == 201
