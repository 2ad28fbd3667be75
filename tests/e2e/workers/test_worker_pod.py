"""A worker's pod as the operator builds it, on a kubelet with Pod Security `restricted`. It has no API server to report
to, so that what it has done is in its last words."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.cluster import TestCluster
from tests.unit.operator.builders import SETTINGS

from audiojob_operator.building.pools.worker import build_worker, pool_facts, work_terms
from audiojob_operator.records.settings import Images
from audiojob_types.descriptor import ImageFamily
from audiojob_types.workers.order import WORK_FILE, WorkerEnd
from audiojob_types.workers.pod import CONTAINER_SERVE, CONTAINER_WORK
from audiojob_types.workers.pool import AudioWorkerPool

pytestmark = [pytest.mark.e2e, pytest.mark.beside_others, pytest.mark.timeout(180)]

Object = dict[str, Any]
ORDER = "example.org/work"  # the chart's policies, where they are installed, keep ours for the operator
LONG: Object = {"durationMilliseconds": 600_000}


@pytest.fixture(scope="module")
def namespace(cluster: TestCluster) -> Iterator[str]:
    name = f"worker-{uuid.uuid4().hex[:6]}"
    cluster.create_namespace(name)
    yield name
    cluster.delete_namespace(name)


def told(namespace: str, number: int, parameters: Object) -> Object:
    uid = f"5f1e0000-0000-4000-8000-{number:012}"
    return {
        "job": f"song-{number}",
        "namespace": namespace,
        "uid": uid,
        "phase": "work",
        "attempt": 1,
        "task": "Simulate",
        "parameters": parameters,
        "outputPrefix": f"{namespace}/{uid}/work",
        "store": {"kind": "Folder"},
    }


def start(cluster: TestCluster, namespace: str, name: str, *phases: Object) -> Object:
    """The pod that the operator would make, told those phases; its store is a volume of its own. Its terms."""
    images = Images(dict.fromkeys(ImageFamily, cluster.images["runner"]))
    settings = replace(SETTINGS, images=images, models_claim=False)
    spec = {"tasks": ["Simulate"], "resources": {"cpu": "100m", "memory": "192Mi", "scratch": "64Mi"}}
    metadata = {"name": "warm", "namespace": namespace, "uid": "pool-uid"}
    pool = AudioWorkerPool.read({"metadata": metadata, "spec": spec})
    terms = work_terms(pool, stays=False, drain=True).to_wire()
    pod = build_worker(pool_facts(pool, settings), 1, settings, "{}")["spec"]["template"]["spec"]
    pod["serviceAccountName"] = "default"
    for volume in pod["volumes"]:
        if volume["name"] == "phase":
            field = {"fieldRef": {"fieldPath": f"metadata.annotations['{ORDER}']"}, "path": Path(WORK_FILE).name}
            volume["downwardAPI"]["items"] = [field]
        if volume["name"] == "store":
            del volume["persistentVolumeClaim"]
            volume["emptyDir"] = {}
    serve = next(each for each in pod["containers"] if each["name"] == CONTAINER_SERVE)
    serve["env"].append({"name": "KUBERNETES_SERVICE_HOST", "value": ""})
    about = {"name": name, "namespace": namespace, "annotations": {ORDER: json.dumps(terms | {"told": phases})}}
    cluster.kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": pod})
    return terms


def run_in(cluster: TestCluster, namespace: str, pod: str, words: str, begins: str) -> Object:
    """What the attacker in `work` has to tell, once that phase has begun."""

    def has_begun(_: Object) -> bool:
        log = cluster.kubectl("-n", namespace, "logs", pod, "-c", CONTAINER_SERVE, check=False)
        return f"{begins}: phase work, attempt 1, Simulate" in log

    cluster.wait_for(f"{begins} begins", has_begun, kind="pod", name=pod, namespace=namespace, seconds=60)
    code = (Path(__file__).parent / "taken_over.py").read_text(encoding="utf-8")
    inside = ("exec", "-i", pod, "-c", CONTAINER_WORK, "--", "python", "-", words)
    found: Object = json.loads(cluster.kubectl("-n", namespace, *inside, stdin=code))
    return found


def ends(cluster: TestCluster, namespace: str, pod: str) -> tuple[dict[str, Object], WorkerEnd]:
    """How its containers ended, and the last words of `serve`."""

    def ended(found: Object) -> bool:
        return found.get("status", {}).get("phase") in ("Succeeded", "Failed")

    found = cluster.wait_for("it ends", ended, kind="pod", name=pod, namespace=namespace, seconds=90)
    states = {each["name"]: each["state"]["terminated"] for each in found["status"]["containerStatuses"]}
    return states, WorkerEnd.read(states[CONTAINER_SERVE]["message"])


def test_code_that_has_taken_over_a_task_reaches_nothing_and_leaves_nothing(
    cluster: TestCluster, namespace: str
) -> None:
    first, second, third = told(namespace, 1, LONG), told(namespace, 2, LONG), told(namespace, 3, {})
    terms = start(cluster, namespace, "attacked", first)

    def tell(*phases: Object) -> None:
        order = json.dumps(terms | {"told": phases})
        cluster.kubectl("-n", namespace, "annotate", "--overwrite", "pod", "attacked", f"{ORDER}={order}")

    before = run_in(cluster, namespace, "attacked", "look", "song-1")
    refused = run_in(cluster, namespace, "attacked", "attack", "song-1")
    tell(second)
    after = run_in(cluster, namespace, "attacked", "look", "song-2")
    tell(third)
    states, words = ends(cluster, namespace, "attacked")

    work = "python -m audiojob_runner work"
    assert before["processes"] == [work, work], "work and the task's process"
    assert before["mounts"] == ["/scratch/room"]
    assert refused == {
        "the token": "ENOENT",
        "the store": "ENOENT",
        "the order": "ENOENT",
        "serve's folder": "EROFS",
        "write the models": "ENOENT",
        "write the code": "EACCES",
        "trace work": "EPERM",
        "work's memory": "EACCES",
        "work's environment": "EACCES",
        "work's descriptors": "EACCES",
        "a descriptor of work": "EPERM",
        "work's socket": "ENOENT",
        "work is": "at work",
    }
    assert after == before, "nothing of the first phase is there"
    assert (states[CONTAINER_SERVE]["exitCode"], states[CONTAINER_WORK]["exitCode"]) == (0, 0), states
    assert [(end.exit_code, end.result.manifest is not None) for end in words.unreported] == [(0, True)]
    assert words.phases == 3


def test_a_phase_that_runs_out_of_memory_is_told_by_itself_or_by_the_state_of_work(
    cluster: TestCluster, namespace: str
) -> None:
    start(cluster, namespace, "greedy", told(namespace, 4, {"memoryMebibytes": 400}))
    states, words = ends(cluster, namespace, "greedy")

    if words.unreported:  # the kernel ended the task's process alone
        assert [end.result.reason for end in words.unreported] == ["OutOfMemory"], words
        return
    assert states[CONTAINER_WORK]["reason"] == "OOMKilled", states
    assert states[CONTAINER_SERVE]["exitCode"] == 75
    assert (
        words.message == f"The container work has ended while phase work of {namespace}/song-4, attempt 1, was at work."
    )
