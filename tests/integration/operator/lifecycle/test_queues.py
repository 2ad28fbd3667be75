"""Queues, GPUs, reviews, references, Kueue and columns of pipelines, with one operator process for all tests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from tests.integration.operator.conftest import Object, Space, make_space, working
from tests.support.faults.proxy import FaultProxy
from tests.support.podrunner import ended, running, succeed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, wait_until
from audiojob_types.constants import API_VERSION, GPU_RESOURCE, KUEUE_QUEUE_LABEL
from audiojob_types.contract import ExitCode, Outcome, PhaseInput, PhaseInputFile, PhaseResult

QUEUES = f"/apis/{API_VERSION}/namespaces"
PIPELINES = f"/apis/{API_VERSION}/audiopipelines"
NODES = "/api/v1/nodes"


READ: dict[tuple[str, str], tuple[PhaseInputFile, ...]] = {}
"""What pods were given to read, by job and phase."""


def play(phase: PhaseInput, pod: Object) -> Object:
    """What becomes of a pod is in its job's name: ``kind-…``."""
    kind = phase.job.split("-")[0]
    READ[phase.job, phase.phase] = phase.inputs
    if kind == "stays":
        return running()
    if kind == "hungry" and phase.attempt == 1:
        return ended(137, None, reason="OOMKilled")
    if kind == "limited" and phase.attempt == 1:
        result = PhaseResult(outcome=Outcome.FAILED, reason="RateLimited", message="429", retry_after_seconds=120,
                             refused_by="media.example.org")  # fmt: skip
        return ended(ExitCode.TEMPORARY, result)
    if kind == "broken" and phase.phase == "two":
        return ended(ExitCode.NOT_MEDIA, PhaseResult(outcome=Outcome.FAILED, message="This is no audio."))
    return succeed(phase, pod, review_asked="Is this the right song?" if kind == "asks" else None)


