"""Changes of a Job which a thief of the operator's token would want, and the field that the refusal names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.integration.policy.operator.account import Object

from audiojob_types import constants as c

Change = Callable[[Object], Any]


def pod(job: Object) -> Object:
    found: Object = job["spec"]["template"]["spec"]
    return found


def first(job: Object) -> Object:
    found: Object = pod(job)["containers"][0]
    return found


def init(job: Object, name: str) -> Object:
    found: Object = next(each for each in pod(job)["initContainers"] if each["name"] == name)
    return found


def volume(**source: Any) -> Change:
    return lambda job: pod(job)["volumes"].append({"name": "more", **source})


def mount(name: str, path: str, **more: Any) -> Change:
    return lambda job: first(job)["volumeMounts"].append({"name": name, "mountPath": path, **more})


def shares_the_store(job: Object) -> None:
    """The reporter, which has the token, gets a mount of the fetcher."""
    mounts = init(job, c.CONTAINER_FETCH)["volumeMounts"]
    init(job, c.CONTAINER_REPORT)["volumeMounts"] += [each for each in mounts if each["name"] == "store"]


def container(**fields: Any) -> Change:
    return lambda job: first(job).update(fields)


def secured(**fields: Any) -> Change:
    return lambda job: first(job)["securityContext"].update(fields)


def program(**fields: Any) -> Change:
    return lambda job: init(job, c.CONTAINER_PROGRAM).update(fields)


def another(kind: str) -> Change:
    more = {"name": "more", "image": "docker.io/audiojob/runner:1"}
    return lambda job: pod(job).setdefault(kind, []).append(more)


PODMETA = "spec.template.metadata."


SPEC, CONTAINERS = "spec.template.spec", "spec.template.spec.containers"


SECRET = {"valueFrom": {"secretKeyRef": {"name": "other", "key": "password"}}}


SENTENCES: dict[str, tuple[str, Change]] = {
    # identity
    "another account": (SPEC, lambda job: pod(job).update(serviceAccountName="default")),
    "the automatic token": (SPEC, lambda job: pod(job).update(automountServiceAccountToken=True)),
    "a token for another audience": (
        f"{SPEC}.volumes",
        lambda job: pod(job)["volumes"][1]["projected"]["sources"][0]["serviceAccountToken"].update(audience="vault"),
    ),
    "another user": (SPEC, lambda job: pod(job)["securityContext"].update(runAsUser=0, runAsNonRoot=False)),
    "a group of the node's files": (SPEC, lambda job: pod(job)["securityContext"].update(supplementalGroups=[0])),
    "no seccomp profile": (SPEC, lambda job: pod(job)["securityContext"].pop("seccompProfile")),
    "a pull secret": (SPEC, lambda job: pod(job).update(imagePullSecrets=[{"name": "other"}])),
    # the node
    "the node's network": (SPEC, lambda job: pod(job).update(hostNetwork=True)),
    "the node's processes": (SPEC, lambda job: pod(job).update(hostPID=True)),
    "the node's memory": (SPEC, lambda job: pod(job).update(hostIPC=True)),
    "a node by name": (SPEC, lambda job: pod(job).update(nodeName="control-plane")),
    "names of its own": (SPEC, lambda job: pod(job).update(hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a"]}])),
    "the node's names": (SPEC, lambda job: pod(job).update(dnsPolicy="Default")),
    "one process space": (SPEC, lambda job: pod(job).update(shareProcessNamespace=True)),
    "a folder of the node": (f"{SPEC}.volumes", volume(hostPath={"path": "/"})),
    "a port of the node": (CONTAINERS, container(ports=[{"containerPort": 80, "hostPort": 80}])),
    "a privileged container": (CONTAINERS, secured(privileged=True, allowPrivilegeEscalation=True)),
    "a container that may gain privileges": (CONTAINERS, secured(allowPrivilegeEscalation=True)),
    "an added capability": (CONTAINERS, secured(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]})),
    "a container of root": (CONTAINERS, secured(runAsUser=0)),
    "a container without limits of what it may do": (CONTAINERS, lambda job: first(job).pop("securityContext")),
    "a program that may gain privileges": (
        CONTAINERS,
        lambda job: init(job, c.CONTAINER_PROGRAM)["securityContext"].update(allowPrivilegeEscalation=True),
    ),
    "a pod that keeps close to others": (
        "spec.template.spec",
        lambda job: pod(job).update(affinity={"podAffinity": {}}),
    ),
    "a device": (CONTAINERS, lambda job: first(job)["resources"]["limits"].update({"example.org/kvm": "1"})),
    # secrets and files
    "another secret": (f"{SPEC}.volumes", volume(secret={"secretName": "other"})),
    "another secret as the store": (
        f"{SPEC}.volumes",
        lambda job: pod(job)["volumes"].__setitem__(slice(3, 4), [{"name": "store", "secret": {"secretName": "x"}}]),
    ),
    "a secret in a projected volume": (
        f"{SPEC}.volumes",
        lambda job: pod(job)["volumes"][1]["projected"]["sources"].append({"secret": {"name": "other"}}),
    ),
    "a ConfigMap": (f"{SPEC}.volumes", volume(configMap={"name": "other"})),
    "another claim": (f"{SPEC}.volumes", volume(persistentVolumeClaim={"claimName": "others"})),
    "a library's claim by another name": (f"{SPEC}.volumes", volume(persistentVolumeClaim={"claimName": "nas-music"})),
    "a library that is only read, writable": (
        f"{SPEC}.volumes",
        lambda job: pod(job)["volumes"].append(
            {"name": "library-old", "persistentVolumeClaim": {"claimName": "old-records"}}
        ),
    ),
    "memory as a disk": (f"{SPEC}.volumes", volume(emptyDir={"medium": "Memory"})),
    "a driver's volume": (f"{SPEC}.volumes", volume(csi={"driver": "secrets-store.csi.k8s.io"})),
    "a network share": (f"{SPEC}.volumes", volume(nfs={"server": "10.0.0.1", "path": "/"})),
    "a secret in the environment": (CONTAINERS, container(env=[{"name": "HOME", **SECRET}])),
    "all of a secret in the environment": (CONTAINERS, container(envFrom=[{"secretRef": {"name": "other"}}])),
    "a secret in the program's environment": (f"{SPEC}.initContainers", program(env=[{"name": "A", **SECRET}])),
    "all of a secret in the program's environment": (CONTAINERS, program(envFrom=[{"secretRef": {"name": "other"}}])),
    "the whole store": (CONTAINERS, mount("store", "/store/all")),
    "the store over our code": (CONTAINERS, mount("store", "/usr/lib/python3", subPath="NS/uploads", readOnly=True)),
    "another namespace's folder": (CONTAINERS, mount("store", "/store/b/u/p", subPath="b/u/p", readOnly=True)),
    "a whole job's folder": (CONTAINERS, mount("store", "/store/NS/uid", subPath="NS/uid", readOnly=True)),
    "another job's folder to write into": (CONTAINERS, mount("store", "/store/NS/u/p", subPath="NS/u/p")),
    "uploads to write into": (CONTAINERS, mount("store", "/store/NS/uploads", subPath="NS/uploads")),
    "a library that is only read to write into": (
        CONTAINERS,
        mount("store", "/store/NS/libraries/films", subPath="library/films"),
    ),
    "scratch space over our code": (CONTAINERS, mount("scratch", "/usr/lib")),
    "a folder by a variable": (CONTAINERS, mount("store", "/store/", subPathExpr="$(HOME)")),
    "a mount that follows the node's": (
        CONTAINERS,
        lambda job: first(job)["volumeMounts"][1].update(mountPropagation="HostToContainer"),
    ),
    "the store beside the token": (f"{SPEC}.initContainers", shares_the_store),
    "the token for the program": (
        f"{SPEC}.initContainers",
        program(volumeMounts=[{"name": "token", "mountPath": "/work"}]),
    ),
    "the store for the program": (
        f"{SPEC}.initContainers",
        program(volumeMounts=[{"name": "store", "mountPath": "/work"}]),
    ),
    # code
    "another image": (CONTAINERS, container(image="example.org/evil:1")),
    "an image whose name begins like ours": (CONTAINERS, container(image="docker.io/audiojob/runner-evil:1")),
    "an image below ours": (CONTAINERS, container(image="docker.io/audiojob/runner/evil:1")),
    "a program in the place of the fetcher": (
        CONTAINERS,
        lambda job: init(job, c.CONTAINER_FETCH).update(image="example.org/evil:1"),
    ),
    "another command": (CONTAINERS, container(command=["sh", "-c", "id"])),
    "arguments": (CONTAINERS, container(args=["--help"])),
    "a variable that changes our code": (CONTAINERS, container(env=[{"name": "PYTHONPATH", "value": "/scratch"}])),
    "a hook": (CONTAINERS, container(lifecycle={"postStart": {"exec": {"command": ["id"]}}})),
    "a probe": (CONTAINERS, container(livenessProbe={"exec": {"command": ["id"]}})),
    "another container": (CONTAINERS, another("containers")),
    "another init container": (CONTAINERS, another("initContainers")),
    "a program that stays": (CONTAINERS, program(restartPolicy="Always")),
    # labels and owner
    "no AudioJob": ("metadata.ownerReferences", lambda job: job["metadata"].pop("ownerReferences")),
    "an owner of another kind": (
        "metadata.ownerReferences",
        lambda job: job["metadata"]["ownerReferences"][0].update(kind="AudioPipeline"),
    ),
    "two owners": (
        "metadata.ownerReferences",
        lambda job: job["metadata"]["ownerReferences"].append(
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}
        ),
    ),
    "an AudioJob that its labels do not name": (
        "metadata.ownerReferences",
        lambda job: job["metadata"]["ownerReferences"][0].update(name="others"),
    ),
    "a finalizer": ("metadata.ownerReferences", lambda job: job["metadata"].update(finalizers=["example.org/a"])),
    "no label of ours": ("metadata.labels", lambda job: job["metadata"]["labels"].pop(c.LABEL_MANAGED_BY)),
    "labels of another Service": (
        f"{PODMETA}labels",
        lambda job: job["spec"]["template"]["metadata"]["labels"].update(app="shop"),
    ),
    "labels of another phase": (
        f"{PODMETA}labels",
        lambda job: job["spec"]["template"]["metadata"]["labels"].update({c.LABEL_PHASE: "other"}),
    ),
    "a way out that no task has": (
        f"{PODMETA}labels",
        lambda job: job["spec"]["template"]["metadata"]["labels"].update({c.LABEL_EGRESS: "everything"}),
    ),
    "an annotation for an injector": (
        f"{PODMETA}annotations",
        lambda job: job["spec"]["template"]["metadata"]["annotations"].update({"vault.hashicorp.com/inject": "true"}),
    ),
    "many pods": ("spec: ", lambda job: job["spec"].update(parallelism=50, completions=50)),
    "a selector of its own": (
        "spec: ",
        lambda job: job["spec"].update(
            manualSelector=True, selector={"matchLabels": {c.LABEL_JOB: job["metadata"]["labels"][c.LABEL_JOB]}}
        ),
    ),
    "pods of others": ("spec: ", lambda job: job["spec"].update(managedBy="example.org/other")),
}
