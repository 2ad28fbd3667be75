"""What the operator's account may make and delete: what the operator does, not what a thief of its token wants."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime

import pytest
from tests.integration.policy.operator.account import BUCKET, FOLDER, PROBE, Account, Object, installed, moved
from tests.integration.policy.operator.job_changes import SENTENCES, first
from tests.integration.policy.operator.worker_changes import SENTENCES as OF_WORKERS
from tests.integration.policy.operator.worker_changes import worker_job
from tests.unit.operator import goldens
from tests.unit.operator.builders import SETTINGS, URL, World, audio_job, phase, phase_input_of, pipeline, with_settings
from tests.unit.operator.building.test_mounts import whole_jobs

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH
from audiojob_operator.building.pools.worker import build_worker, order_text, pool_facts, work_terms
from audiojob_operator.deciding.revisions import make_revision, revision_object
from audiojob_operator.operator_policy import DELETIONS_NAME, EVENTS_NAME, JOBS_NAME, REVISIONS_NAME
from audiojob_operator.reconciling.events import event_object
from audiojob_operator.records.libraries import Library
from audiojob_operator.records.plan import EventRecord
from audiojob_operator.worker_policy import WORKERS_NAME
from audiojob_types import constants as c
from audiojob_types.generate import status_policy
from audiojob_types.resources.metadata import Metadata
from audiojob_types.resources.pipeline import AudioPipeline
from audiojob_types.tasks import Task
from audiojob_types.workers.pool import AudioWorkerPool

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
        assert account.create(JOBS, without_models(worker_job(account.namespace, bucket=True))).status == 201
        for refused in (
            worker_job(account.namespace, bucket=True),
            without_models(worker_job(account.namespace)),
        ):
            answer = account.create(JOBS, refused)
            assert (answer.status, "spec.template.spec.volumes: " in answer.message) == (403, True), answer.message
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


def without_models(job: Object) -> Object:
    """The Job of a worker, where no models are installed."""
    pod = job["spec"]["template"]["spec"]
    for each in (pod["volumes"], pod["containers"][1]["volumeMounts"]):
        each[:] = [member for member in each if member["name"] != "models"]
    return job


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


@pytest.mark.parametrize("gpus", [0, 2])
def test_the_job_of_a_worker_is_taken(folder: Account, gpus: int) -> None:
    answer = folder.create(JOBS, worker_job(folder.namespace, gpus=gpus))
    assert answer.status == 201, answer.message


WORKERS: dict[str, Object] = {
    "on the CPU": {"tasks": ["Engrave", "Align"]},
    "on GPUs, with models and a place": {
        "tasks": ["Separate"], "device": "GPU", "gpus": 2, "preload": {"models": ["htdemucs"]},
        "template": {"nodeSelector": {"gpu": "a10"}, "tolerations": [{"operator": "Exists"}]},
    },
    "of a queue of Kueue": {"tasks": ["Separate"], "kueueLocalQueue": "team", "resources": {"cpuLimit": "2"}},
}  # fmt: skip


@pytest.mark.parametrize("spec", WORKERS.values(), ids=WORKERS.keys())
def test_the_workers_that_the_operator_builds_are_taken(folder: Account, spec: Object) -> None:
    metadata = {"name": "gpu", "namespace": folder.namespace, "uid": "u"}
    pool = AudioWorkerPool.read({"metadata": metadata, "spec": spec})
    settings = with_settings(models_claim=True)
    order = order_text(work_terms(pool, stays=False, drain=False))
    answer = folder.create(JOBS, build_worker(pool_facts(pool, settings), 3, settings, order))
    assert answer.status == 201, answer.message


@pytest.mark.parametrize("sentence", OF_WORKERS)
def test_the_job_of_a_worker_is_refused_with(folder: Account, sentence: str) -> None:
    field, change = OF_WORKERS[sentence]
    job = worker_job(folder.namespace)
    change(job)
    answer = folder.create(JOBS, job)
    assert answer.status == 403, answer.message or "it was taken"
    assert WORKERS_NAME in answer.message
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
    pool = {**event["involvedObject"], "kind": "AudioWorkerPool", "name": "gpu"}
    assert folder.create(EVENTS, {**event, "involvedObject": pool}).status == 201
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
