"""What the operator's core decides is what a real API server takes: Jobs, revisions, and every status patch."""

# ruff: noqa: N802 - row ids as the fault table writes them

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from tests.unit.operator import goldens
from tests.unit.operator.builders import World, audio_job, phase, pipeline
from tests.unit.operator.deciding.test_decide_crash import STORIES, Story

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import JSON_PATCH, RestError
from audiojob_types.constants import API_VERSION

pytestmark = pytest.mark.integration

JOBS = "/apis/batch/v1/namespaces/{}/jobs"
STRICT = "fieldValidation=Strict"


class ServerWorld(World):
    """A world whose AudioJob, Jobs and revisions lie on a real API server; pods are still made up."""

    server: LocalApiServer
    namespace: str

    def create(self, server: LocalApiServer, namespace: str) -> None:
        """Put the AudioJob there; the world goes on with the server's copy of it."""
        self.server, self.namespace = server, namespace
        self.audiojob = self._request("POST", self._audiojobs(), {**self._in_namespace(self.audiojob), "status": None})

    def write(self, kind: str, what: Any) -> None:
        """As in the world, but the server must agree."""
        match kind:
            case "job":
                created = self._request("POST", f"{JOBS.format(self.namespace)}?{STRICT}", what)
                self.writes.append(kind)
                self.created_jobs.append(created["metadata"]["name"])
                self.jobs[created["metadata"]["name"]] = created
            case "revision":
                path = f"/apis/apps/v1/namespaces/{self.namespace}/controllerrevisions?{STRICT}"
                stored = self._request("POST", path, what)
                super().write(kind, stored)
            case "status":
                path = f"{self._audiojobs()}/{self.audiojob['metadata']['name']}/status?{STRICT}"
                self.audiojob = self._request("PATCH", path, list(what), content_type=JSON_PATCH)
                self.writes.append(kind)
            case "delete":
                options = {"preconditions": {"uid": what.uid}, "propagationPolicy": "Background"}
                self._request("DELETE", f"{JOBS.format(self.namespace)}/{what.name}", options)
                super().write(kind, what)
            case _:
                super().write(kind, what)

    def edit(self, **spec: Any) -> None:
        """A user's change, through the server's own admission."""
        changed = deepcopy(self.audiojob)
        changed["spec"] |= spec
        self.audiojob = self._request("PUT", f"{self._audiojobs()}/{changed['metadata']['name']}", changed)

    def _audiojobs(self) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/audiojobs"

    def _in_namespace(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "metadata": {"name": obj["metadata"]["name"], "namespace": self.namespace}}

    def _request(self, *request: Any, **more: Any) -> Any:
        return self.server.rest.request(*request, **more)


def new_world(server: LocalApiServer, namespace: str, *phases: dict[str, Any], **spec: Any) -> ServerWorld:
    world = ServerWorld(audiojob=audio_job(**spec), pipeline=pipeline(*phases))
    world.create(server, namespace)
    return world


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_F22_every_write_of_a_story_is_accepted(apiserver: LocalApiServer, namespace: str, story: Story) -> None:
    spec = {"retry": {"limit": 3, "baseSeconds": 0}} if story.__name__ == "retries_at_once" else {}
    three = (phase("first", device="Auto"), phase("second"), phase("third", after=["first"]))
    world = new_world(apiserver, namespace, *three, **spec)
    assert world.status == {"state": "Pending", "percent": 0, "message": "Waiting for the operator"}
    story(world)
    assert world.job.status.state.finished
    assert world.decide().empty
    shown = apiserver.kubectl("get", "audiojob", "song", "-n", namespace)
    assert str(world.job.status.state) in shown


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda ops: ops.__setitem__(0, {**ops[0], "value": "another-uid"}), id="another uid"),
        pytest.param(lambda ops: ops.__setitem__(1, {**ops[1], "value": "Running"}), id="another state"),
    ],
)
def test_a_stale_patch_is_refused_and_changes_nothing(
    apiserver: LocalApiServer, namespace: str, spoil: Callable[[list[Any]], None]
) -> None:
    world = new_world(apiserver, namespace)
    plan = world.decide()
    assert plan.status is not None
    operations = list(plan.status)
    assert [each["path"] for each in operations[:2]] == ["/metadata/uid", "/status/state"]
    spoil(operations)
    with pytest.raises(RestError) as refused:
        world.write("status", operations)
    assert refused.value.status == 422
    assert world.decide() == plan


@pytest.mark.parametrize("case", goldens.CASES)
def test_a_job_and_its_pod_pass_strict_validation_in_a_restricted_namespace(
    apiserver: LocalApiServer, case: str
) -> None:
    namespace = f"restricted-{case}"
    apiserver.create_namespace(namespace, {"pod-security.kubernetes.io/enforce": "restricted"})
    apiserver.ensure_service_account(namespace, "audiojob-runner")
    job = goldens.built(case)
    job["metadata"]["namespace"] = namespace
    apiserver.rest.request("POST", f"{JOBS.format(namespace)}?dryRun=All&{STRICT}", job)
    template = job["spec"]["template"]
    # These two name objects that only some clusters have; admission looks them up.
    for field in ("runtimeClassName", "priorityClassName"):
        template["spec"].pop(field, None)
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "pod"}
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All&{STRICT}"
    assert apiserver.rest.request("POST", path, pod)["metadata"]["name"] == "pod"
    for kind in {"containers", "initContainers"} & pod["spec"].keys():
        privileged = deepcopy(pod)
        privileged["spec"][kind][-1]["securityContext"]["allowPrivilegeEscalation"] = True
        with pytest.raises(RestError, match="restricted"):
            apiserver.rest.request("POST", path, privileged)


@pytest.mark.parametrize("case", ["program-of-the-administrator", "program-on-gpu-and-s3"])
def test_the_api_server_gives_a_program_no_token_and_a_sidecar_that_lives_as_long_as_the_pod(
    apiserver: LocalApiServer, case: str
) -> None:
    namespace = f"mounts-{case}"
    apiserver.create_namespace(namespace, {"pod-security.kubernetes.io/enforce": "restricted"})
    apiserver.ensure_service_account(namespace, "audiojob-runner")
    template = goldens.built(case)["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "pod"}}
    stored = apiserver.rest.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All&{STRICT}", pod)
    by_name = {each["name"]: each for each in stored["spec"]["initContainers"]}
    assert {mount["name"] for mount in by_name["program"]["volumeMounts"]} == {"work"}
    assert by_name["report"]["restartPolicy"] == "Always"
    assert stored["spec"]["automountServiceAccountToken"] is False
