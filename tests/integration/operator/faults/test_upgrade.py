"""Row F9 of the fault table (docs/faults.md): an upgrade, and back, with jobs in each phase.

The objects are those of an earlier release (tests/data/stored), stored under its CRDs. Helm never takes CRDs back, so
going back means its operator under the newer CRDs; what that operator would read is checked against its own CRDs.
"""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Object, Space
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import PodRunner, succeed, waiting

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.progress import Progress
from audiojob_dev.rest import MERGE_PATCH, wait_until
from audiojob_dev.tools import binaries
from audiojob_types.base import format_time
from audiojob_types.constants import API_VERSION, RUNNER_SERVICE_ACCOUNT
from audiojob_types.contract import PhaseInput

EARLIER = repository() / "tests" / "data" / "stored" / "2026-11-24"
NAMESPACE = "upgraded"
QUEUE = "night"
_HASH = re.compile(r"@HASH-(?P<phase>[a-z]+)-(?P<attempt>\d+)@")
# By job: the attempts of its phases at the end, and which of them the newer release made. What had begun goes on.
NEW_DEFAULTS = {"reuse": "Allowed"}
UNFINISHED = {
    "new": ([1, 1], {"one-1", "two-1"}),
    "queueless": ([1, 1], {"one-1", "two-1"}),
    "first": ([1, 1], {"two-1"}),
    "half": ([1, 1], {"two-1"}),
    "second": ([1, 1], set()),
    "again": ([2, 1], {"one-2", "two-1"}),
    "drained": ([2, 1], {"two-1"}),
    "suspended": ([1, 2], {"two-2"}),
    "review": ([1, 1], {"two-1"}),
}
FINISHED = {"succeeded": "Succeeded", "failed": "Failed", "cancelled": "Cancelled"}


def stored(kind: str, namespace: str, uid: str = "") -> str:
    """Objects as JSON, with what only this server knows filled in."""
    text = json.dumps(json.loads((EARLIER / "objects.json").read_text())[kind])
    text = text.replace("@NAMESPACE@", namespace).replace("@UID@", uid)
    text = text.replace("@NOW@", format_time(datetime.now(UTC)))
    return _HASH.sub(lambda m: hashlib.sha256(f"{uid}/{m['phase']}/{m['attempt']}".encode()).hexdigest()[:8], text)


def store_all(space: Space) -> None:
    """What the earlier release had in the cluster."""
    rest, jobs = space.rest, json.loads(stored("jobs", space.namespace))
    for pipeline in json.loads(stored("pipelines", space.namespace)):
        rest.request("POST", f"/apis/{API_VERSION}/audiopipelines", pipeline)
    for revision in json.loads(stored("revisions", space.namespace)):
        rest.request("POST", f"/apis/apps/v1/namespaces/{space.namespace}/controllerrevisions", revision)
    for name in jobs:
        created = space.submit(name, **jobs[name]["spec"])
        mine = json.loads(stored("jobs", space.namespace, created["metadata"]["uid"]))[name]
        rest.request("PATCH", f"{space.jobs_path}/{name}/status", {"status": mine["status"]}, content_type=MERGE_PATCH)
        for job in mine["jobs"]:
            rest.request("POST", f"/apis/batch/v1/namespaces/{space.namespace}/jobs", job)


@dataclass
class Upgrade:
    """The API server and what was seen on the way: AudioJobs by moment and name."""

    server: LocalApiServer
    space: Space
    seen: dict[str, dict[str, Object]] = field(default_factory=dict)
    created: set[str] = field(default_factory=set)  # Jobs that the newer release made
    log: str = ""

    def look(self, moment: str) -> None:
        """Note all AudioJobs; an API server that has just taken other CRDs answers 429 for a moment."""

        def answered() -> bool:
            self.seen[moment] = {job["metadata"]["name"]: job for job in self.space.jobs()}
            return True

        wait_until("the AudioJobs", answered, seconds=60)

    def job_names(self) -> set[str]:
        return {job["metadata"]["name"] for job in self.space.batch_jobs()}


