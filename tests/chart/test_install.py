"""The chart on a real API server: accepted, restricted, rights as meant, music kept on uninstall."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from tests.chart.helm import Helm, Object, RefusedError, ci_values, of_kind
from tests.chart.release import RESTRICTED, Installed, unique

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import repository
from audiojob_dev.rest import RestError, wait_until

pytestmark = [pytest.mark.chart, pytest.mark.integration]


@pytest.mark.parametrize("name", ci_values())
def test_the_server_accepts_every_object(apiserver: LocalApiServer, helm: Helm, name: str) -> None:
    values = ci_values()[name]
    for namespace in ("audiojob-system", *values["jobNamespaces"]):
        with contextlib.suppress(RestError):  # the other values name it too
            apiserver.create_namespace(namespace, RESTRICTED)
        apiserver.ensure_service_account(namespace, "default")  # of the pods of `helm test`
    text = yaml.safe_dump_all(helm.render(values))
    output = apiserver.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    assert len(output.splitlines()) == len(helm.render(values))
    assert "would violate" not in output


@pytest.mark.parametrize("name", ci_values())
def test_pods_are_admitted_where_only_restricted_ones_are(apiserver: LocalApiServer, helm: Helm, name: str) -> None:
    namespace = unique("restricted")
    apiserver.create_namespace(namespace, RESTRICTED)
    deployments = of_kind(helm.render(ci_values()[name]), "Deployment")
    assert deployments
    for deployment in deployments:
        template = deployment["spec"]["template"]
        apiserver.ensure_service_account(namespace, template["spec"]["serviceAccountName"])
        spec = {key: value for key, value in template["spec"].items() if key != "priorityClassName"}  # not installed
        pod = {"metadata": {"name": "try"}, "spec": spec}
        apiserver.rest.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict", pod)
        container = template["spec"]["containers"][0]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"startupProbe", "livenessProbe", "readinessProbe", "resources"} <= container.keys()


@pytest.mark.parametrize("name", ci_values())
def test_the_sweepers_pods_are_admitted_too(apiserver: LocalApiServer, helm: Helm, name: str) -> None:
    namespace = unique("restricted")
    apiserver.create_namespace(namespace, RESTRICTED)
    apiserver.ensure_service_account(namespace, "audiojob-sweeper")
    for job in of_kind(helm.render(ci_values()[name]), "CronJob"):
        pod = {"metadata": {"name": "try"}, "spec": job["spec"]["jobTemplate"]["spec"]["template"]["spec"]}
        apiserver.rest.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict", pod)
        assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.fixture(scope="module")
def installed(apiserver: LocalApiServer, helm: Helm) -> Iterator[Installed]:
    """The chart, installed once for this module."""
    release = Installed(apiserver, helm)
    yield release
    release.uninstall()


def test_notes_say_what_to_do_next(installed: Installed) -> None:
    for words in (f"kubectl -n {installed.music} create", "--reset-then-reuse-values", "logs -f"):
        assert words in installed.notes
    assert "MISSING: model weights" in installed.notes


NOTES: dict[str, tuple[Object, str]] = {
    "a store in a bucket needs its credentials": (
        {"store": {"kind": "S3", "s3": {"bucket": "music"}}}, "create secret generic audiojob-store",
    ),
    "downloads with cookies need their Secret": ({"fetch": {"secret": True}}, "create secret generic audiojob-fetch"),
    "a models volume is filled by hand": ({"models": {"enabled": True}}, "Fill the claim audiojob-models"),
    "a prefetch shows its progress": (
        {"models": {"enabled": True, "prefetch": {"enabled": True}}}, "get configmap audiojob-models",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "words"), NOTES.values(), ids=NOTES.keys())
def test_notes_name_what_is_missing(installed: Installed, values: Object, words: str) -> None:
    notes = installed.upgrade("--dry-run=server", **values).partition("NOTES:")[2]
    assert words in notes


def test_an_upgrade_without_changes_works(installed: Installed) -> None:
    before = installed.claim()["metadata"]["uid"]
    installed.upgrade()
    assert installed.claim()["metadata"]["uid"] == before


HOOK = "/apis/batch/v1/namespaces/{system}/jobs/audiojob-crds"
DEPLOYMENT = "/apis/apps/v1/namespaces/{system}/deployments/audiojob-operator"


# What the Job controller writes. It may run here, for other tests of the same process, but no kubelet does.
FAILED: Object = {
    "active": 0,
    "ready": 0,
    "failed": 1,
    "conditions": [
        {"type": name, "status": "True", "lastTransitionTime": "2026-11-29T08:00:00Z"}
        for name in ("FailureTarget", "Failed")
    ],
}


def has_failed(installed: Installed, hook: str) -> bool:
    """Let the Job have failed; not so where its controller wrote meanwhile."""
    started = installed.get(hook).get("status", {}).get("startTime", "2026-11-29T08:00:00Z")
    merge, status = "application/merge-patch+json", {"status": {**FAILED, "startTime": started}}
    try:
        installed.server.rest.request("PATCH", f"{hook}/status", status, content_type=merge)
    except RestError as error:
        if error.status not in (409, 422):
            raise
        return False
    return True


def test_row_11_an_upgrade_stops_where_the_hook_fails_and_nothing_is_changed(installed: Installed) -> None:
    hook, deployment = (path.format(system=installed.system) for path in (HOOK, DEPLOYMENT))
    with ThreadPoolExecutor(1) as helm:
        upgrading = helm.submit(installed.upgrade, "--no-hooks=false", operator={"replicas": 2})
        wait_until("the hook", lambda: upgrading.done() or installed.exists(hook), seconds=120)
        wait_until("the hook to fail", lambda: has_failed(installed, hook), seconds=30)
        with pytest.raises(RefusedError, match="pre-upgrade hooks failed"):
            upgrading.result()
    assert installed.get(deployment)["spec"]["replicas"] == 1


OPERATOR, API, RUNNER = "audiojob-operator", "audiojob-api", "audiojob-runner"
MAY = {
    "the operator starts Jobs where they belong": (OPERATOR, "create", "batch/jobs", "music", True),
    "the operator starts no Jobs elsewhere": (OPERATOR, "create", "batch/jobs", "other", False),
    "the operator starts no Jobs beside itself": (OPERATOR, "create", "batch/jobs", "system", False),
    "the operator sees AudioJobs everywhere": (OPERATOR, "watch", "audiojobs.dev/audiojobs", "other", True),
    "the operator writes a status everywhere": (OPERATOR, "patch", "audiojobs.dev/audiojobs/status", "other", True),
    "the operator changes no spec": (OPERATOR, "patch", "audiojobs.dev/audiojobs", "music", False),
    "the operator creates no AudioJobs": (OPERATOR, "create", "audiojobs.dev/audiojobs", "music", False),
    "the operator reads no Secrets": (OPERATOR, "get", "core/secrets", "music", False),
    "the operator creates no pods by itself": (OPERATOR, "create", "core/pods", "music", False),
    "the API creates AudioJobs": (API, "create", "audiojobs.dev/audiojobs", "music", True),
    "the API says on whose behalf a job is made": (API, "attest", "audiojobs.dev/audiojobs", "music", True),
    "the operator does not": (OPERATOR, "attest", "audiojobs.dev/audiojobs", "music", False),
    "a runner does not": (RUNNER, "attest", "audiojobs.dev/audiojobs", "music", False),
    "the API creates none elsewhere": (API, "create", "audiojobs.dev/audiojobs", "other", False),
    "the API deletes no AudioJobs": (API, "delete", "audiojobs.dev/audiojobs", "music", False),
    "the API writes no status": (API, "patch", "audiojobs.dev/audiojobs/status", "music", False),
    "the API starts no Jobs": (API, "create", "batch/jobs", "music", False),
    "the API asks who calls": (API, "create", "authentication.k8s.io/tokenreviews", "", True),
    "a runner reports": (RUNNER, "patch", "audiojobs.dev/audiojobs/status", "music", True),
    "a runner reads no AudioJobs": (RUNNER, "get", "audiojobs.dev/audiojobs", "music", False),
    "a runner reports nowhere else": (RUNNER, "patch", "audiojobs.dev/audiojobs/status", "other", False),
    "a runner reads no Secrets": (RUNNER, "get", "core/secrets", "music", False),
}


@pytest.mark.parametrize(("account", "verb", "resource", "where", "allowed"), MAY.values(), ids=MAY.keys())
def test_rights(installed: Installed, account: str, verb: str, resource: str, where: str, allowed: bool) -> None:
    home = installed.music if account == RUNNER else installed.system
    namespace = {"music": installed.music, "other": installed.other, "system": installed.system, "": ""}[where]
    user = f"system:serviceaccount:{home}:{account}"
    assert installed.may(user, verb, resource, namespace) is allowed


LEASES = "/apis/coordination.k8s.io/v1/namespaces/{system}/leases/audiojob-operator"
JOBS = "/apis/audiojobs.dev/v1alpha1/namespaces/{music}/audiojobs"
FLOWS = {
    "the operator's Lease": (OPERATOR, LEASES, "lease"),
    "other calls of the operator": (OPERATOR, JOBS, "control"),
    "calls of the API": (API, JOBS, "control"),
    "what a runner sends": (RUNNER, JOBS, "runners"),
}


@pytest.mark.parametrize(("account", "path", "schema"), FLOWS.values(), ids=FLOWS.keys())
def test_the_api_server_keeps_apart(installed: Installed, account: str, path: str, schema: str) -> None:
    schemas = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"
    wanted: str = installed.get(f"{schemas}/audiojob-{schema}")["metadata"]["uid"]
    home = installed.music if account == RUNNER else installed.system
    token = installed.server.service_account_token(home, account)

    def is_there() -> bool:
        return installed.flow_schema(token, path.format(system=installed.system, music=installed.music)) == wanted

    wait_until(f"the FlowSchema {schema} for {account}", is_there, seconds=60)


def test_the_examples_are_accepted(installed: Installed) -> None:
    installed.server.ensure_service_account(installed.music, "default")  # of the pod of files-pod.yaml
    examples = sorted((repository() / "examples").glob("*.yaml"))
    assert {"download", "normalize", "queue", "separate", "simulate"} <= {example.stem for example in examples}
    for example in examples:
        installed.server.kubectl(
            "-n", installed.music, "create", "--dry-run=server", "--validate=strict", "-f", str(example)
        )


def test_the_example_ingress_leads_to_the_service_of_the_api(installed: Installed, helm: Helm) -> None:
    file = repository() / "examples" / "install" / "ingress.yaml"
    ingress = yaml.safe_load(file.read_text(encoding="utf-8"))
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    services = of_kind(helm.render({"jobNamespaces": ["music"]}), "Service")
    assert [(each["metadata"]["name"], each["metadata"]["namespace"]) for each in services] == [
        (backend["name"], ingress["metadata"]["namespace"])
    ]
    assert services[0]["spec"]["ports"][0]["port"] == backend["port"]["number"]
    ingress["metadata"]["namespace"] = installed.system
    installed.server.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(ingress)
    )


def test_music_outlives_the_release_and_is_found_again(installed: Installed) -> None:
    before = installed.claim()["metadata"]["uid"]
    path = f"/api/v1/namespaces/{installed.music}/persistentvolumeclaims/audiojob-store"
    bound = {"spec": {"volumeName": "a-volume", "storageClassName": "fast"}}  # which nobody does on a server alone
    installed.server.rest.request("PATCH", path, bound, content_type="application/merge-patch+json")
    installed.uninstall()
    kept = installed.claim()
    assert kept["metadata"]["uid"] == before
    assert "deletionTimestamp" not in kept["metadata"]
    with pytest.raises(RestError, match="404"):
        installed.server.rest.request(
            "GET", f"/apis/apps/v1/namespaces/{installed.system}/deployments/audiojob-operator"
        )
    installed.upgrade("--install")
    installed.upgrade()
    installed.rollback()
    installed.upgrade(store={"kind": "S3", "s3": {"bucket": "music"}})
    installed.upgrade()
    found = installed.claim()
    assert (found["metadata"]["uid"], found["spec"]["volumeName"]) == (before, "a-volume")
