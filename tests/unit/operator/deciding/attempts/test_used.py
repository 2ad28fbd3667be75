"""What an attempt took, from its pod and its result: each once, and nothing that cannot be."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import NOW, World, phase, pipeline, result_message

from audiojob_operator.deciding.attempts.believed import Usage
from audiojob_operator.deciding.attempts.used import AttemptUsed, Stage, attempts_used
from audiojob_operator.deciding.transitions import AttemptClass, AttemptEnded, PhaseEnded, Transition, phase_transitions
from audiojob_operator.records.observation import Failed, Outcome, PhaseObservation, PodObservation, Running, Succeeded
from audiojob_operator.records.settings import Revision
from audiojob_types.contract import Device, FailureClass, ManifestRef, PhaseResult
from audiojob_types.contract import Outcome as ResultOutcome
from audiojob_types.progress import PhaseUsage
from audiojob_types.resources.pipeline import Phase

GIB = 2**30
ENDED = AttemptEnded("stems", AttemptClass.SUCCEEDED, "", 2)
PHASES = [
    Phase.model_validate({"name": "stems", "task": "Separate", "device": "Auto", "resources": {"cpuLimit": "1500m"}})
]


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def succeeded(peak: int | None = GIB) -> Succeeded:
    manifest = ManifestRef(key="k", sha256="a" * 64)
    return Succeeded(PhaseResult(outcome=ResultOutcome.SUCCEEDED, manifest=manifest, peak_memory_bytes=peak), at(100))


def failed(peak: int | None = None) -> Failed:
    return Failed(FailureClass.RETRY, "Stalled", "It broke.", peak_memory_bytes=peak, finished=at(100))


POD = PodObservation("pod", "uid", at(1), scheduled=at(3), began=at(10))
CHILD = PhaseObservation(
    "job", "uid", "stems", 2, "r", Device.GPU, at(0), succeeded(), POD, gpus=2, memory_bytes=2 * GIB
)


def used(child: PhaseObservation = CHILD, *transitions: Transition) -> list[AttemptUsed]:
    return list(attempts_used(transitions or (ENDED,), (child,), PHASES, at(101)))


def test_an_attempt_is_told_with_its_stages_its_gpus_and_its_memory() -> None:
    stages = {Stage.SCHEDULE: 2.0, Stage.KUBELET: 7.0, Stage.HANDOVER: 1.0}
    assert used() == [AttemptUsed("Separate", Device.GPU, stages, gpu_seconds=194.0, memory_ratio=0.5)]


NOT_ONE = {
    "another attempt": (CHILD, AttemptEnded("stems", AttemptClass.RETRY, "Stalled", 1)),
    "another phase": (CHILD, AttemptEnded("publish", AttemptClass.SUCCEEDED, "", 2)),
    "no end of an attempt": (CHILD, PhaseEnded("stems", "GPU", 1.0)),
    "one that never had a pod": (replace(CHILD, pod=None), ENDED),
    "one of a phase that the pipeline lacks": (replace(CHILD, phase="gone"), replace(ENDED, phase="gone")),
}


@pytest.mark.parametrize(("child", "transition"), NOT_ONE.values(), ids=NOT_ONE)
def test_nothing_is_told_of(child: PhaseObservation, transition: Transition) -> None:
    assert used(child, transition) == []


RATIOS: dict[str, tuple[Outcome, int | None, float | None]] = {
    "a success": (succeeded(GIB), 2 * GIB, 0.5),
    "a failure": (failed(2 * GIB), 2 * GIB, 1.0),
    "an older runner, or one that was killed, which tells nothing": (succeeded(None), GIB, None),
    "zero": (succeeded(0), GIB, None),
    "as much as nobody was given": (succeeded(2**53), GIB, None),
    "a Job of an earlier operator, which does not say what it was given": (succeeded(GIB), None, None),
    "an attempt that was stopped while it ran": (Running(), GIB, None),
}


@pytest.mark.parametrize(("outcome", "given", "expected"), RATIOS.values(), ids=RATIOS)
def test_memory(outcome: Outcome, given: int | None, expected: float | None) -> None:
    (found,) = used(replace(CHILD, outcome=outcome, memory_bytes=given))
    assert found.memory_ratio == expected


def test_an_attempt_that_was_stopped_had_its_gpus_until_now() -> None:
    (found,) = used(replace(CHILD, outcome=Running(), pod=replace(POD, began=None)))
    assert (found.gpu_seconds, found.stages) == (196.0, {Stage.SCHEDULE: 2.0})


def test_clocks_that_differ_make_no_negative_time() -> None:
    (found,) = used(replace(CHILD, pod=replace(POD, scheduled=at(0), began=at(-5))))
    assert found.stages == {Stage.SCHEDULE: 0.0, Stage.KUBELET: 0.0, Stage.HANDOVER: 1.0}


def test_a_pod_that_found_no_node_held_no_gpu() -> None:
    (found,) = used(replace(CHILD, outcome=failed(), pod=replace(POD, scheduled=None, began=None)))
    assert found.gpu_seconds == 0.0


def test_times_are_read_from_the_pod() -> None:
    world = World(pipeline=pipeline(phase("one")))
    world.turn()
    world.pod("one")["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-03-01T12:00:07Z"}
    ]
    world.end("one", 75, startedAt="2026-03-01T12:00:09Z")
    (child,) = world.observed().children
    assert child.pod is not None
    assert (child.pod.scheduled, child.pod.began) == (at(7), at(9))


# ---------------------------------------------------------------- what it says itself

# The pod lives from second 1 to 101, and 5 more are granted for clocks; 1.5 cores, 2 GPUs.
TOLD = PhaseUsage(
    cpu_milliseconds=150_000,
    media_milliseconds=240_000,
    work_milliseconds=80_500,
    start_milliseconds=2_500,
    gpu_peak_bytes=3 * GIB,
    read_bytes=1_000,
    written_bytes=2_000,
)
BELIEVED = Usage(150.0, 240.0, 80.5, 2.5, 3 * GIB, 1_000, 2_000)


def telling(told: PhaseUsage | None, outcome: Succeeded | Failed | None = None) -> PhaseObservation:
    match outcome or succeeded():
        case Succeeded(result, finished):
            return replace(CHILD, outcome=Succeeded(result.model_copy(update={"usage": told}), finished))
        case Failed() as ended:
            return replace(CHILD, outcome=replace(ended, usage=told))


def test_what_an_attempt_says_is_believed_where_it_can_be() -> None:
    (found,) = used(telling(TOLD))
    assert found.told == BELIEVED
    assert found.stages[Stage.PROCESS] == 2.5


def test_an_attempt_that_failed_finished_no_sound() -> None:
    (found,) = used(telling(TOLD, failed()))
    assert found.told == replace(BELIEVED, media_seconds=None)


IMPOSSIBLE: dict[str, tuple[dict[str, int], dict[str, None]]] = {
    "more CPU time than its cores have": ({"cpu_milliseconds": 157_501}, {"cpu_seconds": None}),
    "more work than time, and so no sound": (
        {"work_milliseconds": 105_001}, {"work_seconds": None, "media_seconds": None},
    ),
    "a start that lasted longer than the pod": ({"start_milliseconds": 105_001}, {"start_seconds": None}),
    "more memory than GPUs have": ({"gpu_peak_bytes": 2**41 + 1}, {"gpu_peak_bytes": None}),
    "no memory of the GPU at all": ({"gpu_peak_bytes": 0}, {"gpu_peak_bytes": None}),
    "more bytes than disks can give": ({"read_bytes": 2**53}, {"read_bytes": None}),
    "more bytes than disks can take": ({"written_bytes": 2**53}, {"written_bytes": None}),
}  # fmt: skip


@pytest.mark.parametrize(("said", "left_out"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_is_left_out_alone(said: dict[str, int], left_out: dict[str, None]) -> None:
    (found,) = used(telling(TOLD.model_copy(update=said)))
    assert found.told == replace(BELIEVED, **left_out)
    assert found.memory_ratio == 0.5
    assert (Stage.PROCESS in found.stages) is (found.told.start_seconds is not None)


def test_without_a_limit_an_attempt_may_use_the_whole_machine() -> None:
    child = telling(TOLD.model_copy(update={"cpu_milliseconds": 100 * 1_000_000}))
    phases = [Phase.model_validate({"name": "stems", "task": "Separate"})]
    (found,) = attempts_used([ENDED], [child], phases, at(101))
    assert found.told.cpu_seconds == 100_000
    (found,) = used(child)
    assert found.told.cpu_seconds is None


def test_who_had_no_gpu_used_none_of_its_memory() -> None:
    (found,) = used(replace(telling(TOLD), device=Device.CPU))
    assert found.told == replace(BELIEVED, gpu_peak_bytes=None)


SILENT = {
    "a runner of before": telling(None),
    "a runner of before that failed": telling(None, failed()),
    "one that was stopped while it ran": replace(CHILD, outcome=Running()),
}


@pytest.mark.parametrize("child", SILENT.values(), ids=SILENT)
def test_nothing_is_made_up_of(child: PhaseObservation) -> None:
    (found,) = used(child)
    assert found.told == Usage()
    assert Stage.PROCESS not in found.stages


def test_a_clock_that_is_behind_the_pods_creation_leaves_only_what_clocks_may_differ_by() -> None:
    (found,) = attempts_used([ENDED], [telling(TOLD)], PHASES, at(-600))
    assert found.told == replace(BELIEVED, cpu_seconds=None, work_seconds=None, media_seconds=None)


ENDS: dict[str, tuple[object, float | None]] = {
    "with its usage": ({"work": 400, "cpu": 90, "read": 5}, 0.4),
    "without one, as an earlier runner does": (None, None),
    "with a negative one": ({"work": -400}, None),
    "with one of eons": ({"work": 10**15}, None),
    "with one that no number holds": ({"work": 10**18}, None),
    "with one in words": ("much", None),
}


@pytest.mark.parametrize(("told", "work"), ENDS.values(), ids=ENDS)
def test_an_attempt_that_ends_counts_once_however_often_it_is_looked_at(told: Any, work: float | None) -> None:
    world = World(pipeline=pipeline(phase("one")))
    world.turn()
    left = json.loads(result_message(world.newest("one"), outcome="Failed", reason="Stalled", message="It broke."))
    world.end("one", 75, json.dumps(left if told is None else left | {"usage": told}))
    found: list[AttemptUsed] = []
    for _ in range(3):  # the last looks are also those of an operator that has just started
        observed, before = world.observed(), deepcopy(world.status)
        world.turn()
        assert isinstance(observed.revision, Revision)
        transitions = phase_transitions(before, world.status, NOW)
        found += attempts_used(transitions, observed.children, observed.revision.spec.phases, world.now)
    assert [each.told.work_seconds for each in found] == [work]
    assert (world.phase("one").reason, world.phase("one").failures) == ("Stalled", 1)
