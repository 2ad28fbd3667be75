"""Work that another job of the namespace has done, or is at, with one operator process for all tests."""

from __future__ import annotations

import hashlib
import json
import signal
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Object, Space, make_space
from tests.support.faults.proxy import FaultProxy, Strike
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import PodRunner, ended, read_by, running

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, wait_until
from audiojob_types.constants import API_VERSION
from audiojob_types.contract import ExitCode, ManifestRef, Outcome, OutputRef, PhaseInput, PhaseResult

STEPS = ("download", "normalize", "separate")
MODELS = {"AUDIOJOB_MODELS_CLAIM": "true"}  # without a models volume Separate is refused


def publish(phase: PhaseInput, pod: Object) -> Object:
    """The status of a pod whose phase has published one output, with another content for another input."""
    read = [
        (item.url or "").removesuffix("?mirror") or (item.manifest.sha256 if item.manifest else "")
        for item in phase.inputs
    ]
    digest = hashlib.sha256(f"{phase.task} {read} {phase.parameters}".encode()).hexdigest()
    folder = f"{phase.output_prefix}/{phase.attempt}-{pod['metadata']['uid'][:8]}"
    result = PhaseResult(
        outcome=Outcome.SUCCEEDED,
        manifest=ManifestRef(key=f"{folder}/manifest.json", sha256=digest, count=1),
        outputs=(OutputRef(name="output", media_type="audio/flac", bytes=64, sha256=digest),),
        inputs=read_by(phase),
    )
    if phase.donor is not None:  # the runner has only compared its inputs
        result = result.model_copy(update={"manifest": phase.donor, "outputs": ()})
    return ended(0, result)


def play(phase: PhaseInput, pod: Object) -> Object:
    """What becomes of a pod is in its job's name: ``kind-…``; ``stays`` works until the test says more."""
    kind = phase.job.split("-")[0]
    foreign = [item.manifest.key for item in phase.inputs if item.manifest and phase.uid not in item.manifest.key]
    if foreign and kind == "loses":
        result = PhaseResult(outcome=Outcome.FAILED, reason="InputMissing", message=f"{foreign[0]} is gone.")
        return ended(ExitCode.SOURCE_UNAVAILABLE, result)
    if kind == "stays" and phase.phase == "download":
        return running()
    return publish(phase, pod)


SITES = [{"host": "busy.example.org", "maxRunning": 2}, {"host": "slow.example.org", "pauseSeconds": 3}]


@pytest.fixture(scope="module")
def spaces(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Space, Space]]:
    """Two namespaces with one operator and somebody who plays the pods."""
    one, two = make_space(controllers), make_space(controllers)
    make_line(one)
    make_line(two)
    folder = tmp_path_factory.mktemp("reuse")
    proxy.begin()
    settings = {"AUDIOJOB_LEASE__NAME": one.namespace, "AUDIOJOB_SITES": json.dumps(SITES), **MODELS}
    operator = OperatorProcess(
        proxy.write_kubeconfig(folder / "config"), [one.namespace, two.namespace], folder / "log", **settings
    )
    with operator, PodRunner(one.rest, one.namespace, play), PodRunner(two.rest, two.namespace, play):
        yield one, two


@pytest.fixture
def here(spaces: tuple[Space, Space]) -> Space:
    return spaces[0]


def make_line(space: Space, name: str = "", **download: object) -> str:
    """download → normalize → separate under the space's own name, in place of its two simulated phases."""
    name = name or f"{space.namespace}-line"
    line = [
        {"name": "download", "task": "Download", "inputs": [{"name": "source", "from": "Job"}],
         "retry": {"limit": 1}, **download},
        {"name": "normalize", "task": "Normalize", "inputs": [{"name": "source", "from": "download"}]},
        {"name": "separate", "task": "Separate", "inputs": [{"name": "audio", "from": "normalize"}]},
    ]  # fmt: skip
    body = {
        "apiVersion": API_VERSION,
        "kind": "AudioPipeline",
        "metadata": {"name": name},
        "spec": {"phases": line},
    }
    space.rest.request("POST", f"/apis/{API_VERSION}/audiopipelines", body)
    return name


