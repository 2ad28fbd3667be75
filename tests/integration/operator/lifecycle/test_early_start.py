"""Pods that begin before their inputs are there, on a real API server: what is written, and what a kill leaves."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Object, Space, make_space
from tests.integration.operator.faults.test_kill import observe
from tests.support.faults.proxy import FaultProxy, Strike, Write
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import ended, having_read, running, succeed

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, RestError
from audiojob_types.constants import ANNOTATION_EARLY, ANNOTATION_INPUTS, ANNOTATION_PHASE, LABEL_PHASE
from audiojob_types.contract import PhaseInput

NAME = "song"
ON, OFF = ({"AUDIOJOB_OVERLAP__ENABLED": switch} for switch in ("true", "false"))
# Of a job of two phases: revision, Job, event, status; the second Job and status; status and telling; event, status.
EARLY_JOB, EARLY_STATUS, TURN, TOLD, WRITES = 5, 6, 7, 8, 10


class Kubelet:
    """Puts each pod on a node. One that has its inputs ends well, one that waits for them does not.

    The first phase works until the status says that the pod of the second one began; ``hasty``: until its Job is there;
    ``alone``: until the operator has looked at it once more; ``lasting``: for as long as the test wants.
    """

    def __init__(self, space: Space, *, hasty: bool = False, alone: bool = False, lasting: bool = False) -> None:
        self._hasty = hasty
        self._alone = alone
        self.lasting = lasting
        self._rest = space.rest
        self._path = f"/api/v1/namespaces/{space.namespace}/pods"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)
        self._space = space
        self._placed: set[str] = set()
        self.ended: list[PhaseInput] = []
        self.first_ended = threading.Event()

    def __enter__(self) -> Kubelet:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            for pod in self._rest.request("GET", self._path)["items"]:
                try:
                    self._play(pod)
                except RestError as error:
                    if error.status not in (404, 409, 422):  # else it was deleted meanwhile
                        raise

    def _play(self, pod: Object) -> None:
        metadata = pod["metadata"]
        name, annotations = metadata["name"], metadata["annotations"]
        if name not in self._placed:
            self._placed.add(name)
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
            node = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
            self._rest.request("POST", f"{self._path}/{name}/binding", {**binding, "target": node})
            self._say(name, running())
        elif pod["status"]["phase"] == "Running":
            told = annotations.get(ANNOTATION_INPUTS)
            if "deletionTimestamp" in metadata:
                self._say(name, ended(143, None))
            elif told is None and (self.lasting or not (self._looked_at() if self._alone else self._second_began())):
                return
            elif told != "":
                phase = PhaseInput.model_validate_json(told or annotations[ANNOTATION_PHASE])
                self.ended.append(phase)
                self._say(name, having_read(succeed(phase, pod)) if told else succeed(phase, pod))
                self.first_ended.set()

    def _looked_at(self) -> bool:
        """Change the AudioJob, and see whether the operator has answered."""
        job = self._space.job(NAME)
        if job["metadata"]["generation"] == 1:
            self._space.patch(NAME, {"priority": 1})
        return bool(job.get("status", {}).get("observedGeneration") == 2)

    def _second_began(self) -> bool:
        if self._hasty:
            jobs = self._rest.request("GET", f"/apis/batch/v1/namespaces/{self._space.namespace}/jobs")["items"]
            return len(jobs) > 1
        phases = self._space.job(NAME).get("status", {}).get("phases", [])
        return any("earlyAttempt" in phase for phase in phases)

    def _say(self, name: str, status: Object) -> None:
        self._rest.request("PATCH", f"{self._path}/{name}/status", {"status": status}, content_type=MERGE_PATCH)


Undisturbed = tuple[Space, list[Write], list[PhaseInput]]


@pytest.fixture(scope="module")
def undisturbed(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    folder = tmp_path_factory.mktemp("early")
    space = make_space(controllers)
    proxy.begin()
    operator = OperatorProcess(proxy.write_kubeconfig(folder / "kubeconfig"), [space.namespace], folder / "log", **ON)
    with Kubelet(space) as pods, operator:
        space.submit(NAME)
        job = space.finished(NAME, story=operator.story)
    assert job["status"]["state"] == "Succeeded", job["status"]
    return space, proxy.record.writes_to(space.namespace), pods.ended


def test_the_second_phase_goes_on_in_a_pod_that_began_early(undisturbed: Undisturbed) -> None:
    space, _, phases = undisturbed
    one, two = space.job(NAME)["status"]["phases"]
    assert (two["earlyAttempt"], two["attempt"], two.get("failures", 0)) == (1, 1, 0)
    assert two["startTime"] >= one["completionTime"]
    assert [(phase.phase, phase.attempt, phase.progress.done) for phase in phases] == [
        ("one", 1, ()),
        ("two", 1, ("one",)),
    ]


def test_it_costs_two_writes_more(undisturbed: Undisturbed) -> None:
    _, writes, _ = undisturbed
    kinds = ["pod" if "/pods/" in write.path else write.path.rsplit("/", 1)[1] for write in writes]
    assert Counter(kinds) == {"controllerrevisions": 1, "jobs": 2, "events": 2, "status": 4, "pod": 1}
    assert kinds[EARLY_JOB - 1 : TOLD] == ["jobs", "status", "status", "pod"]
    assert len(writes) == WRITES


def test_switched_off_it_writes_as_before_there_was_such_a_thing(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    space = make_space(controllers)
    proxy.begin()
    operator = OperatorProcess(proxy.write_kubeconfig(tmp_path / "config"), [space.namespace], tmp_path / "log", **OFF)
    with Kubelet(space, alone=True), operator:
        space.submit(NAME)
        phases = space.finished(NAME, story=operator.story)["status"]["phases"]
    assert [(phase["attempt"], phase.get("earlyAttempt")) for phase in phases] == [(1, None), (1, None)]
    writes = [(write.method, write.path.rsplit("/", 1)[1]) for write in proxy.record.writes_to(space.namespace)]
    job, said = ("POST", "jobs"), ("PATCH", "status")
    begun = [("POST", "controllerrevisions"), job, ("POST", "events"), said]
    assert writes == [*begun, said, job, said, ("POST", "events"), said], "the second status: of the changed AudioJob"
    for made in space.batch_jobs():
        assert ANNOTATION_EARLY not in made["metadata"]["annotations"]
        assert ANNOTATION_INPUTS not in made["spec"]["template"]["metadata"]["annotations"]
    assert _shape(space, "one") == _shape(undisturbed[0], "one"), "a first phase never begins early"
    assert _shape(space, "two") != _shape(undisturbed[0], "two")


def _shape(space: Space, phase: str) -> list[tuple[str, list[str]]]:
    """The volumes that the phase's pod sees, and its annotations."""
    [job] = [each for each in space.batch_jobs() if each["metadata"]["labels"][LABEL_PHASE] == phase]
    template = job["spec"]["template"]
    volumes = sorted(volume["name"] for volume in template["spec"]["volumes"])
    return [("volumes", volumes), ("annotations", sorted(template["metadata"]["annotations"]))]


