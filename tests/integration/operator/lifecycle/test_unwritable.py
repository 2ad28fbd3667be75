"""A job whose status the API server refuses: it does not hold its slot, and goes on when it can be written."""

from __future__ import annotations

from pathlib import Path

from tests.integration.operator.conftest import Object, Space, working
from tests.integration.operator.process.test_process import ask
from tests.support.faults.proxy import FaultProxy
from tests.support.podrunner import succeed

from audiojob_dev.rest import RestError, wait_until
from audiojob_types.constants import API_VERSION

SECONDS = 60.0  # the backoff between the refusals
POLICIES = "/apis/admissionregistration.k8s.io/v1"


def refuse_status(space: Space, label: str) -> str:
    """A policy that refuses each status of jobs of this space with a label. Returns its name."""
    name = f"refuse-{space.namespace}"
    spec: Object = {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.namespace}},
            "resourceRules": [
                {
                    "apiGroups": [API_VERSION.partition("/")[0]],
                    "apiVersions": ["*"],
                    "operations": ["UPDATE"],
                    "resources": ["audiojobs/status"],
                }
            ],
        },
        "validations": [{"expression": f"!('{label}' in object.metadata.?labels.orValue({{}}))", "message": "never"}],
    }
    kinds = {
        "ValidatingAdmissionPolicy": spec,
        "ValidatingAdmissionPolicyBinding": {"policyName": name, "validationActions": ["Deny"]},
    }
    for kind, of_kind in kinds.items():
        path = f"{POLICIES}/{'validatingadmissionpolicies' if kind.endswith('Policy') else f'{kind.lower()}s'}"
        body = {"apiVersion": POLICIES[6:], "kind": kind, "metadata": {"name": name}, "spec": of_kind}
        space.rest.request("POST", path, body)
    return name


def labelled(space: Space, name: str) -> None:
    body = {
        "apiVersion": API_VERSION,
        "kind": "AudioJob",
        "metadata": {"name": name, "labels": {"bad": "1"}},
        "spec": {"pipeline": space.pipeline},
    }
    space.rest.request("POST", space.jobs_path, body)


def in_force(space: Space) -> bool:
    try:
        path = f"{space.jobs_path}/frozen/status"
        space.rest.request("PATCH", path, {"status": {"percent": 1}}, content_type="application/merge-patch+json")
    except RestError as error:
        return "never" in str(error)
    return False


def test_the_next_job_runs_and_it_goes_on_once_it_can_be_written(
    space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    name = refuse_status(space, "bad")
    labelled(space, "frozen")
    wait_until("the policy", lambda: in_force(space), seconds=60)
    try:
        with working(space, proxy, tmp_path, succeed, AUDIOJOB_CAPACITY__MAX_RUNNING="1"):
            wait_until("its first Job", lambda: bool(space.batch_jobs()), seconds=60)
            space.submit("next")
            assert space.finished("next", seconds=SECONDS)["status"]["state"] == "Succeeded"
            owners = {job["metadata"]["ownerReferences"][0]["name"] for job in space.batch_jobs()}
            assert owners == {"next"}, "no Job of the one that cannot be written is left"
            (told,) = [event for event in space.events() if event["reason"] == "StatusRefused"]
            assert told["type"] == "Warning"
            assert "never" in told["message"]
            assert "Delete it" in told["message"]
            assert "audiojob_operator_unwritable_audiojobs 1.0" in ask(tmp_path / "log", "/metrics")[1]
            change: Object = {"metadata": {"labels": {"bad": None}}}
            path = f"{space.jobs_path}/frozen"
            space.rest.request("PATCH", path, change, content_type="application/merge-patch+json")
            assert space.finished("frozen")["status"]["state"] == "Succeeded"
            assert "audiojob_operator_unwritable_audiojobs 0.0" in ask(tmp_path / "log", "/metrics")[1]
    finally:
        for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            space.rest.request("DELETE", f"{POLICIES}/{plural}/{name}")
