"""What the operator's account may make and delete: what the operator does, not what a thief of its token wants."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.integration.policy.operator_account import BUCKET, FOLDER, PROBE, Account, Object, installed, moved
from tests.unit.operator import goldens
from tests.unit.operator.builders import SETTINGS, URL, World, audio_job, phase, phase_input_of, pipeline, with_settings
from tests.unit.operator.building.test_mounts import whole_jobs

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH
from audiojob_operator.deciding.revisions import make_revision, revision_object
from audiojob_operator.operator_policy import DELETIONS_NAME, EVENTS_NAME, JOBS_NAME, REVISIONS_NAME
from audiojob_operator.reconciling.events import event_object
from audiojob_operator.records.libraries import Library
from audiojob_operator.records.plan import EventRecord
from audiojob_types import constants as c
from audiojob_types.generate import status_policy
from audiojob_types.resources.metadata import Metadata
from audiojob_types.resources.pipeline import AudioPipeline
from audiojob_types.tasks import Task

pytestmark = pytest.mark.integration

JOBS, REVISIONS, EVENTS = "apis/batch/v1 jobs", "apis/apps/v1 controllerrevisions", "api/v1 events"
AUDIOJOBS = f"apis/{c.API_VERSION} audiojobs"
CLAIMS = (Library("nas", claim_name="nas-music"), Library("old", claim_name="old-records", read_only=True))


def built() -> list[Object]:
    """Jobs of every task and option, as the operator makes them."""
    bound = [{"name": "source", "from": "Job"}]
    made = [*map(goldens.built, goldens.CASES), *whole_jobs()]
    for task in Task:
        runs: Object = {"image": "example.org/any@sha256:" + "7" * 64} if task.descriptor.runs_program else {}
        given: Object = {"source": {"library": {"name": "old", "path": "a.flac"}}}
        if task.descriptor.fetches:
            given = {"source": {"url": URL}}
        if task.descriptor.publishes:
            given["destination"] = {"library": "nas"}
        more: Object = {"hardLimitSeconds": 60, "device": "Auto", "inputs": bound, **runs}
        world = World(
            audiojob=audio_job(f"job-{task.value.lower()}", **given),
            pipeline=pipeline(phase("only", task.value, **more)),
            settings=with_settings(libraries=CLAIMS, fetch_secret=True),
            gpu=True,
        )
        world.turn()
        made += world.jobs.values()
    queued = goldens.built("download-from-url")
    queued["metadata"]["labels"][c.KUEUE_QUEUE_LABEL] = "team"
    queued["spec"]["suspend"] = True
    return [*made, queued]


def in_bucket(job: Object) -> bool:
    return any(each["name"] == "store" and "secret" in each for each in job["spec"]["template"]["spec"]["volumes"])


def test_with_a_bucket_its_jobs_are_taken_and_volumes_of_other_values_are_refused(apiserver: LocalApiServer) -> None:
    # The first of the file: the fixture below keeps its policies in force.
    plain = {**BUCKET, "models": {"enabled": False}, "fetch": {"secret": False}, "libraries": []}
    with installed(apiserver, plain) as account:
        for job in filter(in_bucket, built()):
            answer = account.create(JOBS, moved(job, account.namespace))
            assert answer.status == 201, f"{job['metadata']['name']}: {answer.message}"
        attacked = next(filter(in_bucket, built()))
        others: dict[str, Object] = {
            "store": {"persistentVolumeClaim": {"claimName": c.STORE_CLAIM}},
            "fetch": {"secret": {"secretName": c.FETCH_SECRET}},
            "models": {"persistentVolumeClaim": {"claimName": c.MODELS_CLAIM, "readOnly": True}},
            "library-nas": {"persistentVolumeClaim": {"claimName": "nas-music"}},
        }
        for name, source in others.items():
            job = moved(attacked, account.namespace)
            volumes = job["spec"]["template"]["spec"]["volumes"]
            volumes[:] = [*(each for each in volumes if each["name"] != name), {"name": name, **source}]
            answer = account.create(JOBS, job)
            assert (answer.status, "spec.template.spec.volumes: " in answer.message) == (403, True), name


@pytest.fixture(scope="module")
def folder(apiserver: LocalApiServer) -> Iterator[Account]:
    with installed(apiserver, FOLDER) as account:
        yield account


def test_every_job_that_the_operator_builds_is_taken(folder: Account) -> None:
    jobs = [job for job in built() if not in_bucket(job)]
    assert {phase_input_of(job).task for job in jobs} == set(Task)
    for job in jobs:
        answer = folder.create(JOBS, moved(job, folder.namespace))
        assert answer.status == 201, f"{job['metadata']['name']}: {answer.message}"


# ---------------------------------------------------------------- what is refused

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


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_job_is_refused_with(folder: Account, sentence: str) -> None:
    field, change = SENTENCES[sentence]
    job = moved(goldens.built("program-of-the-administrator"), folder.namespace)
    change(job)
    for each in first(job)["volumeMounts"]:
        for key in ("mountPath", "subPath"):
            if key in each:
                each[key] = each[key].replace("NS/", f"{folder.namespace}/")
    answer = folder.create(JOBS, job)
    assert answer.status == 403, answer.message or "it was taken"
    assert JOBS_NAME in answer.message
    assert field in answer.message


def test_a_job_goes_on_with_images_of_an_earlier_repository(folder: Account) -> None:
    job = moved(goldens.built("download-from-url"), folder.namespace)
    first(job)["image"] = "docker.io/before/runner@sha256:" + "1" * 64
    assert folder.create(JOBS, job).status == 201


# ---------------------------------------------------------------- other objects


def test_the_operators_revisions_and_events_are_taken_and_others_refused(folder: Account) -> None:
    made = make_revision(AudioPipeline.read(pipeline(phase("only"))), SETTINGS.images)
    revision = revision_object(made, folder.namespace)
    assert folder.create(REVISIONS, revision).status == 201
    foreign = deepcopy(revision)
    del foreign["metadata"]["labels"][c.LABEL_MANAGED_BY]
    owned = deepcopy(revision)
    owned["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "a", "uid": "b"}]
    for other in (foreign, owned):
        answer = folder.create(REVISIONS, other)
        assert (answer.status, REVISIONS_NAME in answer.message) == (403, True)

    about = Metadata(name="song", namespace=folder.namespace, uid="u")
    event = event_object(EventRecord("song.1", "Normal", "PhaseStarted", "It began."), about, "me", datetime.now(UTC))
    assert folder.create(EVENTS, event).status == 201
    for involved in ({"kind": "Pod", "apiVersion": "v1"}, {"apiVersion": "example.org/v1"}):
        answer = folder.create(EVENTS, {**event, "involvedObject": {**event["involvedObject"], **involved}})
        assert (answer.status, EVENTS_NAME in answer.message) == (403, True)


def made_in(account: Account, namespace: str, name: str, status: Object) -> None:
    """An AudioJob with this status, which somebody else has written."""
    rest, path = account.server.rest, f"/apis/{c.API_VERSION}/namespaces/{namespace}/audiojobs"
    body = {"apiVersion": c.API_VERSION, "kind": "AudioJob", "metadata": {"name": name}, "spec": {"pipeline": "a"}}
    rest.request("POST", path, body)
    rest.request("PATCH", f"{path}/{name}/status", {"status": status}, content_type=MERGE_PATCH)


@pytest.fixture
def elsewhere(folder: Account) -> Iterator[str]:
    """A namespace that is not one of the operator's."""
    name = f"elsewhere-{uuid.uuid4().hex[:8]}"
    folder.server.create_namespace(name)
    yield name
    folder.server.rest.request("DELETE", f"/apis/{c.API_VERSION}/namespaces/{name}/audiojobs")
    folder.server.rest.request("DELETE", f"/api/v1/namespaces/{name}")