@pytest.mark.parametrize(
    ("number", "hasty"),
    [
        pytest.param(EARLY_JOB, False, id="the early Job"),
        pytest.param(EARLY_JOB, True, id="the early Job, and the first phase ends meanwhile"),
        pytest.param(EARLY_STATUS, False, id="its status"),
        pytest.param(TURN, False, id="row 33: the status of its turn"),
        pytest.param(TOLD, False, id="what it is told"),
    ],
)
def test_an_operator_that_is_killed_after(
    space: Space, proxy: FaultProxy, tmp_path: Path, undisturbed: Undisturbed, number: int, hasty: bool
) -> None:
    operator = OperatorProcess(proxy.write_kubeconfig(tmp_path / "config"), [space.namespace], tmp_path / "log", **ON)
    with Kubelet(space, hasty=hasty) as pods, operator:
        proxy.begin(Strike(space.namespace, number, answered=False, act=lambda: operator.send(signal.SIGKILL)))
        space.submit(NAME)
        assert operator.wait(30) == -signal.SIGKILL, operator.story()
        before = proxy.record.writes_to(space.namespace)
        if hasty:
            assert pods.first_ended.wait(30), "the first phase ends while there is no operator"
        proxy.begin()
        operator.start()
        space.finished(NAME, story=operator.story)
    assert observe(space) == observe(undisturbed[0])
    writes = [*before, *proxy.record.writes_to(space.namespace)]
    made = Counter(write.name for write in writes if write.path.endswith("/jobs") and write.status == 201)
    told = [write for write in writes if "/pods/" in write.path and write.status == 200]
    assert (set(made.values()), len(told)) == ({1}, 1), "a Job was made twice, or a pod told twice"
    assert Counter((phase.phase, phase.attempt) for phase in pods.ended) == {("one", 1): 1, ("two", 1): 1}


def test_an_operator_that_ends_takes_with_it_what_an_earlier_version_would_take_for_work(
    space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    operator = OperatorProcess(proxy.write_kubeconfig(tmp_path / "config"), [space.namespace], tmp_path / "log", **ON)
    with Kubelet(space, lasting=True) as pods, operator:
        space.submit(NAME)
        space.until(NAME, lambda status: "earlyAttempt" in str(status), "a pod that began early")
        operator.send(signal.SIGTERM)
        assert operator.wait(30) == 0, operator.story()
        live = [job["metadata"]["labels"][LABEL_PHASE] for job in space.batch_jobs()]
        assert live == ["one"]
        pods.lasting = False
        operator.start()
        two = space.finished(NAME, story=operator.story)["status"]["phases"][1]
    assert (two["state"], two["attempt"], two.get("failures", 0)) == ("Succeeded", 2, 0)