@pytest.fixture(scope="module")
def here(controllers: LocalApiServer, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """A namespace with an operator and somebody who plays the pods; one GPU in all."""
    space, folder = make_space(controllers), tmp_path_factory.mktemp("queues")
    with working(space, proxy, folder, play, AUDIOJOB_CAPACITY__GPUS="1"):
        yield space


def unique(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def make_queue(here: Space) -> Iterator[Callable[..., str]]:
    """Make an AudioQueue, gone after the test."""
    path, made = f"{QUEUES}/{here.namespace}/audioqueues", []

    def make(name: str = "", **spec: object) -> str:
        name = name or unique("queue")
        here.rest.request("POST", path, {"apiVersion": API_VERSION, "kind": "AudioQueue",
                                         "metadata": {"name": name}, "spec": spec})  # fmt: skip
        made.append(name)
        return name

    yield make
    for name in made:
        here.rest.request("DELETE", f"{path}/{name}")


def queue(space: Space, name: str) -> Object:
    found: Object = space.rest.request("GET", f"{QUEUES}/{space.namespace}/audioqueues/{name}")
    return found


def edit_queue(space: Space, name: str, **spec: object) -> None:
    path = f"{QUEUES}/{space.namespace}/audioqueues/{name}"
    space.rest.request("PATCH", path, {"spec": spec}, content_type=MERGE_PATCH)


def make_line(space: Space, *phases: Object) -> str:
    """A pipeline of Simulate phases."""
    name = unique("line")
    spec = {"phases": [{"task": "Simulate", **each} for each in phases]}
    space.rest.request("POST", PIPELINES, {"apiVersion": API_VERSION, "kind": "AudioPipeline",
                                           "metadata": {"name": name}, "spec": spec})  # fmt: skip
    return name


def told(space: Space, name: str, reason: str) -> list[str]:
    """The messages of a job's events."""
    return [
        event["message"]
        for event in space.events()
        if (event["involvedObject"]["name"], event["reason"]) == (name, reason)
    ]


def says(reason: str) -> Callable[[Object], bool]:
    """Whether a status tells the reason in its condition Progressing."""

    def check(status: Object) -> bool:
        return any(each["type"] == "Progressing" and each["reason"] == reason for each in status.get("conditions", ()))

    return check


def has_started(status: Object) -> bool:
    return bool(status.get("state") == "Running")


def phase(job: Object, name: str) -> Object:
    found: Object = next(each for each in job["status"]["phases"] if each["name"] == name)
    return found


# ---------------------------------------------------------------- queues


def test_a_job_waits_for_its_queue_and_starts_when_it_appears(here: Space, make_queue: Callable[..., str]) -> None:
    name, wanted = unique("song"), unique("queue")
    here.submit(name, queueName=wanted)
    here.until(name, says("QueueNotFound"), "the reason")
    make_queue(wanted)
    assert here.finished(name)["status"]["state"] == "Succeeded"


def test_a_full_queue_is_told_with_numbers_and_in_the_queues_own_status(
    here: Space, make_queue: Callable[..., str]
) -> None:
    small = make_queue(maxRunning=1)
    first, second = unique("stays"), unique("song")
    here.submit(first, queueName=small)
    here.until(first, has_started, "its start")
    here.submit(second, queueName=small)
    job = here.until(second, says("QueueFull"), "the reason")
    said = f"1 of 1 jobs of queue {small} are running; the job waits for a slot. It was queued as number 1."
    assert job["status"]["message"] == said
    wait_until("the queue's numbers", lambda: queue(here, small).get("status", {}).get("pending") == 1, seconds=60)
    status = queue(here, small)["status"]
    assert (status["running"], status["message"]) == (1, "1 of 1 jobs are running, 1 wait.")
    here.patch(first, {"cancel": True})
    assert here.finished(second)["status"]["state"] == "Succeeded"


def test_holding_a_queue_starts_nothing_and_draining_takes_back_what_runs(
    here: Space, make_queue: Callable[..., str]
) -> None:
    team = make_queue()
    runs, waits = unique("stays"), unique("song")
    here.submit(runs, queueName=team)
    here.until(runs, has_started, "its start")
    edit_queue(here, team, stopPolicy="Hold")
    wait_until(
        "the operator to see it", lambda: "Hold" in queue(here, team).get("status", {}).get("message", ""), seconds=60
    )  # fmt: skip
    here.submit(waits, queueName=team)
    here.until(waits, says("Held"), "the reason")
    assert here.job(runs)["status"]["state"] == "Running"
    edit_queue(here, team, stopPolicy="HoldAndDrain")
    job = here.until(runs, says("Held"), "being taken back")
    assert job["status"]["state"] == "Queued"
    edit_queue(here, team, stopPolicy="None")
    job = here.until(runs, lambda status: status["phases"][0]["attempt"] == 2, "the next attempt")
    assert (phase(job, "one")["failures"], phase(job, "one")["disruptions"]) == (0, 0)
    here.finished(waits)
    here.patch(runs, {"cancel": True})


# ---------------------------------------------------------------- GPUs and memory


@pytest.fixture
def gpu_node(here: Space) -> Iterator[str]:
    """A Ready node that offers two GPUs; the operator may use one of them."""
    name = unique("node")
    here.rest.request("POST", NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    offered = {GPU_RESOURCE: "2", "cpu": "4", "memory": "8Gi", "pods": "10"}
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": "",
             "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
    status = {"capacity": offered, "allocatable": offered, "conditions": [ready]}
    here.rest.request("PATCH", f"{NODES}/{name}/status", {"status": status}, content_type=MERGE_PATCH)
    yield name
    here.rest.request("DELETE", f"{NODES}/{name}")


def test_one_job_has_the_gpu_the_next_waits_and_takes_the_cpu_when_its_time_is_up(here: Space, gpu_node: str) -> None:
    line = make_line(here, {"name": "one", "device": "Auto", "gpuWaitSeconds": 4})
    first, second = unique("stays"), unique("song")
    here.submit(first, pipeline=line)
    job = here.until(first, has_started, "its start")
    assert (phase(job, "one")["device"], phase(job, "one")["deviceReason"]) == ("GPU", "GpuOffered")
    here.submit(second, pipeline=line)
    here.until(second, lambda status: "GPU" in status.get("message", ""), "waiting for the GPU")
    job = here.finished(second)
    assert (phase(job, "one")["device"], phase(job, "one")["deviceReason"]) == ("CPU", "GpuWaitExpired")
    assert (phase(job, "one")["attempt"], phase(job, "one")["failures"]) == (1, 0)
    here.patch(first, {"cancel": True})
    here.finished(first)


def test_a_job_that_must_have_a_gpu_starts_when_the_other_ends(here: Space, gpu_node: str) -> None:
    line = make_line(here, {"name": "one", "device": "GPU"})
    first, second = unique("stays"), unique("song")
    here.submit(first, pipeline=line)
    here.until(first, has_started, "its start")
    here.submit(second, pipeline=line)
    here.until(second, says("WaitingForGPU"), "the reason")
    here.patch(first, {"cancel": True})
    job = here.finished(second)
    assert (phase(job, "one")["device"], phase(job, "one")["deviceReason"]) == ("GPU", "Requested")


def test_an_attempt_that_ran_out_of_memory_is_followed_by_a_larger_one(here: Space) -> None:
    line = make_line(here, {"name": "one", "resources": {"memory": "64Mi", "memoryCap": "256Mi"}})
    name = unique("hungry")
    here.submit(name, pipeline=line)
    job = here.finished(name)
    record = phase(job, "one")
    assert (record["attempt"], record["failures"], record["memoryRequestBytes"]) == (2, 0, 128 * 1024**2)
    sizes = {
        child["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
        for child in here.batch_jobs()
        if child["metadata"]["labels"]["audiojobs.dev/job"] == name
    }
    assert sizes == {"64Mi", "128Mi"} or sizes == {"64Mi", str(128 * 1024**2)}


def test_a_host_that_limits_several_jobs_is_left_alone_by_all(here: Space) -> None:
    name = unique("line")
    spec = {"phases": [{"name": "get", "task": "Download", "inputs": [{"name": "source", "from": "Job"}]}]}
    here.rest.request("POST", PIPELINES, {"apiVersion": API_VERSION, "kind": "AudioPipeline",
                                          "metadata": {"name": name}, "spec": spec})  # fmt: skip
    first, again, second, other = unique("limited"), unique("limited"), unique("song"), unique("song")
    here.submit(first, pipeline=name, source={"url": "https://media.example.org/a"})
    job = here.until(first, says("CoolingDown"), "the reason")
    here.submit(again, pipeline=name, source={"url": "https://media.example.org/c"})
    here.until(again, lambda status: any("coolDown" in each for each in status.get("phases", ())), "its refusal")
    assert phase(job, "get")["failures"] == 0
    here.submit(second, pipeline=name, source={"url": "https://media.example.org/b"})
    here.submit(other, pipeline=name, source={"url": "https://example.org/b"})
    job = here.until(second, says("CoolingDown"), "the reason")
    assert job["status"]["message"].startswith("media.example.org is rate-limiting us")
    assert here.finished(other)["status"]["state"] == "Succeeded"
    here.patch(first, {"cancel": True})
    assert here.finished(first)["status"]["state"] == "Cancelled"
    assert here.finished(second)["status"]["state"] == "Succeeded", "the word of one job alone holds nobody"
    here.patch(again, {"cancel": True})
    assert here.finished(again)["status"]["state"] == "Cancelled"


# ---------------------------------------------------------------- people


def test_a_gate_waits_for_a_review_and_the_job_goes_on_after_it(here: Space) -> None:
    line = make_line(here, {"name": "one"}, {"name": "two", "gate": "Review"})
    name = unique("song")
    here.submit(name, pipeline=line)
    job = here.until(name, says("AwaitingReview"), "the gate")
    assert job["status"]["state"] == "Suspended"
    here.patch(name, {"reviews": [{"phase": "two", "approved": True}]})
    assert here.finished(name)["status"]["state"] == "Succeeded"


def test_a_gate_that_listens_stops_only_where_the_phase_before_it_asks(here: Space) -> None:
    line = make_line(here, {"name": "one"}, {"name": "two", "gate": "ReviewIfAsked"})
    certain, name = unique("song"), unique("asks")
    for each in (certain, name):
        here.submit(each, pipeline=line)
    job = here.until(name, says("AwaitingReview"), "the gate")
    assert job["status"]["message"].endswith(" one asks: Is this the right song?")
    assert phase(job, "one")["reviewAsked"] == "Is this the right song?"
    assert here.finished(certain)["status"]["state"] == "Succeeded"
    here.patch(name, {"reviews": [{"phase": "two", "approved": True}]})
    assert here.finished(name)["status"]["state"] == "Succeeded"


def test_a_phase_reads_what_its_review_hands_in(here: Space) -> None:
    read = {"inputs": [{"name": "words", "from": "one", "output": "output"}], "gate": "Review"}
    line = make_line(here, {"name": "one"}, {"name": "two", **read})
    name = unique("song")
    here.submit(name, pipeline=line)
    job = here.until(name, says("AwaitingReview"), "the gate")
    assert phase(job, "two")["reviewTakes"] == ["output"]
    wrong = {"phase": "two", "approved": True, "inputs": [{"name": "words", "text": "La la la"}]}
    here.patch(name, {"reviews": [wrong]})
    wait_until("the event", lambda: bool(told(here, name, "ReviewIgnored")), seconds=60)
    [message] = told(here, name, "ReviewIgnored")
    assert "spec.reviews[0].inputs[words]" in message
    assert here.job(name)["status"]["state"] == "Suspended"
    right = {"phase": "two", "approved": True, "inputs": [{"name": "output", "text": "La la la"}]}
    here.patch(name, {"reviews": [wrong, right]})
    job = here.finished(name)
    assert (job["status"]["state"], phase(job, "two")["reviewInputs"]) == ("Succeeded", ["output"])
    assert READ[name, "two"] == (PhaseInputFile(name="words", text="La la la"),)


def test_a_retry_does_only_what_was_not_done(here: Space) -> None:
    before, after = unique("broken"), unique("song")
    here.submit(before)
    assert here.finished(before)["status"]["state"] == "Failed"
    here.submit(after, retryOf=before)
    job = here.finished(after)
    assert job["status"]["state"] == "Succeeded"
    assert (phase(job, "one")["attempt"], phase(job, "two")["attempt"]) == (0, 1)
    assert phase(job, "one")["manifest"] == phase(here.job(before), "one")["manifest"]


def test_a_retry_of_a_job_that_runs_is_refused_naming_the_field(here: Space) -> None:
    running_job, name = unique("stays"), unique("song")
    here.submit(running_job)
    here.until(running_job, has_started, "its start")
    here.submit(name, retryOf=running_job)
    error = here.finished(name)["status"]["error"]
    assert (error["reason"], "spec.retryOf" in error["message"]) == ("InvalidSpec", True)
    here.patch(running_job, {"cancel": True})


def test_a_job_starts_when_the_job_that_makes_its_source_has_ended(here: Space) -> None:
    line = make_line(here, {"name": "use", "inputs": [{"name": "source", "from": "Job"}]})
    gate = make_line(here, {"name": "one", "gate": "Review"})
    maker, user = unique("maker"), unique("song")
    here.submit(user, pipeline=line, source={"jobRef": {"name": maker}})
    here.until(user, says("WaitingForJob"), "the reason")
    here.submit(maker, pipeline=gate)
    here.until(maker, says("AwaitingReview"), "the gate")
    here.patch(maker, {"reviews": [{"phase": "one", "approved": True}]})
    job = here.finished(user)
    assert job["status"]["state"] == "Succeeded"
    assert job["status"]["source"]["manifest"] == phase(here.job(maker), "one")["manifest"]


def test_a_job_whose_source_job_was_cancelled_ends_and_says_why(here: Space) -> None:
    maker, user = unique("stays"), unique("song")
    line = make_line(here, {"name": "use", "inputs": [{"name": "source", "from": "Job"}]})
    here.submit(maker)
    here.submit(user, pipeline=line, source={"jobRef": {"name": maker}})
    here.until(user, says("WaitingForJob"), "the reason")
    here.patch(maker, {"cancel": True})
    assert here.finished(user)["status"]["error"]["reason"] == "SourceJobFailed"


# ---------------------------------------------------------------- Kueue


def let_go(space: Space, child: Object, *, suspend: bool) -> None:
    """What Kueue does to admit a Job, or to take it back."""
    path = f"/apis/batch/v1/namespaces/{space.namespace}/jobs/{child['metadata']['name']}"
    space.rest.request("PATCH", path, {"spec": {"suspend": suspend}}, content_type=MERGE_PATCH)


def newest(space: Space, name: str) -> Object:
    mine = [job for job in space.batch_jobs() if job["metadata"]["labels"]["audiojobs.dev/job"] == name]
    return max(mine, key=lambda job: job["metadata"]["creationTimestamp"])


def test_kueue_admits_a_job_takes_it_back_and_admits_it_again(here: Space, make_queue: Callable[..., str]) -> None:
    team = make_queue(kueueLocalQueue="team")
    name = unique("stays")
    line = make_line(here, {"name": "one"})
    here.submit(name, queueName=team, pipeline=line)
    here.until(name, says("WaitingForKueue"), "the reason")
    child = newest(here, name)
    assert (child["spec"]["suspend"], child["metadata"]["labels"][KUEUE_QUEUE_LABEL]) == (True, "team")
    let_go(here, child, suspend=False)
    here.until(name, has_started, "its start")
    let_go(here, child, suspend=True)
    here.until(name, says("EvictedByKueue"), "being taken back")
    let_go(here, child, suspend=False)
    job = here.until(name, has_started, "going on")
    assert (phase(job, "one")["attempt"], phase(job, "one")["failures"]) == (1, 0)
    here.patch(name, {"cancel": True})
    here.finished(name)


# ---------------------------------------------------------------- pipelines


def phases_column(space: Space, name: str) -> object:
    """What `kubectl get audiopipelines` shows under Phases."""
    table = space.rest.request("GET", f"{PIPELINES}/{name}", accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    columns = [column["name"] for column in table["columnDefinitions"]]
    return table["rows"][0]["cells"][columns.index("Phases")]


def test_a_pipeline_is_listed_with_all_its_phases_also_after_an_edit(here: Space) -> None:
    line = make_line(here, {"name": "download"}, {"name": "normalize"}, {"name": "separate"})
    wait_until("three phases", lambda: phases_column(here, line) == "download, normalize, separate", seconds=60)
    spec = {"phases": [{"name": "look", "task": "Simulate"}]}
    here.rest.request("PATCH", f"{PIPELINES}/{line}", {"spec": spec}, content_type=MERGE_PATCH)
    wait_until("one phase", lambda: phases_column(here, line) == "look", seconds=60)
