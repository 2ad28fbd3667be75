"""Why a pod has not started."""

from __future__ import annotations

from typing import Any

import pytest

from audiojob_operator.deciding.children.diagnose import diagnose_pod


def pending(*conditions: tuple[str, str, str], waiting: tuple[str, str] | None = None, **status: Any) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "metadata": {"name": "p"},
        "spec": {},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": kind, "status": value, "message": message} for kind, value, message in conditions],
            **status,
        },
    }
    if waiting:
        pod["status"]["containerStatuses"] = [
            {"image": "audiojob/runner:1", "state": {"waiting": {"reason": waiting[0], "message": waiting[1]}}}
        ]
    return pod


NO_ROOM = "0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint {gpu: yes}."
UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
DYING_CLAIM = '0/2 nodes are available: persistentvolumeclaim "audiojob-store" is being deleted. preemption: 0/2 nodes'
LOST_CLAIM = (
    '0/1 nodes are available: persistentvolumeclaim "audiojob-store" bound to non-existent persistentvolume "disk-7".'
)
NO_CLAIM = '0/1 nodes are available: persistentvolumeclaim "audiojob-store" not found. not found'


@pytest.mark.parametrize(
    ("pod", "reason", "words", "bounded", "shown"),
    [
        pytest.param(
            pending(("PodScheduled", "False", NO_ROOM)),
            "Unschedulable",
            "1 has too little memory left, 2 have a taint",
            False,
            True,
            id="no node has room",
        ),
        pytest.param(
            pending(("PodScheduled", "False", UNBOUND)),
            "Unschedulable",
            "The claim is not bound to a volume yet",
            False,
            True,
            id="a claim is not bound yet",
        ),
        pytest.param(
            pending(("PodScheduled", "False", "")),
            "Unschedulable",
            "scheduler",
            False,
            True,
            id="no word from the scheduler",
        ),
        pytest.param(
            pending(("PodScheduled", "False", NO_CLAIM)),
            "VolumeMissing",
            "claim audiojob-store",
            True,
            True,
            id="the claim does not exist",
        ),
        pytest.param(
            pending(("PodScheduled", "False", DYING_CLAIM)),
            "VolumeMissing",
            "claim audiojob-store is being deleted",
            True,
            True,
            id="the claim was deleted while a pod used it",
        ),
        pytest.param(
            pending(("PodScheduled", "False", LOST_CLAIM)),
            "VolumeMissing",
            "volume disk-7 of the claim audiojob-store does not exist any more",
            True,
            True,
            id="the claim's volume was deleted",
        ),
        pytest.param(
            pending(waiting=("ErrImagePull", "manifest unknown")),
            "ImagePullFailed",
            "manifest unknown",
            True,
            True,
            id="no such image",
        ),
        pytest.param(
            pending(waiting=("ImagePullBackOff", "")),
            "ImagePullFailed",
            "audiojob/runner:1",
            True,
            True,
            id="the image, again",
        ),
        pytest.param(
            pending(waiting=("InvalidImageName", "")),
            "ImagePullFailed",
            "InvalidImageName",
            True,
            True,
            id="not an image name",
        ),
        pytest.param(
            pending(waiting=("CreateContainerConfigError", 'secret "audiojob-store" not found')),
            "VolumeMissing",
            "Secret audiojob-store",
            True,
            True,
            id="the Secret does not exist",
        ),
        pytest.param(
            pending(waiting=("CreateContainerError", "failed to mkdir")),
            "PodStarting",
            "failed to mkdir",
            True,
            True,
            id="the runtime refuses",
        ),
        pytest.param(
            pending(("PodReadyToStartContainers", "False", ""), waiting=("ContainerCreating", "")),
            "PodStarting",
            "volumes or network",
            True,
            False,
            id="volumes or network are not ready",
        ),
    ],
)
def test_a_pod_that_has_not_started(pod: dict[str, Any], reason: str, words: str, bounded: bool, shown: bool) -> None:
    found = diagnose_pod(pod)
    assert found is not None
    assert (found.reason, found.bounded, found.shown) == (reason, bounded, shown)
    assert words in found.message
    assert found.suggestion


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(pending(), id="just created"),
        pytest.param(
            pending(("PodReadyToStartContainers", "True", ""), waiting=("ContainerCreating", "")), id="pulling"
        ),
        pytest.param(pending(phase="Running", containerStatuses=[{"state": {"running": {}}}]), id="running"),
        pytest.param(pending(("PodScheduled", "False", NO_ROOM), phase="Failed"), id="ended"),
    ],
)
def test_a_pod_that_there_is_nothing_to_say_about(pod: dict[str, Any]) -> None:
    assert diagnose_pod(pod) is None


def test_a_message_of_a_big_cluster_is_cut() -> None:
    found = diagnose_pod(pending(("PodScheduled", "False", "0/5000 nodes " + "x" * 5_000)))
    assert found is not None
    assert len(found.message) < 1_024


def in_stages(**states: dict[str, Any]) -> dict[str, Any]:
    """A pod of a Container phase; the names are those of its first containers."""
    statuses = [{"name": name, "image": f"{name}:1", **state} for name, state in states.items()]
    return pending(waiting=("PodInitializing", ""), initContainerStatuses=statuses)


WAITS = {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such thing"}}}
DONE = {"state": {"terminated": {"exitCode": 0}}}
RUNS: dict[str, Any] = {"state": {"running": {}}}
AGAIN = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": DONE["state"]}


@pytest.mark.parametrize(
    ("pod", "image"),
    [
        pytest.param(in_stages(fetch=WAITS, report=RUNS, program=RUNS), "fetch:1", id="of the first container"),
        pytest.param(in_stages(fetch=DONE, report=WAITS, program={}), "report:1", id="of the sidecar"),
        pytest.param(in_stages(fetch=DONE, report=RUNS, program=WAITS), "program:1", id="of the program"),
    ],
)
def test_the_image_that_is_missing_is_named(pod: dict[str, Any], image: str) -> None:
    found = diagnose_pod(pod)
    assert found is not None
    assert found.reason == "ImagePullFailed"
    assert image in found.message


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(in_stages(fetch=RUNS), id="inputs are fetched"),
        pytest.param(in_stages(fetch=DONE, report=RUNS, program=RUNS), id="the program runs"),
        pytest.param(
            in_stages(fetch=DONE, report=AGAIN, program=RUNS),
            id="the sidecar is started again",
        ),
    ],
)
def test_a_pod_of_stages_that_there_is_nothing_to_say_about(pod: dict[str, Any]) -> None:
    assert diagnose_pod(pod) is None