def unique(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:6]}"


def address() -> str:
    """An address that no other test uses."""
    return f"https://media.example.org/{uuid.uuid4().hex}.ogg"


def submit(space: Space, kind: str, url: str, **spec: object) -> str:
    name = unique(kind)
    space.submit(name, **{"pipeline": f"{space.namespace}-line", "source": {"url": url}, **spec})
    return name


def records(job: Object) -> dict[str, Object]:
    return {record["name"]: record for record in job["status"]["phases"]}


def donors(job: Object) -> list[str | None]:
    return [records(job)[name].get("reusedFrom") for name in STEPS]


def children(space: Space, name: str) -> list[Object]:
    return [job for job in space.batch_jobs() if job["metadata"]["labels"]["audiojobs.dev/job"] == name]


def says(reason: str) -> Callable[[Object], bool]:
    def check(status: Object) -> bool:
        return any(each["type"] == "Progressing" and each["reason"] == reason for each in status.get("conditions", ()))

    return check


def end(space: Space, name: str, status: Callable[[PhaseInput, Object], Object]) -> None:
    """The end of a job's one running pod."""
    pod = next(pod for pod in space.pods() if pod["metadata"]["labels"]["audiojobs.dev/job"] == name)
    phase = PhaseInput.model_validate_json(pod["metadata"]["annotations"]["audiojobs.dev/phase"])
    path = f"/api/v1/namespaces/{space.namespace}/pods/{pod['metadata']['name']}/status"
    space.rest.request("PATCH", path, {"status": status(phase, pod)}, content_type=MERGE_PATCH)


def test_a_second_identical_job_needs_no_jobs_and_names_its_donor(here: Space) -> None:
    url = address()
    first = submit(here, "song", url)
    before = here.finished(first, seconds=90)
    second = submit(here, "song", f"{url}?utm_source=mail#t=5")
    after = here.finished(second)
    assert after["status"]["state"] == "Succeeded"
    assert donors(after) == [first, first, first]
    assert not children(here, second)
    assert [records(after)[name]["manifest"] for name in STEPS] == [records(before)[name]["manifest"] for name in STEPS]
    assert after["status"]["outputs"] == before["status"]["outputs"]
    told = {event["reason"] for event in here.events() if event["involvedObject"]["name"] == second}
    assert told == {"PhaseReused", "Completed"}


def test_equal_bytes_from_another_address_are_compared_by_one_pod_and_not_worked_on(here: Space) -> None:
    url = address()
    first = submit(here, "song", url)
    before = here.finished(first)
    second = submit(here, "song", f"{url}?mirror")
    after = here.finished(second)
    assert donors(after) == [None, first, first]
    assert [records(after)[name]["attempt"] for name in STEPS] == [1, 1, 0]
    assert records(after)["separate"]["manifest"] == records(before)["separate"]["manifest"]
    assert [output.get("verified") for output in after["status"]["outputs"]] == [True, True, None]


def test_what_differs_is_done_and_what_does_not_is_taken(here: Space) -> None:
    url = address()
    first = submit(here, "song", url)
    here.finished(first)
    other = submit(here, "song", url, parameters={"separate": {"model": "mdx"}})
    job = here.finished(other)
    assert donors(job) == [first, first, None]
    assert [child["metadata"]["labels"]["audiojobs.dev/phase"] for child in children(here, other)] == ["separate"]


def test_a_donor_that_was_deleted_serves_nobody(here: Space) -> None:
    url = address()
    first = submit(here, "song", url)
    here.finished(first)
    here.rest.request("DELETE", f"{here.jobs_path}/{first}", {"propagationPolicy": "Background"})
    assert donors(here.finished(submit(here, "song", url))) == [None, None, None]


def test_never_does_all_of_the_work_again(here: Space) -> None:
    url = address()
    here.finished(submit(here, "song", url))
    job = here.finished(submit(here, "song", url, reuse="Never"))
    assert donors(job) == [None, None, None]


