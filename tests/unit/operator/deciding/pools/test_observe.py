"""What a worker's Job and pod say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.operator.deciding.pools.played import TOLD, worker_job, worker_pod

from audiojob_operator.deciding.pools.observe import observe_pod, observe_worker
from audiojob_types import constants as c

WAITING = {"waiting": {"reason": "ContainerCreating"}}
NO_IMAGE = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
END = json.dumps({"message": "The worker had nothing to do for 60 seconds.", "phases": 7})


def ended(code: int, message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message}}


def test_a_worker_at_work() -> None:
    job = worker_job(number=4)
    found = observe_worker(job, [worker_pod(job, TOLD)])
    assert (found.number, found.live, found.finished) == (4, True, False)
    assert found.built_from == job["metadata"]["annotations"][c.ANNOTATION_BUILT_FROM] != ""
    assert found.pod is not None
    assert found.pod.up
    assert found.pod.tells("uid-song", "cut", 2)
    assert not found.pod.tells("uid-song", "cut", 1)


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param({}, {"up": True, "ended": False, "trouble": ""}, id="both containers run"),
        pytest.param({"work": WAITING}, {"up": False, "ended": False, "trouble": ""}, id="one of them starts"),
        pytest.param({"work": ended(1)}, {"up": False, "ended": False}, id="one has ended, the other will say why"),
        pytest.param({"serve": ended(75)}, {"up": False, "ended": True}, id="the one that decides has ended"),
        pytest.param({"phase": "Failed", "serve": {}, "work": {}}, {"up": False, "ended": True}, id="the pod is lost"),
        pytest.param(
            {"phase": "Succeeded", "serve": ended(0, END), "work": ended(0)},
            {"ended": True, "phases": 7, "message": "The worker had nothing to do for 60 seconds."},
            id="it has ended, and says what it has done",
        ),
        pytest.param({"serve": ended(0, "no JSON")}, {"ended": True, "phases": 0, "message": ""}, id="in other words"),
        pytest.param({"terms": {"tasks": []}}, {"order": None}, id="an annotation that is no order"),
    ],
)
def test_what_a_pod_says(pod: dict[str, Any], expected: dict[str, Any]) -> None:
    found = observe_pod(worker_pod(worker_job(), **pod))
    assert {name: getattr(found, name) for name in expected} == expected


def test_why_a_pod_cannot_start_is_told_whichever_container_it_is() -> None:
    found = observe_pod(worker_pod(worker_job(), phase="Pending", serve=WAITING, work=NO_IMAGE))
    assert found.trouble.startswith("The image runner cannot be pulled (ErrImagePull): not found")


def test_a_pod_that_lives_tells_before_one_that_has_ended() -> None:
    job = worker_job()
    before, now = worker_pod(job, phase="Failed"), worker_pod(job)
    now["metadata"]["uid"] = "second"
    found = observe_worker(job, [now, before]).pod
    assert found is not None
    assert found.uid == "second"
