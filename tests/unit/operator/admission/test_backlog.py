"""What waits for admission, as gauges show it: by queue and device, and since when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.admission.test_scheduler import Known
from tests.unit.operator.builders import NOW, audio_job, phase, pipeline

from audiojob_operator.admission.limits import GpuOffer, Limits
from audiojob_operator.admission.roster import ChildFacts, JobFacts, Roster, Row
from audiojob_operator.records.objects import Key
from audiojob_types.base import format_time
from audiojob_types.contract import Device
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec
from audiojob_types.resources.queue import AudioQueueSpec

LATER = NOW + timedelta(seconds=90)
AUTO = AudioPipeline.model_validate(pipeline(phase("only", device="Auto", gpuWaitSeconds=600))).spec
GPU = AudioPipeline.model_validate(pipeline(phase("only", device="GPU", gpus=2))).spec
BUSY = ChildFacts(live=True, gpus=1)
FULL = Limits(max_running=1, gpus=1, gpus_per_node=1)
DEFAULT = ("music", "default")


def begin(known: Known, name: str, spec: AudioPipelineSpec, **record: Any) -> None:
    """A job that holds a slot, with this in the record of its phase that waits."""
    obj = audio_job(name, uid=f"uid-{name}")
    obj["metadata"]["creationTimestamp"] = format_time(NOW)
    phases = [{"name": "only", "state": "Waiting", "attempt": 0, **record}]
    admitted = {
        "type": "Admitted", "status": "True", "reason": "Admitted", "message": "", "observedGeneration": 1,
        "lastTransitionTime": format_time(NOW),
    }  # fmt: skip
    obj["status"] = {"state": "Running", "pipelineRevision": "r", "conditions": [admitted], "phases": phases}
    facts = JobFacts(f"uid-{name}", AudioJob.model_validate(obj), spec)
    known.scheduler.update(("music", name), facts, ChildFacts(), known.now)


def found(known: Known, limits: Limits = FULL) -> tuple[dict[tuple[str, Device], tuple[int, float]], int]:
    """By queue and device how many wait, and the longest for how many seconds; and the GPUs that they want."""
    known.cycle(limits)
    backlog = known.scheduler.backlog(limits, LATER)
    shown = {
        (queue[1], device): (waiting.count, (LATER - waiting.since).total_seconds())
        for (queue, device), waiting in backlog.waiting.items()
    }
    return shown, sum(backlog.gpus_wanted.values())


def test_nobody_waits() -> None:
    known = Known()
    known.put("holder", children=BUSY)
    assert found(known) == ({}, 0)


def test_jobs_that_wait_for_a_slot_are_counted_in_their_queues() -> None:
    known = Known()
    known.put("holder", children=ChildFacts(live=True))
    for name in ("one", "two"):
        known.put(name)
    known.put("three", queueName="night")
    limits = Limits(max_running=1, queues={("music", "night"): AudioQueueSpec()})
    assert found(known, limits) == ({("default", Device.CPU): (2, 90), ("night", Device.CPU): (1, 90)}, 0)


def test_a_job_with_a_start_time_waits_since_then() -> None:
    known = Known()
    known.put("holder", children=ChildFacts(live=True))
    known.now = LATER
    known.put("later", startTime=format_time(NOW + timedelta(seconds=60)))
    assert found(known) == ({("default", Device.CPU): (1, 30)}, 0)
    known.put("at-once")
    assert found(known) == ({("default", Device.CPU): (2, 90)}, 0)


def test_a_job_whose_start_time_is_ahead_does_not_wait_for_us() -> None:
    known = Known()
    known.put("holder", children=ChildFacts(live=True))
    known.put("tomorrow", startTime=format_time(NOW + timedelta(days=1)))
    assert found(known) == ({}, 0)


@pytest.mark.parametrize(
    ("spec", "limits", "device", "gpus"),
    [
        pytest.param(AUTO, FULL, Device.GPU, 1, id="Auto, where a node offers one"),
        pytest.param(AUTO, Limits(max_running=1), Device.CPU, 0, id="Auto, where none does: it takes the CPU"),
        pytest.param(GPU, FULL, Device.GPU, 2, id="GPU, more than there are"),
        pytest.param(GPU, Limits(max_running=1), Device.GPU, 2, id="GPU, where there are none"),
    ],
)
def test_a_job_that_waits_for_gpus_is_told_apart(spec: Any, limits: Limits, device: Device, gpus: int) -> None:
    known = Known()
    known.put("holder", children=BUSY)
    known.put("song", spec)
    assert found(known, limits) == ({("default", device): (1, 90)}, gpus)


def test_a_job_that_has_begun_and_waits_for_a_gpu_counts_since_its_phase_waits() -> None:
    known = Known()
    known.put("holder", children=BUSY)
    since = format_time(NOW + timedelta(seconds=80))
    begin(known, "song", GPU, gpuWaitStartTime=since)
    limits = Limits(gpus=1, gpus_per_node=1)
    assert found(known, limits) == ({("default", Device.GPU): (1, 10)}, 2)


def test_gpus_are_wanted_by_their_kind() -> None:
    known = Known()
    known.put("holder", children=BUSY)
    slice_ = AudioPipeline.model_validate(
        pipeline(phase("only", "Separate", device="GPU", gpu={"resourceName": "nvidia.com/mig-1g.10gb"}))
    ).spec
    limits = Limits(gpus=1, gpus_per_node=1, other_gpus={"nvidia.com/mig-1g.10gb": GpuOffer(1, 1)})
    known.put("whole", GPU)
    for name in ("one", "two"):
        known.put(name, slice_)
    begin(known, "begun", slice_)
    known.cycle(limits)
    wanted = known.scheduler.backlog(limits, LATER).gpus_wanted
    assert wanted == {"": 2, "nvidia.com/mig-1g.10gb": 2}, "one of the three slices was offered"


def test_a_job_that_was_offered_its_gpus_does_not_wait_any_more() -> None:
    known = Known()
    begin(known, "song", GPU)
    assert found(known, Limits(gpus=2, gpus_per_node=2)) == ({}, 0)


def test_a_thousand_in_a_line_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known()
    for number in range(1_000):
        known.put(f"song-{number}")
    known.cycle(FULL)
    looked_at, whole = list[Key](), Roster.get

    def count(self: Roster, key: Key) -> Row | None:
        looked_at.append(key)
        return whole(self, key)

    monkeypatch.setattr(Roster, "get", count)
    assert known.scheduler.backlog(FULL, LATER).waiting[DEFAULT, Device.CPU].count == 1_000
    assert len(looked_at) == 1