def test_a_pipeline_forbids_reuse_of_a_phase(here: Space) -> None:
    line, url = make_line(here, f"{here.namespace}-fresh", reuse="Never"), address()
    first = submit(here, "song", url, pipeline=line)
    here.finished(first)
    assert donors(here.finished(submit(here, "song", url, pipeline=line))) == [None, first, first]


def test_identical_jobs_at_the_same_time_are_one_set_of_jobs(here: Space) -> None:
    url = address()
    first = submit(here, "stays", url)
    here.until(first, says("Running"), "its start")
    others = [submit(here, "song", url) for _ in range(4)]
    for other in others:
        status = here.until(other, says("WaitingForSameWork"), "the reason")["status"]
        assert (status["state"], first in status["message"]) == ("Queued", True)
        assert not children(here, other)
    end(here, first, publish)
    jobs = [here.finished(other) for other in others]
    assert {job["status"]["state"] for job in jobs} == {"Succeeded"}
    assert [donors(job)[0] for job in jobs] == [first] * 4
    made = [child for name in (first, *others) for child in children(here, name)]
    assert sorted(child["metadata"]["labels"]["audiojobs.dev/phase"] for child in made) == sorted(STEPS)


def test_jobs_made_at_the_same_moment_are_one_set_of_jobs(here: Space) -> None:
    url = address()
    names = [submit(here, "song", url) for _ in range(6)]
    for name in names:
        assert here.finished(name)["status"]["state"] == "Succeeded"
    assert sum(len(children(here, name)) for name in names) == len(STEPS)


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param("fails", id="the one that works fails"),
        pytest.param("cancel", id="the one that works is cancelled"),
        pytest.param("suspend", id="the one that works is suspended"),
        pytest.param("delete", id="the one that works is deleted"),
    ],
)
def test_the_next_goes_ahead_when(here: Space, ends: str) -> None:
    url = address()
    first = submit(here, "stays", url)
    here.until(first, says("Running"), "its start")
    other = submit(here, "song", url)
    here.until(other, says("WaitingForSameWork"), "the reason")
    if ends == "fails":
        result = PhaseResult(outcome=Outcome.FAILED, reason="SourceUnavailable", message="404")
        end(here, first, lambda _phase, _pod: ended(ExitCode.SOURCE_UNAVAILABLE, result))
    elif ends == "delete":
        here.rest.request("DELETE", f"{here.jobs_path}/{first}", {"propagationPolicy": "Background"})
    else:
        here.patch(first, {ends: True})
    job = here.finished(other)
    assert job["status"]["state"] == "Succeeded"
    assert donors(job) == [None, None, None]
    assert len(children(here, other)) == len(STEPS)
    if ends == "suspend":
        here.patch(first, {"cancel": True})


def test_files_that_are_gone_are_made_again_once(here: Space) -> None:
    url = address()
    first = submit(here, "song", url)
    here.finished(first)
    # Another model, so that something reads what was taken over.
    other = submit(here, "loses", url, parameters={"normalize": {"maxDurationSeconds": 60}})
    job = here.finished(other)
    assert job["status"]["state"] == "Succeeded"
    assert donors(job)[0] is None
    assert records(job)["download"]["reuseOff"] is True
    assert (records(job)["normalize"]["attempt"], records(job)["normalize"].get("failures", 0)) == (2, 0)
    assert "ReuseFailed" in {event["reason"] for event in here.events() if event["involvedObject"]["name"] == other}


def test_namespaces_never_share(spaces: tuple[Space, Space]) -> None:
    one, two = spaces
    url = address()
    one.finished(submit(one, "song", url))
    assert donors(two.finished(submit(two, "song", url))) == [None, None, None]


