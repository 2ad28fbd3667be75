"""An AudioJob takes its Jobs along: nobody leaves them running without a slot."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.policy.space import Answer, Namespace, prepare
from tests.integration.policy.test_metadata_policy import EDIT, account

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import RestError, wait_until
from audiojob_types import constants as c
from audiojob_types.generate.admission_policy import bind
from audiojob_types.generate.deletion_policy import NAME, policy

pytestmark = pytest.mark.integration

ORPHAN = {"propagationPolicy": "Orphan"}
JSON = "application/json"


@pytest.fixture(scope="module")
def token(space: Namespace) -> str:
    return account(space, "user", EDIT)


@pytest.fixture(scope="module")
def space(apiserver: LocalApiServer) -> Iterator[Namespace]:
    """A namespace under the policy, with one AudioJob from before it that has the finalizer."""
    prepared = prepare(apiserver, f"deletions-{uuid.uuid4().hex[:8]}")
    assert create(prepared, account(prepared, "before", EDIT), "from-before", ["orphan"]).status == 201
    assert orphaned_in_dry_run(prepared), "as it was before the policy"
    apiserver.kubectl.apply(policy(), bind(NAME))
    try:
        wait_until("the policy", lambda: not orphaned_in_dry_run(prepared), seconds=30)
        yield prepared
    finally:
        apiserver.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", NAME)
        wait_until("the policy's end", lambda: orphaned_in_dry_run(prepared), seconds=30)
        prepared.delete()


def orphaned_in_dry_run(space: Namespace) -> bool:
    """Whether a deletion that leaves the Jobs would pass."""
    options = {**ORPHAN, "dryRun": ["All"]}
    token = space.server.service_account_token(space.name, "before")
    return space.send(token, "DELETE", "audiojobs/from-before", options, JSON).status == 200


def create(space: Namespace, token: str, name: str, finalizers: list[str]) -> Answer:
    metadata = {"name": name, "finalizers": finalizers}
    body = {"apiVersion": c.API_VERSION, "kind": "AudioJob", "metadata": metadata, "spec": {"pipeline": "separate"}}
    return space.send(token, "POST", "audiojobs", body, JSON)


def change(space: Namespace, token: str, name: str, body: dict[str, Any]) -> Answer:
    return space.send(token, "PATCH", f"audiojobs/{name}", body)


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        pytest.param("audiojobs/song", ORPHAN, 403, id="one that leaves its Jobs"),
        pytest.param("audiojobs/song", {"orphanDependents": True}, 403, id="one that leaves them, as of old"),
        pytest.param("audiojobs/song?propagationPolicy=Orphan", None, 403, id="by the address"),
        pytest.param("audiojobs", ORPHAN, 403, id="all that leave theirs"),
        pytest.param("audiojobs/song", {"propagationPolicy": "Foreground"}, 200, id="its Jobs first"),
        pytest.param("audiojobs/song", {"orphanDependents": False}, 200, id="its Jobs later, as of old"),
        pytest.param("audiojobs/song", {}, 200, id="its Jobs later"),
        pytest.param("audiojobs/song", None, 200, id="without a word on them"),
    ],
)
def test_a_deletion_of(space: Namespace, token: str, path: str, options: dict[str, Any] | None, status: int) -> None:
    name = f"song-{uuid.uuid4().hex[:8]}"  # one that is deleted with its Jobs first stays for a moment
    assert create(space, token, name, []).status == 201
    answer = space.send(token, "DELETE", path.replace("song", name), options, JSON)
    assert (answer.status, "--cascade=orphan" in answer.message) == (status, status == 403)


def test_a_pool_takes_its_workers_along(space: Namespace) -> None:
    rest, path = space.server.rest, f"/apis/{c.API_VERSION}/namespaces/{space.name}/audioworkerpools"
    pool = {"apiVersion": c.API_VERSION, "kind": "AudioWorkerPool", "metadata": {"name": "gpu"}}
    rest.request("POST", path, {**pool, "spec": {"tasks": ["Separate"]}})
    with pytest.raises(RestError, match="--cascade=orphan"):
        rest.request("DELETE", f"{path}/gpu", ORPHAN)
    rest.request("DELETE", f"{path}/gpu")


def test_the_finalizer_that_leaves_jobs_behind_is_not_set(space: Namespace, token: str) -> None:
    refused = create(space, token, "orphaned", ["example.org/mine", "orphan"])
    assert (refused.status, "metadata.finalizers" in refused.message) == (403, True)
    assert create(space, token, "changed", []).status == 201
    assert change(space, token, "changed", {"metadata": {"finalizers": ["orphan"]}}).status == 403
    assert change(space, token, "changed", {"spec": {"cancel": True}}).status == 200


def test_one_that_has_it_from_before_can_be_changed(space: Namespace, token: str) -> None:
    assert change(space, token, "from-before", {"spec": {"cancel": True}}).status == 200