@pytest.fixture(scope="module")
def upgrade() -> Iterator[Upgrade]:
    """Stored under the earlier CRDs, taken over under the newer ones, worked to the end by the newer operator."""
    with Progress() as progress:
        programs = binaries.ensure(
            paths_from_environment(), ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager"), progress
        )
    with tempfile.TemporaryDirectory(prefix="audiojob-upgrade-", ignore_cleanup_errors=True) as name:
        server = LocalApiServer(Path(name) / "plane", programs)
        server.start()
        try:
            server.apply_crds(EARLIER / "crds")
            server.start_controllers()
            server.create_namespace(NAMESPACE)
            server.ensure_service_account(NAMESPACE, RUNNER_SERVICE_ACCOUNT)
            here = Upgrade(server, Space(server.rest, NAMESPACE, "pair"))
            store_all(here.space)
            here.look("stored")
            server.apply_crds(repository() / "crds")
            here.look("upgraded")
            work_on(here, Path(name))
            here.look("done")
            yield here
        finally:
            server.stop()


def work_on(here: Upgrade, folder: Path) -> None:
    """The newer operator until every job has ended, with people's part: the queue, the review, the resumption."""
    space, before = here.space, here.job_names()
    queue = {"apiVersion": API_VERSION, "kind": "AudioQueue", "metadata": {"name": QUEUE}, "spec": {}}
    operator = OperatorProcess(here.server.kubeconfig, [NAMESPACE], folder / "log")
    with operator, PodRunner(space.rest, NAMESPACE):
        space.rest.request("POST", f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/audioqueues", queue)
        space.patch("suspended", {"suspend": False})
        space.patch("review", {"reviews": [{"phase": "two", "approved": True}]})
        for name in UNFINISHED:
            space.finished(name, seconds=60, story=operator.story)
    here.created = here.job_names() - before
    here.log = (folder / "log").read_text(errors="replace")


def test_F9_new_crds_leave_what_is_stored_as_it_is(upgrade: Upgrade) -> None:
    assert upgrade.seen["upgraded"].keys() == UNFINISHED.keys() | FINISHED.keys()
    for name, before in upgrade.seen["stored"].items():
        after = upgrade.seen["upgraded"][name]
        # Fields that are new show their defaults; nothing else has changed.
        assert (after["spec"], after["status"]) == ({**NEW_DEFAULTS, **before["spec"]}, before["status"]), name


@pytest.mark.parametrize("name", UNFINISHED)
def test_F9_a_job_of_the_earlier_release_is_brought_to_its_end(upgrade: Upgrade, name: str) -> None:
    status = upgrade.seen["done"][name]["status"]
    attempts, made = UNFINISHED[name]
    assert status["state"] == "Succeeded", upgrade.log[-6_000:]
    assert [phase["attempt"] for phase in status["phases"]] == attempts
    mine = {job for job in upgrade.created if job.startswith(f"{name}-")}
    assert {"-".join(job.removeprefix(f"{name}-").split("-")[:2]) for job in mine} == made
    revision = upgrade.seen["upgraded"][name]["status"].get("pipelineRevision")
    assert revision in (None, status["pipelineRevision"]), "a job that has begun keeps its pipeline"


@pytest.mark.parametrize("name", FINISHED)
def test_F9_a_job_that_has_ended_is_not_touched(upgrade: Upgrade, name: str) -> None:
    before, after = upgrade.seen["upgraded"][name], upgrade.seen["done"][name]
    assert after["status"] == before["status"]
    assert after["status"]["state"] == FINISHED[name]


def test_F9_nothing_of_an_earlier_release_is_unreadable_or_a_fault_of_ours(upgrade: Upgrade) -> None:
    for mark in ("unexpected failure", "Traceback", "ValidationError", "cannot be read"):
        assert mark not in upgrade.log, upgrade.log[-6_000:]


def test_F9_and_back_what_the_newer_release_wrote_is_valid_under_the_earlier_crds(upgrade: Upgrade) -> None:
    server, space = upgrade.server, upgrade.space
    space.submit("late")  # made under the newer CRDs, with fields that the earlier ones have
    server.apply_crds(EARLIER / "crds")
    try:
        upgrade.look("back")
        assert upgrade.seen["back"].keys() == upgrade.seen["done"].keys() | {"late"}
        for name, job in upgrade.seen["back"].items():
            # The earlier schema judges the whole of it again.
            again = space.rest.request("PUT", f"{space.jobs_path}/{name}/status", job)
            done = upgrade.seen["done"].get(name, job)["status"]
            for key in ("state", "phases", "conditions", "outputs"):
                assert again["status"].get(key) == _known(done.get(key), again["status"].get(key)), (name, key)
        space.patch("late", {"priority": 9})
    finally:
        server.apply_crds(repository() / "crds")
        upgrade.look("again")
    assert upgrade.seen["again"]["late"]["spec"]["priority"] == 9


GONE, HERE = "registry.example.org/audiojob/runner:earlier", "registry.example.org/audiojob/runner:later"


def test_a_job_whose_image_went_with_the_earlier_release_fails_and_a_retry_goes_on(
    upgrade: Upgrade, tmp_path: Path
) -> None:
    """Row 12 of the table of upgrades: a job keeps the runner that it began with, also where nobody has it any more."""
    space, taken = upgrade.space, set[tuple[str, str, str]]()

    def play(phase: PhaseInput, pod: Object) -> Object:
        image = str(pod["spec"]["containers"][0]["image"])
        taken.add((phase.job, phase.phase, image))
        if image == GONE and phase.phase == "two":
            return waiting("ErrImagePull", f"{image}: not found")
        return succeed(phase, pod)

    phases = [{"name": name, "task": "Simulate", "startTimeoutSeconds": 4} for name in ("one", "two")]
    pipeline = {"apiVersion": API_VERSION, "kind": "AudioPipeline", "metadata": {"name": "imageless"}}
    space.rest.request("POST", f"/apis/{API_VERSION}/audiopipelines", {**pipeline, "spec": {"phases": phases}})
    with PodRunner(space.rest, NAMESPACE, play):
        with OperatorProcess(upgrade.server.kubeconfig, [NAMESPACE], tmp_path / "1", AUDIOJOB_IMAGES__RUNNER=GONE):
            space.submit("begun", pipeline="imageless")
            space.until("begun", lambda _: ("begun", "two", GONE) in taken, "its second phase", seconds=60)
        with OperatorProcess(
            upgrade.server.kubeconfig, [NAMESPACE], tmp_path / "2", AUDIOJOB_IMAGES__RUNNER=HERE
        ) as later:
            begun = space.finished("begun", seconds=60, story=later.story)
            assert begun["status"]["error"]["reason"] == "ImagePullFailed"
            assert GONE in begun["status"]["error"]["message"]
            space.submit("retried", pipeline="imageless", retryOf="begun")
            retried = space.finished("retried", seconds=60, story=later.story)
    assert retried["status"]["state"] == "Succeeded"
    assert {each for each in taken if each[0] == "retried"} == {("retried", "two", HERE)}
    one, two = retried["status"]["phases"]
    assert (one["manifest"], two["attempt"]) == (begun["status"]["phases"][0]["manifest"], 1)


def _known(value: object, like: object) -> object:
    """``value`` without the fields that ``like``, which went through the earlier schema, does not have."""
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: _known(each, like[key]) for key, each in value.items() if key in like}
    if isinstance(value, list) and isinstance(like, list) and len(value) == len(like):
        return [_known(each, other) for each, other in zip(value, like, strict=True)]
    return value
