"""AudioQueues that a real API server takes, and those that it refuses with a sentence that helps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.resources import Resources

from audiojob_types.resources.queue import AudioQueueSpec

pytestmark = pytest.mark.integration

Spec = dict[str, Any]

ACCEPTED: dict[str, Spec] = {
    "no limits": {},
    "one job at a time": {"maxRunning": 1},
    "no GPUs": {"maxGPUs": 0},
    "the least weight": {"weight": 1},
    "the greatest weight": {"weight": 1_000},
    "a queue that is held": {"stopPolicy": "Hold"},
    "everything": {
        "maxRunning": 100_000, "maxGPUs": 100_000, "maxRunningPerUser": 1, "weight": 10, "stopPolicy": "HoldAndDrain",
        "kueueLocalQueue": "team-a",
    },
}  # fmt: skip


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(resources: Resources, body: Spec) -> None:
    answer = resources.try_queue(body)
    assert answer.status == 200, answer.message


REFUSED: dict[str, tuple[Spec, list[str]]] = {
    "no jobs at all": ({"maxRunning": 0}, ["spec.maxRunning", "at least 1", "set stopPolicy to Hold"]),
    "fewer jobs than none": ({"maxRunning": -1}, ["spec.maxRunning"]),
    "too many jobs": ({"maxRunning": 100_001}, ["spec.maxRunning", "100000"]),
    "fewer GPUs than none": ({"maxGPUs": -1}, ["spec.maxGPUs"]),
    "a GPU in parts": ({"maxGPUs": 0.5}, ["spec.maxGPUs", "integer"]),
    "no jobs of a user": ({"maxRunningPerUser": 0}, ["spec.maxRunningPerUser"]),
    "no weight": ({"weight": 0}, ["spec.weight", "at least 1", "set stopPolicy to Hold"]),
    "less weight than none": ({"weight": -1}, ["spec.weight"]),
    "a weight of 1,001": ({"weight": 1_001}, ["spec.weight", "1000"]),
    "an unknown stop policy": ({"stopPolicy": "Stop"}, ["spec.stopPolicy", "supported values", "HoldAndDrain"]),
    "a Kueue queue that is no name": ({"kueueLocalQueue": "a/b"}, ["spec.kueueLocalQueue"]),
    "a field of Kueue": ({"nominalQuota": 1}, ["unknown field", "spec.nominalQuota"]),
}


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(resources: Resources, body: Spec, words: list[str]) -> None:
    answer = resources.try_queue(body)
    assert answer.status in {400, 422}, answer
    assert [word for word in words if word not in answer.message] == [], answer.message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("a" * 63, [], id="of 63 characters"),
        pytest.param("a" * 64, ["63"], id="of 64 characters"),
        pytest.param("my.queue", ["dots"], id="with dots"),
    ],
)
def test_names_are_those_that_a_job_can_give(resources: Resources, name: str, words: list[str]) -> None:
    answer = resources.try_queue({}, name=name)
    assert (answer.status == 200) == (not words), answer.message
    assert [word for word in words if word not in answer.message] == [], answer.message


def test_the_servers_defaults_are_the_models(resources: Resources) -> None:
    stored = resources.try_queue({}).body["spec"]
    assert stored == AudioQueueSpec().to_wire()
