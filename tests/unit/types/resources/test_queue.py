"""AudioQueues as they are read and written."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from audiojob_types.resources.queue import DEFAULT_WEIGHT, AudioQueue, AudioQueueSpec, AudioQueueStatus


def test_a_queue_without_limits_has_the_defaults_of_the_crd() -> None:
    queue = AudioQueue.model_validate({"metadata": {"name": "night"}})
    assert queue.spec.to_wire() == {"weight": DEFAULT_WEIGHT, "stopPolicy": "None"}
    assert queue.status.to_wire() == {"running": 0, "pending": 0, "gpus": 0}


def test_gpus_are_spelled_as_kubernetes_spells_them() -> None:
    spec = AudioQueueSpec.model_validate({"maxGPUs": 2, "maxRunning": 3, "maxRunningPerUser": 1})
    assert (spec.max_gpus, spec.max_running, spec.max_running_per_user) == (2, 3, 1)
    assert spec.to_wire()["maxGPUs"] == 2


def test_a_spec_is_closed_and_a_status_is_open() -> None:
    with pytest.raises(ValidationError, match="colour"):
        AudioQueueSpec.model_validate({"colour": "red"})
    assert AudioQueueStatus.model_validate({"colour": "red"}) == AudioQueueStatus()
