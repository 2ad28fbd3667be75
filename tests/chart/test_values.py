"""Values: every one does something, is described and checked, and a wrong one is refused with its name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.chart.helm import CHART, Helm, Object, RefusedError, ci_values, default_values, leaves, merged, nested

from audiojob_dev.monitoring.alerts import THRESHOLDS
from audiojob_types.tasks import Task

pytestmark = pytest.mark.chart

BASE: Object = {"jobNamespaces": ["music"]}
DIGEST = "sha256:" + "0" * 64
S3: Object = {"store": {"kind": "S3", "s3": {"bucket": "music", "endpoint": "https://s3.example.org"}}}
POLICIES: Object = {"networkPolicy": {"enabled": True}}
MODELS: Object = {"models": {"enabled": True}}
MONITORING: Object = {
    "monitoring": {"podMonitor": {"enabled": True}, "rules": {"enabled": True}, "dashboards": {"enabled": True}}
}
INGRESS: Object = {"api": {"ingress": {"enabled": True}}}
ROUTE: Object = {"api": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}}}
SCALED: Object = {"api": {"autoscaling": {"enabled": True}}}
RESOURCES = ("requests.cpu", "requests.memory", "limits.memory")
FILES_VALUES: Object = {
    "maxUploadBytes": 1024, "minFreeBytes": 0, "mediaTypes": ["audio/flac"], "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
}  # fmt: skip
FILES: Object = {"files": {"enabled": True}, "store": {"folder": {"accessModes": ["ReadWriteMany"]}}}
RULE: Object = {"tenant": "a", "namespace": "music", "role": "viewer"}
SQLITE: Object = {"api": {"database": {"kind": "SQLite"}}}
ARCHIVE: Object = {"api": {"database": {"kind": "SQLite"}, "archive": {"enabled": True}}}
PREFETCH: Object = {"models": {"enabled": True, "prefetch": {"enabled": True}}}


@pytest.mark.parametrize("name", ci_values())
def test_the_example_values_render(helm: Helm, name: str) -> None:
    assert helm.render(ci_values()[name])


@pytest.mark.parametrize("name", ci_values())
def test_helm_finds_nothing_to_complain_about(helm: Helm, name: str) -> None:
    assert "0 chart(s) failed" in helm.run("lint", str(CHART), "--strict", values=ci_values()[name])


OF_THEIR_OWN = {"files.oneNode", "workerPools", "pipelines.workerPools"}
# For each value of values.yaml another one, and what must be set for it to matter.
OVERLAP = {"enabled": False, "leadSeconds": 5, "maxHoldSeconds": 60, "maxPods": 1, "gpu": "Never"}
CHANGES: dict[str, tuple[Any, Object]] = {
    "fullnameOverride": ("sound", {}),
    "commonLabels": ({"team": "audio"}, {}),
    "jobNamespaces": (["music", "speech"], {}),
    "crds.upgrade": (False, {}),
    "flowControl.enabled": (False, {}),
    "imagePullSecrets": (["registry"], {}),
    **{
        f"images.{image}.{key}": (value, {})
        for image in ("runner", "runnerTorch", "runnerMusic", "control")
        for key, value in (("repository", "example.org/x"), ("tag", "9"), ("digest", DIGEST))
    },
    "images.control.pullPolicy": ("Always", {}),
    "images.speak": ("registry.example.org/speak:1", {}),
    **{
        f"{process}.{key}": (value, {})
        for process in ("operator", "api")
        for key, value in (
            ("logLevel", "DEBUG"),
            ("resources.requests.cpu", "1"),
            ("resources.requests.memory", "1Gi"),
            ("resources.limits.memory", "2Gi"),
            ("nodeSelector", {"disk": "ssd"}),
            ("tolerations", [{"key": "a", "operator": "Exists"}]),
            ("affinity", {"nodeAffinity": {}}),
            ("priorityClassName", "high"),
            ("podAnnotations", {"a": "b"}),
        )
    },
    "operator.replicas": (2, {}),
    "priorityClass.create": (False, {}),
    "priorityClass.value": (7, {}),
    **{f"images.{one}.architectures": (["riscv64"], {}) for one in ("runner", "runnerTorch", "runnerMusic", "control")},
    "api.database.kind": ("SQLite", {}),
    "api.database.secret": ("other", {"api": {"database": {"kind": "PostgreSQL", "secret": "database"}}}),
    "api.database.storageClassName": ("fast", SQLITE),
    "api.database.size": ("1Gi", SQLITE),
    "api.database.existingClaim": ("mine", SQLITE),
    "api.archive.enabled": (True, SQLITE),
    "api.archive.retentionDays": (7, ARCHIVE),
    "api.archive.labels": (["team"], ARCHIVE),
    "api.prices.unit": ("EUR", {"api": {"prices": {"cpuSecond": 0.1}}}),
    **{f"api.prices.{one}Second": (0.00002, {}) for one in ("cpu", "gpu")},
    "api.autoscaling.enabled": (True, {}),
    "api.autoscaling.minReplicas": (3, SCALED),
    "api.autoscaling.maxReplicas": (9, SCALED),
    "api.autoscaling.targetCPUPercent": (50, SCALED),
    "api.ingress.enabled": (True, {}),
    "api.ingress.className": ("nginx", INGRESS),
    "api.ingress.host": ("audio.example.org", INGRESS),
    "api.ingress.tlsSecret": ("audio-tls", INGRESS),
    "api.ingress.annotations": ({"a": "b"}, INGRESS),
    "api.httpRoute.enabled": (True, {"api": {"httpRoute": {"parentRefs": [{"name": "public"}]}}}),
    "api.httpRoute.parentRefs": ([{"name": "other", "port": 443}], ROUTE),
    "api.httpRoute.hostnames": (["audio.example.org"], ROUTE),
    "api.httpRoute.annotations": ({"a": "b"}, ROUTE),
    "api.enabled": (False, {}),
    "api.namespace": ("speech", {"jobNamespaces": ["music", "speech"]}),
    "api.access.providers": ([{"name": "a", "issuer": "https://a.example.org", "audiences": ["b"]}], {}),
    "api.access.rules": ([RULE], {}),
    "api.access.caConfigMap": ("ours", {}),
    "api.access.mostKeyDays": (30, {}),
    "api.access.limits.burst.requests": (7, {}),
    "api.access.limits.burst.seconds": (7, {}),
    "api.access.limits.jobsPerHourPerAddress": (10, {"api": {"database": {"kind": "SQLite"}}}),
    "api.access.limits.minutesUntilKnown": (3, {}),
    "api.access.limits.storedBytesPerNamespace": (10**12, {"api": {"database": {"kind": "SQLite"}}}),
    "api.access.limits.tierClaim": ("plan", {}),
    "api.access.limits.defaultTier": ("free", {}),
    "api.access.limits.kubernetesTier": ("free", {}),
    "api.access.limits.tiers": ({"free": {"priority": 5}}, {}),
    "api.namespaces": (["speech"], {"jobNamespaces": ["music", "speech"]}),
    "api.replicas": (2, {}),
    "api.trustedProxies": (["10.0.0.0/8"], {}),
    "api.service.type": ("NodePort", {}),
    "api.service.port": (8080, {}),
    "api.service.annotations": ({"a": "b"}, {}),
    "store.kind": ("S3", {"store": {"s3": {"bucket": "music"}}}),
    "store.folder.create": (False, {}),
    "store.folder.storageClassName": ("fast", {}),
    "store.folder.size": ("1Gi", {}),
    "store.folder.accessModes": (["ReadWriteMany"], {}),
    "store.s3.bucket": ("other", S3),
    "store.s3.prefix": ("a/b", S3),
    "store.s3.endpoint": ("https://other.example.org", S3),
    "store.s3.region": ("eu-central-1", S3),
    "store.s3.allowHttp": (True, S3),
    "models.enabled": (True, {}),
    "models.create": (False, MODELS),
    "models.storageClassName": ("fast", MODELS),
    "models.size": ("1Gi", MODELS),
    "models.accessModes": (["ReadOnlyMany"], MODELS),
    "models.prefetch.enabled": (True, MODELS),
    "models.prefetch.models": (["mdx"], PREFETCH),
    "models.prefetch.baseURL": ("https://mirror.example.org/", PREFETCH),
    "models.prefetch.allowedCIDRs": (["10.0.0.0/8"], PREFETCH),
    **{f"models.prefetch.resources.{each}": ("1Gi", PREFETCH) for each in RESOURCES},
    "models.prefetch.nodeSelector": ({"disk": "ssd"}, PREFETCH),
    "models.prefetch.tolerations": ([{"key": "a", "operator": "Exists"}], PREFETCH),
    "libraries": ([{"name": "nas", "claimName": "nas-music"}], {}),
    "files.enabled": (True, {"store": {"folder": {"accessModes": ["ReadWriteMany"]}}}),
    **{f"files.{name}": (value, FILES) for name, value in FILES_VALUES.items()},
    "files.partsBytes": (2**40, merged(S3, {"files": {"enabled": True}})),
    "files.publicUrl": ("https://s3.example.org", merged(S3, {"files": {"enabled": True}})),
    **{f"files.resources.{each}": ("1Gi", FILES) for each in RESOURCES},
    "sweep.enabled": (False, {}),
    "sweep.schedule": ("@weekly", {}),
    "sweep.dryRun": (True, {}),
    "sweep.maxPercent": (50, {}),
    "sweep.absentDays": (30, {}),
    "sweep.unfinishedHours": (48, {}),
    **{f"sweep.resources.{each}": ("1Gi", {}) for each in RESOURCES},
    "fetch.allowedCIDRs": (["10.0.0.0/8"], {}),
    "fetch.lyricsAddress": ("https://lyrics.example.org", {}),
    "fetch.maxPerHost": (4, {}),
    "fetch.coolDown.maxSeconds": (600, {}),
    "fetch.coolDown.jobs": (3, {}),
    "fetch.coolDown.namespaces": (3, {}),
    "fetch.coolDown.since": ("2026-11-28T12:00:00Z", {}),
    "networkPolicy.enabled": (True, {}),
    "networkPolicy.apiServer.cidrs": (["10.0.0.10/32"], POLICIES),
    "networkPolicy.apiServer.ports": ([8443], POLICIES),
    "networkPolicy.storeCIDRs": (["10.9.0.0/16"], POLICIES),
    "networkPolicy.clusterCIDRs": (["11.0.0.0/8"], POLICIES),
    "networkPolicy.proxyCIDRs": (["10.1.2.3/32:3128"], POLICIES),
    "networkPolicy.apiCIDRs": (["10.1.2.3/32:5432"], POLICIES),
    "sites": ([{"host": "youtube.com", "maxRunning": 2}], {}),
    "reuse.enabled": (False, {}),
    "reuse.downloadSeconds": (60, {}),
    "fetch.secret": (True, {}),
    "capacity.maxRunning": (3, {}),
    "capacity.gpus": (0, {}),
    "capacity.ageingSeconds": (0, {}),
    "capacity.scaleUp.enabled": (True, {}),
    "capacity.scaleUp.gpusPerNode": (2, {}),
    "capacity.scaleUp.maxGpus": (4, {}),
    "capacity.scaleUp.maxUnschedulable": (3, {}),
    "gpu.resourceName": ("amd.com/gpu", {}),
    "gpu.shared": (True, {}),
    "disruption.nodeLostSeconds": (0, {}),
    "disruption.graceSeconds": (60, {}),
    "disruption.lostAfterSeconds": (5, {}),
    "disruption.protectRunning": (True, {}),
    **{f"overlap.{name}": (value, {}) for name, value in OVERLAP.items()},
    "defaultQueue.create": (False, {}),
    "defaultQueue.maxRunning": (3, {}),
    "defaultQueue.maxGPUs": (0, {}),
    "defaultQueue.maxRunningPerUser": (2, {}),
    "defaultQueue.weight": (1, {}),
    "quota.audioJobs": (2_000, {}),
    "defaultQueue.kueueLocalQueue": ("team", {}),
    "pipelines.enabled": (False, {}),
    "pipelines.device": ("CPU", {}),
    "pipelines.gpuWaitSeconds": (0, {}),
    "pipelines.retentionSeconds": (86_400, {}),
    "pipelines.intermediateRetentionSeconds": (86_400, {}),
    "pipelines.sheetMusicMaxSeconds": (60, {}),
    **{
        f"pipelines.resources.{phase}.{key}": ("7Gi", {"images": {"speak": "speak:1"}})
        for phase in (task.parameter_key for task in Task if task.descriptor.size is not None)
        for key in ("cpu", "memory", "scratch")
    },
    "pipelines.templates": ({"gpu": {"runtimeClassName": "nvidia"}}, {}),
    "admissionPolicies.enabled": (False, {}),
    "monitoring.labels": ({"release": "prometheus"}, MONITORING),
    "monitoring.podMonitor.enabled": (True, {}),
    "monitoring.podMonitor.interval": ("10s", MONITORING),
    "monitoring.rules.enabled": (True, {}),
    "monitoring.rules.runbookURL": ("https://git.example.org/runbooks", MONITORING),
    "monitoring.rules.disabled": (["AudiojobWaitLong"], MONITORING),
    "monitoring.dashboards.enabled": (True, {}),
    "monitoring.dashboards.labels.grafana_dashboard": ("2", MONITORING),
    "images.earlierRepositories": (["example.org/old/runner"], {}),
    "rbac.aggregate": (False, {}),
}


def test_every_value_is_in_the_table_above() -> None:
    together = {f"images.{name}.pullPolicy" for name in ("runner", "runnerTorch", "runnerMusic")} | OF_THEIR_OWN
    together |= {f"monitoring.rules.thresholds.{each.name}" for each in THRESHOLDS}
    assert CHANGES.keys() | together == {".".join(path) for path in leaves(default_values())}


@pytest.mark.parametrize("path", CHANGES)
def test_every_value_changes_what_is_installed(helm: Helm, path: str) -> None:
    value, needed = CHANGES[path]
    before = merged(BASE, needed)
    assert helm.makes_others(merged(before, nested(path, value)), than=before)


def test_the_pull_policy_of_the_runner_images_is_one_setting(helm: Helm) -> None:
    always = {"pullPolicy": "Always"}
    changed = merged(BASE, {"images": {"runner": always, "runnerTorch": always, "runnerMusic": always}})
    assert helm.makes_others(changed, than=BASE)


def test_every_value_that_a_template_names_exists() -> None:
    known = {".".join(path[:length]) for path in leaves(default_values()) for length in range(1, len(path) + 1)}
    used = {
        match
        for file in CHART.rglob("templates/**/*")
        if file.is_file()
        for match in re.findall(r"\.Values\.([A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*)", file.read_text(encoding="utf-8"))
    }
    assert used
    assert used - known == set()


def test_every_value_has_a_comment() -> None:
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[a-z]\w*:", line):
            section = lines[number : number + 3]
            commented = lines[number - 1].startswith("#") or any(text.strip().startswith("#") for text in section)
            assert commented or line.rstrip() in ("operator:", "api:"), f"{line} has no comment"


WRONG: dict[str, tuple[Object, list[str]]] = {
    "SQLite for two": (merged(SQLITE, {"api": {"replicas": 2}}), ["one process alone may write", "PostgreSQL"]),
    "SQLite for as many as it takes": (
        merged(SQLITE, {"api": {"autoscaling": {"enabled": True}}}), ["one process alone may write"],
    ),
    "PostgreSQL without an address": ({"api": {"database": {"kind": "PostgreSQL"}}}, ["api.database.secret is empty"]),
    "an archive without a database": ({"api": {"archive": {"enabled": True}}}, ["archive.enabled needs a database"]),
    "an archive of some namespaces": (
        merged(ARCHIVE, {"jobNamespaces": ["music", "speech"]}), ["does not serve speech of jobNamespaces"],
    ),
    "nine labels": ({"api": {"archive": {"labels": [f"l{number}" for number in range(9)]}}}, ["labels", "maxItems"]),
    "an unknown key at the top": ({"colour": "red"}, ["colour", "not allowed"]),
    "an unknown key further down": ({"store": {"folder": {"siez": "1Gi"}}}, ["store", "folder", "siez", "not allowed"]),
    "an unknown key of an image": ({"images": {"runner": {"version": "1"}}}, ["images", "version", "not allowed"]),
    "a number for a name": ({"fullnameOverride": 7}, ["fullnameOverride", "want string"]),
    "a string for a list": ({"jobNamespaces": "music"}, ["jobNamespaces", "want array"]),
    "a string for a number": ({"capacity": {"maxRunning": "10"}}, ["maxRunning", "want integer"]),
    "a fraction for a whole number": ({"capacity": {"maxRunning": 1.5}}, ["maxRunning", "want integer"]),
    "a negative capacity": ({"capacity": {"maxRunning": -1}}, ["maxRunning", "got -1, want 1"]),
    "no capacity at all": ({"capacity": {"maxRunning": 0}}, ["maxRunning", "got 0, want 1"]),
    "a fixed number of GPUs that is to grow": (
        {"capacity": {"gpus": 4, "scaleUp": {"enabled": True}}}, ["capacity.gpus fixes the number of GPUs"],
    ),
    "more GPUs on a node than in all": (
        {"capacity": {"scaleUp": {"gpusPerNode": 9}}}, ["gpusPerNode must not be above capacity.scaleUp.maxGpus"],
    ),
    "a network without a mask": ({"fetch": {"allowedCIDRs": ["10.0.0.1"]}}, ["allowedCIDRs/0"]),
    "a network with port 0": ({"fetch": {"allowedCIDRs": ["10.0.0.0/8:0"]}}, ["allowedCIDRs/0"]),
    "a network with port 65536": ({"fetch": {"allowedCIDRs": ["10.0.0.0/8:65536"]}}, ["allowedCIDRs/0"]),
    "a network with a mask of 33": ({"fetch": {"allowedCIDRs": ["10.0.0.0/33"]}}, ["allowedCIDRs/0"]),
    "a network with a part of 256": ({"fetch": {"allowedCIDRs": ["10.256.0.0/16"]}}, ["allowedCIDRs/0"]),
    "a host name for a network": ({"fetch": {"allowedCIDRs": ["localhost"]}}, ["allowedCIDRs/0"]),
    "an IPv6 network with a mask of 129": ({"fetch": {"allowedCIDRs": ["fd00::/129"]}}, ["allowedCIDRs/0"]),
    "a namespace in capitals": ({"jobNamespaces": ["Music"]}, ["jobNamespaces/0"]),
    "a namespace twice": ({"jobNamespaces": ["a", "a"]}, ["jobNamespaces", "equal"]),
    "a size that is no quantity": ({"store": {"folder": {"size": "big"}}}, ["store/folder/size"]),
    "a site without a host": ({"sites": [{"maxRunning": 2}]}, ["sites/0", "host"]),
    "a site with an address for a host": ({"sites": [{"host": "https://a.example"}]}, ["sites/0/host"]),
    "a site with an unknown limit": ({"sites": [{"host": "a.example", "maxRuning": 2}]}, ["sites/0", "maxRuning"]),
    "a site that may run nothing": ({"sites": [{"host": "a.example", "maxRunning": 0}]}, ["sites/0/maxRunning"]),
    "an unknown kind of store": ({"store": {"kind": "NFS"}}, ["store/kind"]),
    "a claim that runners cannot write": ({"store": {"folder": {"accessModes": ["ReadOnlyMany"]}}}, ["accessModes"]),
    "an endpoint with a password": ({"store": {"s3": {"endpoint": "https://a:b@c"}}}, ["endpoint"]),
    "an unknown pull policy": ({"images": {"control": {"pullPolicy": "Sometimes"}}}, ["pullPolicy"]),
    "a digest that is none": ({"images": {"control": {"digest": "latest"}}}, ["digest"]),
    "a resource that is no GPU": ({"gpu": {"resourceName": "devices.example/kvm"}}, ["gpu/resourceName"]),
    "no time to end": ({"disruption": {"graceSeconds": 0}}, ["graceSeconds", "got 0, want 1"]),
    "no operator": ({"operator": {"replicas": 0}}, ["operator/replicas"]),
    "fewer API pods at most than at least": (
        {"api": {"autoscaling": {"minReplicas": 7}}}, ["minReplicas must not be above api.autoscaling.maxReplicas"],
    ),
    "an architecture that is none": ({"images": {"control": {"architectures": ["AMD 64"]}}}, ["architectures/0"]),
    "row 15: two ways in": (merged(INGRESS, ROUTE), ["api.ingress and api.httpRoute are both enabled"]),
    "a route to no gateway": ({"api": {"httpRoute": {"enabled": True}}}, ["needs a Gateway", "httpRoute.parentRefs"]),
    "a host with a path": ({"api": {"ingress": {"host": "a.example/b"}}}, ["api/ingress/host"]),
    "no API pods": ({"api": {"replicas": 0}}, ["replicas"]),
    "a port above the last": ({"api": {"service": {"port": 65536}}}, ["port"]),
    "an unknown device": ({"pipelines": {"device": "TPU"}}, ["device"]),
    "a label that is a number": ({"commonLabels": {"a": 1}}, ["commonLabels/a", "want string"]),
    "a toleration with an unknown key": ({"api": {"tolerations": [{"keys": "a"}]}}, ["tolerations", "keys"]),
    "a library without a place": ({"libraries": [{"name": "a"}]}, ["libraries/0"]),
    "a library at two places": ({"libraries": [{"name": "a", "claimName": "b", "prefix": "c"}]}, ["libraries/0"]),
    "a library on the node": ({"libraries": [{"name": "a", "hostPath": "/srv"}]}, ["hostPath", "not allowed"]),
    "a library above the store": ({"libraries": [{"name": "a", "prefix": "../b"}]}, ["libraries/0/prefix"]),
    "a library among jobs": ({"libraries": [{"name": "a", "prefix": "music/b"}]}, ["folder of the jobs", "library/a"]),
    "a library twice": (
        {"libraries": [{"name": "a", "prefix": "b"}, {"name": "a", "prefix": "c"}]}, ["name a is there twice"],
    ),
    "a library where nothing runs": (
        {"libraries": [{"name": "a", "prefix": "b", "namespaces": ["other"]}]}, ["other is not in jobNamespaces"],
    ),
    "a schedule in words": ({"sweep": {"schedule": "every night"}}, ["sweep/schedule"]),
    "a sweep of more than all": ({"sweep": {"maxPercent": 101}}, ["sweep/maxPercent"]),
    "a rule for a namespace that the API does not serve": (
        {"api": {"access": {"rules": [{**RULE, "namespace": "other"}]}}}, ["does not serve other"],
    ),
    "a limit that needs a database": (
        {"api": {"access": {"limits": {"tiers": {"free": {"jobsPerDay": 5}}}}}},
        ["tiers.free counts", "api.database.kind"],
    ),
    "a limit that is none": ({"api": {"access": {"limits": {"tiers": {"free": {"jobs": 5}}}}}}, ["tiers/free", "jobs"]),
    "a role that nobody has": ({"api": {"access": {"rules": [{**RULE, "role": "owner"}]}}}, ["access/rules/0/role"]),
    "a namespace of the API without jobs": ({"api": {"namespaces": ["other"]}}, ["api.namespaces has other"]),
    "no job namespaces": ({"jobNamespaces": []}, ["jobNamespaces is empty", "--set"]),
    "the operator's own namespace": ({"jobNamespaces": ["audiojob-system"]}, ["must not hold audiojob-system"]),
    "an API namespace where nothing runs": ({"api": {"namespace": "other"}}, ["api.namespace is other", "Add it"]),
    "two pull policies of runners": ({"images": {"runner": {"pullPolicy": "Always"}}}, ["must be the same"]),
    "S3 without a bucket": ({"store": {"kind": "S3"}}, ["store.s3.bucket must name a bucket"]),
    "S3 over plain HTTP": (
        {"store": {"kind": "S3", "s3": {"bucket": "music", "endpoint": "http://minio:9000"}}},
        ["unencrypted", "allowHttp"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_are_refused(helm: Helm, values: Object, words: list[str]) -> None:
    with pytest.raises(RefusedError) as refused:
        helm.render(merged(BASE, values))
    assert [word for word in words if word not in str(refused.value)] == [], refused.value


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "10.1.2.3/32", "fd00:1::/32", "::/0", "::1/128", "2001:db8:1:2::/64"])
def test_networks_are_accepted(helm: Helm, cidr: str) -> None:
    assert helm.render(merged(BASE, {"fetch": {"allowedCIDRs": [cidr]}}))


def test_an_old_kubernetes_is_refused(helm: Helm) -> None:
    with pytest.raises(RefusedError, match="kubeVersion"):
        helm.render(BASE, kubernetes="1.30.9")


def test_the_schema_is_closed_and_describes_everything() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    free = {"global", "affinity"}  # checked by others: the parent chart, the API server
    for path, node in _walk(schema):
        if node.get("type") == "object" and path.rsplit(".", 1)[-1] not in free:
            assert "additionalProperties" in node, f"{path} takes any key"
        for name, child in node.get("properties", {}).items():
            assert "description" in child or "$ref" in child, f"{path}.{name} has no description"


def _walk(node: Any, path: str = "") -> Iterator[tuple[str, Object]]:
    if isinstance(node, dict):
        yield path, node
        for key, child in node.items():
            yield from _walk(child, f"{path}.{key}")
    elif isinstance(node, list):
        for child in node:
            yield from _walk(child, path)