def test_a_donor_from_before_the_operators_start_is_found(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    space, url = make_space(controllers), address()
    make_line(space)
    kubeconfig = proxy.write_kubeconfig(tmp_path / "config")
    settings = {"AUDIOJOB_LEASE__NAME": space.namespace, "AUDIOJOB_SWEEP__FINISHED_SECONDS": "1", **MODELS}
    with (
        OperatorProcess(kubeconfig, [space.namespace], tmp_path / "log", **settings) as operator,
        PodRunner(space.rest, space.namespace, play),
    ):
        first, stays = submit(space, "song", url), submit(space, "stays", address())
        space.finished(first, seconds=90)
        space.until(stays, says("Running"), "its start")
        operator.kill()
        operator.start()
        # The sweep brings what finished jobs have done; a job that comes before it does the work once more.
        same = {"source": space.job(stays)["spec"]["source"]["url"]}
        waits = submit(space, "song", same["source"])
        space.until(waits, says("WaitingForSameWork"), "the reason, from the Job that still runs", seconds=90)
        end(space, stays, publish)
        assert donors(space.finished(waits))[0] == stays
        second = submit(space, "song", url)
        assert donors(space.finished(second)) == [first, first, first]


@pytest.mark.parametrize(
    ("number", "answered"),
    [
        pytest.param(2, False, id="the Job exists and no status tells it"),
        pytest.param(5, True, id="one waits and the others have not been looked at"),
    ],
)
def test_a_killed_operator_starts_no_work_twice(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path, number: int, answered: bool
) -> None:
    space, url = make_space(controllers), address()
    make_line(space)
    settings = {"AUDIOJOB_LEASE__NAME": space.namespace, **MODELS}
    operator = OperatorProcess(
        proxy.write_kubeconfig(tmp_path / "config"), [space.namespace], tmp_path / "log", **settings
    )
    with operator, PodRunner(space.rest, space.namespace, play):
        proxy.begin(Strike(space.namespace, number, answered, lambda: operator.send(signal.SIGKILL)))
        names = [submit(space, "stays", url) for _ in range(4)]
        assert operator.wait(60) == -signal.SIGKILL, operator.story()
        proxy.begin()
        operator.start()

        def waiting() -> list[str]:
            return [name for name in names if says("WaitingForSameWork")(space.job(name)["status"])]

        wait_until("three that wait", lambda: len(waiting()) == 3, seconds=90)
        leader = next(name for name in names if name not in waiting())
        wait_until("its pod", lambda: len(space.pods()) == 1, seconds=60)
        end(space, leader, publish)
        assert {space.finished(name)["status"]["state"] for name in names} == {"Succeeded"}
        assert sorted(name for name in names if children(space, name)) == [leader]
        assert len(space.batch_jobs()) == len(STEPS)


# ---------------------------------------------------------------- sites


def test_a_site_gets_no_more_downloads_than_its_limit(spaces: tuple[Space, Space]) -> None:
    """The limit holds for subdomains, and over all namespaces; other sites are not held up."""
    stay = [
        (space, submit(space, "stays", f"https://media{n}.busy.example.org/{n}")) for n in (1, 2) for space in spaces
    ]
    free = submit(spaces[0], "song", address())
    assert spaces[0].finished(free)["status"]["state"] == "Succeeded"

    def those(reason: str) -> list[tuple[Space, str]]:
        return [(space, name) for space, name in stay if says(reason)(space.job(name)["status"])]

    wait_until("two that wait", lambda: len(those("SiteBusy")) == 2, seconds=60)
    space, name = those("SiteBusy")[0]
    assert "busy.example.org: 2 of 2" in space.job(name)["status"]["message"]
    assert sum(len(children(space, name)) for space, name in stay) == 2
    while stay:
        wait_until("a download", lambda: bool(those("Running")), seconds=60)
        at_work = those("Running")
        assert len(at_work) <= 2
        for space, name in at_work:
            end(space, name, publish)
            assert space.finished(name)["status"]["state"] == "Succeeded"
            stay.remove((space, name))


def test_a_pause_lies_between_the_starts_of_downloads(here: Space) -> None:
    names = [submit(here, "song", f"https://slow.example.org/{n}.ogg") for n in range(3)]
    jobs = [here.finished(name) for name in names]
    starts = sorted(datetime.fromisoformat(records(job)["download"]["startTime"]) for job in jobs)
    assert all((later - sooner).total_seconds() >= 3 for sooner, later in pairwise(starts))
