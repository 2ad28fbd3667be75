"""GPUs of pods whose Jobs are not known: an operator begins, or hears of a pod late."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

import pytest
from tests.unit.operator.builders import NAMESPACE, World, pipeline
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_operator.state.caches import Caches
from audiojob_types import constants as c

Object = dict[str, Any]
NOBODY = cast("KubeClient", None)  # caches are filled by hand


class Seen:
    """What an operator that begins lists: the pod of a phase that has two GPUs, and its Job if it is there."""

    def __init__(self, **labels: str) -> None:
        world = World(pipeline=pipeline())
        world.turn()
        world.run("first")
        self.job, self._pod = deepcopy(world.newest("first")), deepcopy(world.pod("first"))
        self.job["metadata"] |= {"resourceVersion": "9", "annotations": {c.ANNOTATION_GPUS: "2"}}
        named = {"batch.kubernetes.io/job-name": self.job["metadata"]["name"], c.LABEL_JOB: "song"}
        self._pod["metadata"]["labels"] = {**named, **labels}
        limits = {c.GPU_RESOURCE: "2", "memory": "1Gi"}
        self._pod["spec"]["containers"] = [{"name": "phase", "resources": {"limits": limits}}]
        self.heard = Heard()
        self.here = Caches(NOBODY, [NAMESPACE], self.heard).namespaces[NAMESPACE]
        self._version = 10

    def pod(self, phase: str) -> None:
        self._version += 1
        about = {**self._pod["metadata"], "resourceVersion": str(self._version)}
        self.here.pods.put({**self._pod, "metadata": about, "status": {**self._pod["status"], "phase": phase}})

    def wait_is_over(self) -> None:
        """Of the first pod that was waited for."""
        self.heard.due[0][1]()

    @property
    def held(self) -> int:
        return sum(each.gpus for each in self.here.gpus_of("song"))


def test_a_pod_has_its_gpus_until_its_end_though_its_job_went_before_the_operator_began() -> None:
    seen = Seen()
    seen.pod("Running")
    assert (seen.held, "song" in seen.here.owners()) == (2, True)
    seen.heard.changed.clear()
    seen.pod("Failed")
    assert (seen.held, "song" in seen.here.owners(), seen.heard.changed) == (0, False, [(NAMESPACE, "song")])


@pytest.mark.parametrize(
    ("phase", "labels"),
    [
        pytest.param("Running", {"kueue.x-k8s.io/podset": "main"}, id="what Kueue counts is free with the Job"),
        pytest.param("Succeeded", {}, id="a pod that has ended has none"),
    ],
)
def test_a_pod_without_a_job_has_no_gpus_of_ours(phase: str, labels: dict[str, str]) -> None:
    seen = Seen(**labels)
    seen.pod(phase)
    assert seen.held == 0


def test_a_job_that_is_heard_of_after_its_pod_has_its_gpus_once_and_until_its_own_end() -> None:
    seen = Seen()
    seen.pod("Running")
    seen.here.jobs.put(seen.job)
    assert seen.held == 2
    seen.wait_is_over()
    assert seen.held == 2, "the Job is there: nobody waits for the pod's end"
    seen.here.jobs.forget((NAMESPACE, seen.job["metadata"]["name"]), seen.job["metadata"]["uid"])
    seen.wait_is_over()
    assert seen.held == 2, "that wait was for another end"


def test_one_that_did_not_end_in_time_is_not_waited_for_again() -> None:
    seen = Seen()
    seen.pod("Running")
    seen.wait_is_over()
    seen.pod("Running")
    assert seen.held == 0


def test_admission_learns_of_a_pod_that_is_heard_of_after_its_jobs_end() -> None:
    seen = Seen()
    seen.here.jobs.put(seen.job)
    seen.here.jobs.forget((NAMESPACE, seen.job["metadata"]["name"]), seen.job["metadata"]["uid"])
    seen.heard.changed.clear()
    capacity = seen.heard.capacity
    seen.pod("Running")
    assert (seen.held, seen.heard.changed, seen.heard.capacity) == (2, [(NAMESPACE, "song")], capacity + 1)
