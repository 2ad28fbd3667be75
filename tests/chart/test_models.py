"""The Job that fills the models volume: what is rendered, and that a cluster takes it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.chart.helm import CHART, RELEASE, Helm, Object, RefusedError, ci_values, find, merged, of_kind, without_hooks
from tests.chart.release import RESTRICTED, unique

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_types import constants as c
from audiojob_types.contract import MODELS_ROOT
from audiojob_types.models import DEFAULT_BASE_URL, KNOWN_MODELS, WANTED_KEY, ModelBook

pytestmark = pytest.mark.chart

BASE: Object = {"jobNamespaces": ["music"], "models": {"enabled": True, "prefetch": {"enabled": True}}}
EXAMPLE = ci_values()["models-values.yaml"]


def job_of(objects: list[Object], namespace: str = "music") -> Object:
    [found] = [job for job in of_kind(objects, "Job") if job["metadata"]["namespace"] == namespace]
    return found


def pod_of(objects: list[Object], namespace: str = "music") -> Object:
    spec: Object = job_of(objects, namespace)["spec"]["template"]["spec"]
    return spec


def test_nothing_is_fetched_unless_asked_for(helm: Helm) -> None:
    objects = helm.render(merged(BASE, {"models": {"prefetch": {"enabled": False}}}))
    assert of_kind(without_hooks(objects), "Job") == []
    assert c.MODELS_CONFIGMAP not in {each["metadata"]["name"] for each in of_kind(objects, "ConfigMap")}
    assert c.PREFETCH_SERVICE_ACCOUNT not in {each["metadata"]["name"] for each in objects}


def test_each_job_namespace_gets_a_job_and_the_names_that_are_wanted(helm: Helm) -> None:
    objects = helm.render(EXAMPLE)
    for namespace in EXAMPLE["jobNamespaces"]:
        wanted = find(objects, "ConfigMap", c.MODELS_CONFIGMAP, namespace)
        assert ModelBook.read(wanted["data"]).unready == {"htdemucs", "htdemucs_ft"}
        assert wanted["data"].keys() == {WANTED_KEY}, "an upgrade must not put the Job's own keys back"
        pod = pod_of(objects, namespace)
        assert pod["serviceAccountName"] == c.PREFETCH_SERVICE_ACCOUNT
        claim = {"name": "models", "persistentVolumeClaim": {"claimName": c.MODELS_CLAIM}}
        assert claim in pod["volumes"]
        account = find(objects, "ServiceAccount", c.PREFETCH_SERVICE_ACCOUNT, namespace)
        assert account["imagePullSecrets"] == [{"name": "registry"}]
        assert account["automountServiceAccountToken"] is False


def test_the_job_may_write_one_record_and_nothing_else(helm: Helm) -> None:
    objects = helm.render(EXAMPLE)
    for namespace in EXAMPLE["jobNamespaces"]:
        role = find(objects, "Role", c.PREFETCH_SERVICE_ACCOUNT, namespace)
        right = {
            "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [c.MODELS_CONFIGMAP], "verbs": ["patch"]
        }  # fmt: skip
        assert role["rules"] == [right]
        bound = find(objects, "RoleBinding", c.PREFETCH_SERVICE_ACCOUNT, namespace)
        assert [subject["name"] for subject in bound["subjects"]] == [c.PREFETCH_SERVICE_ACCOUNT]
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        if binding["metadata"]["name"] != c.PREFETCH_SERVICE_ACCOUNT:
            assert c.PREFETCH_SERVICE_ACCOUNT not in {subject["name"] for subject in binding["subjects"]}


def test_the_command_line_is_one_that_the_runner_takes(helm: Helm) -> None:
    container = pod_of(helm.render(EXAMPLE), "music-a")["containers"][0]
    assert container["command"] == ["python", "-m", "audiojob_runner", "prefetch"]
    assert container["args"] == [
        "--model=htdemucs",
        "--model=htdemucs_ft",
        "--base-url=https://mirror.example.org/demucs",
        "--allow-cidr=10.20.0.0/16",
        "--allow-cidr=10.30.0.0/16",
    ]
    script = (
        "import sys; from audiojob_runner import cli; options = cli._parser().parse_args(sys.argv[1:]); "
        "print(options.models, options.model, options.allow_cidr)"
    )
    command = [sys.executable, "-c", script, "prefetch", *container["args"]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    expected = f"{MODELS_ROOT} ['htdemucs', 'htdemucs_ft'] ['10.20.0.0/16', '10.30.0.0/16']"
    assert ended.stdout.strip() == expected
    assert {"name": "models", "mountPath": MODELS_ROOT} in container["volumeMounts"]


def test_the_values_know_the_models_and_the_address_of_the_table(helm: Helm) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    prefetch = schema["properties"]["models"]["properties"]["prefetch"]["properties"]
    assert prefetch["models"]["items"]["enum"] == list(KNOWN_MODELS)
    assert f"--base-url={DEFAULT_BASE_URL}" in pod_of(helm.render(BASE))["containers"][0]["args"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"models": {"prefetch": {"models": ["mdx"]}}}, id="other models"),
        pytest.param({"models": {"prefetch": {"baseURL": "https://example.org/"}}}, id="another address"),
        pytest.param({"images": {"runner": {"tag": "9"}}}, id="another image"),
        pytest.param({"commonLabels": {"a": "b"}}, id="other labels"),
    ],
)
def test_a_job_with_other_settings_has_another_name(helm: Helm, change: Object) -> None:
    before, after = (job_of(helm.render(values)) for values in (BASE, merged(BASE, change)))
    assert before["metadata"]["name"] != after["metadata"]["name"]
    assert before["spec"] != after["spec"]


def test_settings_of_something_else_leave_the_job_alone(helm: Helm) -> None:
    other = merged(BASE, {"capacity": {"maxRunning": 3}, "models": {"size": "9Gi"}})
    assert job_of(helm.render(BASE)) == job_of(helm.render(other))


WRONG: dict[str, tuple[Object, list[str]]] = {
    "no volume to fill": ({"enabled": False}, ["models.prefetch.enabled needs a volume", "models.enabled"]),
    "a volume that cannot be written": ({"accessModes": ["ReadOnlyMany"]}, ["could not write", "ReadWriteOnce"]),
    "an unknown model": ({"prefetch": {"models": ["spleeter"]}}, ["models/prefetch/models/0"]),
    "a path for a model": ({"prefetch": {"models": ["../evil"]}}, ["models/prefetch/models/0"]),
    "a quantised model": ({"prefetch": {"models": ["mdx_q"]}}, ["models/prefetch/models/0"]),
    "no model": ({"prefetch": {"models": []}}, ["models/prefetch/models", "minItems"]),
    "a model twice": ({"prefetch": {"models": ["mdx", "mdx"]}}, ["models/prefetch/models", "equal"]),
    "an address of a file": ({"prefetch": {"baseURL": "file:///models"}}, ["baseURL"]),
    "an address with a password": ({"prefetch": {"baseURL": "https://a:b@c/"}}, ["baseURL"]),
    "a network that is none": ({"prefetch": {"allowedCIDRs": ["10.0.0.1"]}}, ["allowedCIDRs/0"]),
}


@pytest.mark.parametrize(("models", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_are_refused(helm: Helm, models: Object, words: list[str]) -> None:
    with pytest.raises(RefusedError) as refused:
        helm.render(merged(BASE, {"models": models}))
    assert [word for word in words if word not in str(refused.value)] == [], refused.value


class Release:
    """A release of the chart with prefetch, in namespaces of its own."""

    def __init__(self, server: LocalApiServer, helm: Helm) -> None:
        self.server, self.helm = server, helm
        self.system, self.music = unique("system"), unique("music")
        for namespace in (self.system, self.music):
            server.create_namespace(namespace, RESTRICTED)

    def upgrade(self, **models: Any) -> None:
        # No kubelet runs the hook that upgrades the CRDs.
        values = merged(BASE, {"jobNamespaces": [self.music], "models": models, "crds": {"upgrade": False}})
        flags = ["-n", self.system, "--kubeconfig", str(self.server.kubeconfig), "--skip-crds"]
        self.helm.run("upgrade", "--install", RELEASE, str(CHART), *flags, values=values)

    def uninstall(self) -> None:
        self.helm.run("uninstall", RELEASE, "-n", self.system, "--kubeconfig", str(self.server.kubeconfig))

    def request(self, method: str, path: str, body: Object | None = None, **more: Any) -> Object:
        found: Object = self.server.rest.request(method, path, body, **more)
        return found

    @property
    def record(self) -> str:
        return f"/api/v1/namespaces/{self.music}/configmaps/{c.MODELS_CONFIGMAP}"

    @property
    def jobs(self) -> list[Object]:
        items: list[Object] = self.request("GET", f"/apis/batch/v1/namespaces/{self.music}/jobs")["items"]
        return items


@pytest.fixture
def release(apiserver: LocalApiServer, helm: Helm) -> Any:
    made = Release(apiserver, helm)
    made.upgrade()
    yield made
    made.uninstall()


@pytest.mark.integration
def test_an_upgrade_leaves_what_the_job_has_recorded(release: Release) -> None:
    ready = json.dumps({"state": "Ready", "percent": 100})
    change = {"data": {"htdemucs": ready}}
    release.request("PATCH", release.record, change, content_type="application/merge-patch+json")
    [first] = release.jobs
    release.upgrade(prefetch={"models": ["htdemucs", "mdx"]})
    data = release.request("GET", release.record)["data"]
    assert data["htdemucs"] == ready
    assert ModelBook.read(data).unready == {"mdx"}
    names = {job["metadata"]["name"] for job in release.jobs if "deletionTimestamp" not in job["metadata"]}
    assert len(names) == 1
    assert first["metadata"]["name"] not in names, "a Job with other settings has taken its place"


@pytest.mark.integration
def test_a_namespace_with_the_restricted_policy_takes_the_pod(release: Release) -> None:
    [job] = release.jobs
    template = job["spec"]["template"]
    pod = {"metadata": {"name": "try", "labels": template["metadata"]["labels"]}, "spec": template["spec"]}
    made = release.request("POST", f"/api/v1/namespaces/{release.music}/pods", pod)
    assert made["metadata"]["name"] == "try"