def test_elsewhere_the_operator_says_that_a_namespace_is_not_prepared_and_nothing_else(
    folder: Account, elsewhere: str
) -> None:
    made_in(folder, elsewhere, "waits", {"state": "Pending"})
    specs: tuple[Object, ...] = ({}, {"cancel": True}, {"suspend": True})
    for spec in specs:
        world = World(audiojob=audio_job(**spec), prepared=False)
        world.turn()
        answer = folder.report(elsewhere, "waits", world.status)
        assert answer.status == 200, f"{spec}: {answer.message}"
    statuses: list[Object] = [
        {"state": "Running"},
        {"state": "Succeeded"},
        {"percent": 50},
        {"outputPrefix": "b/c"},
        {"pipelineRevision": "a-1"},
        {"startTime": "2026-03-01T12:00:00Z"},
    ]
    for status in statuses:
        answer = folder.report(elsewhere, "waits", status)
        assert (answer.status, status_policy.NAME in answer.message) == (403, True), f"{status}: {answer.message}"
    made_in(folder, elsewhere, "begun", {"state": "Running", "pipelineRevision": "a-1"})
    answer = folder.report(elsewhere, "begun", {"state": "Failed"})
    assert (answer.status, "jobNamespaces" in answer.message) == (403, True)
    made_in(folder, folder.namespace, "ours", {"state": "Running", "pipelineRevision": "a-1"})
    assert folder.report(folder.namespace, "ours", {"state": "Succeeded", "percent": 100}).status == 200
    folder.server.rest.request("DELETE", f"/apis/{c.API_VERSION}/namespaces/{folder.namespace}/audiojobs")


def test_the_operator_deletes_what_it_made_and_audiojobs_that_have_ended(folder: Account) -> None:
    rest, base = folder.server.rest, f"/apis/batch/v1/namespaces/{folder.namespace}/jobs"
    own, others = (f"{word}-{uuid.uuid4().hex[:6]}" for word in ("own", "sweep"))
    for name, labels in ((own, {c.LABEL_MANAGED_BY: c.MANAGER_OPERATOR}), (others, {})):
        spec = {"suspend": True, "template": {"spec": PROBE}}
        body = {"metadata": {"name": name, "labels": labels}, "spec": spec}
        rest.request("POST", base, body)
    assert folder.delete(JOBS, own).status == 200
    refused = folder.delete(JOBS, others)
    assert (refused.status, DELETIONS_NAME in refused.message) == (403, True)

    path = f"/apis/{c.API_VERSION}/namespaces/{folder.namespace}/audiojobs"
    states = {"Pending": 403, "Running": 403, "Suspended": 403, "Succeeded": 200, "Failed": 200, "Cancelled": 200}
    for state, expected in states.items():
        name = f"song-{state.lower()}"
        made_in(folder, folder.namespace, name, {"state": state})
        answer = folder.delete(AUDIOJOBS, name)
        assert answer.status == expected, f"{state}: {answer.message}"
    rest.request("DELETE", path)
