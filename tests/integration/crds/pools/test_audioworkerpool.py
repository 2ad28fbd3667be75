"""AudioWorkerPools that a real API server takes, and those that it refuses with a sentence that helps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.resources import Resources

from audiojob_types.tasks import Task
from audiojob_types.workers.pool import SERVED_TASKS, AudioWorkerPoolSpec

pytestmark = pytest.mark.integration

Spec = dict[str, Any]

ACCEPTED: dict[str, Spec] = {
    "a task": {},
    "every task that workers run": {"tasks": [task.value for task in SERVED_TASKS]},
    "closed, with workers that stay once it is open": {"maxWorkers": 0, "minWorkers": 1},
    "as many as stay": {"minWorkers": 1_000, "maxWorkers": 1_000},
    "everything": {
        "device": "GPU", "gpus": 16, "gpu": {"resourceName": "amd.com/gpu"},
        "resources": {"cpu": "2", "memory": "8Gi", "scratch": "8Gi"}, "preload": {"models": ["htdemucs"] * 8},
        "template": {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}, "minWorkers": 1,
        "maxWorkers": 4, "idleSeconds": 1, "maxPhases": 100_000, "maxAgeSeconds": 1, "scaleUpQueueDepth": 2,
        "scaleDownQueueDepth": 1, "trust": "AnyInput", "kueueLocalQueue": "team-a",
    },
}  # fmt: skip
REFUSED: dict[str, tuple[Spec, list[str]]] = {
    "no task": ({"tasks": []}, ["spec.tasks", "at least 1"]),
    "a task that does not exist": ({"tasks": ["Dance"]}, ["spec.tasks", "supported values", "Separate"]),
    "more that stay than there may be": (
        {"minWorkers": 2, "maxWorkers": 1},
        ["minWorkers must not be above maxWorkers"],
    ),
    "too many workers": ({"maxWorkers": 1_001}, ["spec.maxWorkers", "1000"]),
    "fewer workers than none": ({"maxWorkers": -1}, ["spec.maxWorkers"]),
    "a worker in parts": ({"maxWorkers": 0.5}, ["spec.maxWorkers", "integer"]),
    "no idle time": ({"idleSeconds": 0}, ["spec.idleSeconds", "1"]),
    "no phase": ({"maxPhases": 0}, ["spec.maxPhases"]),
    "no age": ({"maxAgeSeconds": 0}, ["spec.maxAgeSeconds"]),
    "it grows for no phase that waits": ({"scaleUpQueueDepth": 0}, ["spec.scaleUpQueueDepth"]),
    "it shrinks while it grows": (
        {"scaleUpQueueDepth": 2, "scaleDownQueueDepth": 2},
        ["scaleDownQueueDepth must be below scaleUpQueueDepth"],
    ),
    "a device of its own": ({"device": "TPU"}, ["spec.device", "supported values", "GPU"]),
    "no GPU": ({"device": "GPU", "gpus": 0}, ["spec.gpus"]),
    "memory that is no quantity": ({"resources": {"memory": "much"}}, ["spec.resources.memory"]),
    "nine models": ({"preload": {"models": ["a"] * 9}}, ["spec.preload.models", "8"]),
    "a model that is a path": ({"preload": {"models": ["../a"]}}, ["spec.preload.models"]),
    "an image of its own": ({"template": {"image": "evil"}}, ["unknown field", "spec.template.image"]),
    "an unknown trust": ({"trust": "Everything"}, ["spec.trust", "supported values", "OwnInputs"]),
    "a Kueue queue that is no name": ({"kueueLocalQueue": "a/b"}, ["spec.kueueLocalQueue"]),
}


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(resources: Resources, body: Spec) -> None:
    answer = resources.try_pool({"tasks": ["Separate"], **body})
    assert answer.status in {200, 201}, answer.message
    AudioWorkerPoolSpec.model_validate({"tasks": ["Separate"], **body})


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(resources: Resources, body: Spec, words: list[str]) -> None:
    answer = resources.try_pool({"tasks": ["Separate"], **body})
    assert answer.status in {400, 422}, answer
    assert [word for word in words if word not in answer.message] == [], answer.message


@pytest.mark.parametrize("task", [task.value for task in Task if task not in SERVED_TASKS])
def test_a_task_that_no_worker_may_run_is_refused(resources: Resources, task: str) -> None:
    answer = resources.try_pool({"tasks": ["Separate", task]})
    assert (answer.status, "supported values" in answer.message) == (422, True), answer.message
