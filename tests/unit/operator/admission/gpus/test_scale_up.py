"""Nodes with GPUs that an autoscaler adds: who may ask for one, and how many wait for nodes at the same time."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import NAMESPACE, phase, pipeline
from tests.unit.operator.pool import Pool

from audiojob_operator.records.admission import Admission
from audiojob_operator.records.objects import Key
from audiojob_operator.settings import ScaleUp
from audiojob_types.reasons import Reason

NODE = "node-of-the-cloud"


class Growing(Pool):
    """A cluster without GPUs, to which an autoscaler adds nodes with one each."""

    def __init__(self, max_running: int | None = None, **rules: Any) -> None:
        super().__init__(max_running, scale_up=ScaleUp(enabled=True, **rules))
        self.add(self.caches.pipelines, pipeline(phase("only", device="GPU"), name="must"))

    def answers(self, count: int, of: str = "must", first: int = 0) -> list[Admission]:
        """So many new jobs, and what each is told after one cycle."""
        keys = [self.put(f"song-{number}", pipeline=of) for number in range(first, first + count)]
        self.cycle()
        found = [self.ask(key) for key in keys]
        return [answer for answer in found if answer is not None]

    def pod(self, owner: str, node: str = "") -> None:
        """The pod of the Job of an AudioJob; on a node, or waiting for one."""
        job = self.caches.namespaces[NAMESPACE].jobs.get((NAMESPACE, f"{owner}-child"))
        assert job is not None
        labels = {"batch.kubernetes.io/job-name": f"{owner}-child", "audiojobs.dev/job": owner}
        owners = [{"kind": "Job", "name": f"{owner}-child", "uid": job["metadata"]["uid"], "controller": True}]
        metadata = {"name": f"{owner}-pod", "namespace": NAMESPACE, "labels": labels, "ownerReferences": owners}
        spec = {"nodeName": node} if node else {}
        self.add(
            self.caches.namespaces[NAMESPACE].pods, {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}
        )

    def starts(self, number: int) -> Key:
        """A reconcile has made the job's Job, whose pod waits."""
        key = self.put(f"song-{number}", pipeline="must", started=True)
        self.known(key).raw["status"]["phases"] = [{"name": "only", "state": "Running", "attempt": 1}]
        self.admitter.changed(key)
        self.gpu_job(f"song-{number}")
        self.pod(f"song-{number}")
        return key


def granted(answers: list[Admission]) -> int:
    return sum(answer.gpus for answer in answers)


@pytest.mark.parametrize("of", ["onegpu", "must"])
async def test_a_job_asks_for_a_node_that_is_not_there_yet(of: str) -> None:
    """With device Auto it took the CPU at once, so that no autoscaler ever saw a pod."""
    (found,) = Growing().answers(1, of)

    assert (found.admitted, found.gpus) == (True, 1)


async def test_a_thousand_waiting_jobs_make_ten_pods() -> None:
    pool = Growing(max_gpus=100_000)

    found = pool.answers(1_000)

    assert granted(found) == 10
    waiting = found[-1]
    assert (waiting.admitted, waiting.reason) == (False, Reason.WAITING_FOR_GPU)
    assert "10 pods wait for nodes already, and no more are made before" in waiting.message


async def test_what_waits_for_a_node_counts_until_it_has_one() -> None:
    pool = Growing(max_gpus=100, max_unschedulable=3)
    for number in range(3):
        pool.starts(number)
    assert granted(pool.answers(5, first=3)) == 0

    pool.pod("song-0", NODE)
    pool.pod("song-1", NODE)

    assert granted(pool.answers(5, first=8)) == 2, "two have their nodes, so two more may ask"


async def test_no_more_than_the_most_are_asked_for() -> None:
    pool = Growing(max_gpus=4)

    found = pool.answers(6)

    assert granted(found) == 4
    assert "4 of 4 GPUs are in use" in found[-1].message


async def test_what_nodes_offer_is_given_out_whatever_waits() -> None:
    pool = Growing(max_gpus=100, max_unschedulable=1)
    pool.starts(0)
    status = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"nvidia.com/gpu": "8"}}
    pool.add(pool.caches.nodes, {"metadata": {"name": NODE}, "status": status})

    assert granted(pool.answers(9, first=1)) == 7


async def test_row_21_a_node_whose_device_plugin_is_late_brings_neither_another_pod_nor_the_cpu() -> None:
    pool = Growing(max_gpus=100, max_unschedulable=1)
    pool.starts(0)
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    pool.add(pool.caches.nodes, {"metadata": {"name": NODE}, "status": ready})
    found = pool.answers(2, "onegpu", first=1)
    assert [(answer.gpus, answer.gpus_total) for answer in found] == [(0, 100)] * 2, "there are some: they wait"

    pool.add(
        pool.caches.nodes, {"metadata": {"name": NODE}, "status": {**ready, "allocatable": {"nvidia.com/gpu": "1"}}}
    )
    assert granted(pool.answers(2, "onegpu", first=3)) == 0, "the GPU is for the pod that waits"


async def test_a_phase_that_needs_more_than_a_new_node_has_takes_the_cpu() -> None:
    pool = Growing(gpus_per_node=2)
    pool.add(pool.caches.pipelines, pipeline(phase("only", device="Auto", gpus=4), name="four"))

    (found,) = pool.answers(1, "four")

    assert (found.admitted, found.gpus) == (True, 0)


async def test_without_an_autoscaler_nothing_changes() -> None:
    pool = Pool(None)
    pool.add(pool.caches.pipelines, pipeline(phase("only", device="GPU"), name="must"))

    auto = pool.answer(pool.put("auto", pipeline="onegpu"))
    must = pool.answer(pool.put("must", pipeline="must"))

    assert (auto.gpus, must.gpus) == (0, 1), "the first pod that must have a GPU may still ask for a node"
