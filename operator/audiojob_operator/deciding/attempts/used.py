"""What an attempt took, for statistics: pure, from what was observed of it when its end was recorded.

Nothing is decided by it. A pod writes some of it, so a value that cannot be is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from audiojob_operator.building.quantity import quantity_cores
from audiojob_operator.deciding.attempts.believed import Given, Usage, believed
from audiojob_operator.deciding.transitions import AttemptEnded, Transition
from audiojob_operator.records.objects import Object
from audiojob_operator.records.observation import Failed, PhaseObservation, Running, Succeeded
from audiojob_types.contract import Device
from audiojob_types.reasons import Reason
from audiojob_types.resources.pipeline import Phase

# The clocks of the operator and of the API server differ, and pods are created at whole seconds.
_SLACK_SECONDS: Final = 5.0
_MOST_RATIO: Final = 2.0  # the kernel ends a process at 1; a little more is a matter of measuring


class Stage(StrEnum):
    """What passes before and after the work of an attempt."""

    SCHEDULE = "schedule"  # from the pod's creation until it has a node
    KUBELET = "kubelet"  # until its container runs: volumes, image
    PROCESS = "process"  # until its task begins: interpreter, libraries, inputs; the pod's own word
    HANDOVER = "handover"  # from the container's end until it is recorded


@dataclass(frozen=True, slots=True)
class AttemptUsed:
    """One attempt that has ended. ``memory_ratio``: the most that it used of what it was given; None: not known.

    ``told``: what it says itself, as far as it can be true.
    """

    task: str
    device: Device
    stages: Mapping[Stage, float]
    gpu_seconds: float = 0.0
    memory_ratio: float | None = None
    told: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Held:
    """A pod that waited for its inputs, and for how long it had a node meanwhile."""

    task: str
    device: Device
    seconds: float


def times_held(before: Object, after: Object, children: Iterable[PhaseObservation], now: datetime) -> Iterator[Held]:
    """The waits that have ended between two statuses as stored: the pods were told their inputs, or went."""
    by_attempt = {(child.phase, child.attempt): child for child in children}
    still = {record["name"] for record in after.get("phases") or () if record.get("reason") == Reason.STARTED_EARLY}
    for record in before.get("phases") or ():
        if record.get("reason") != Reason.STARTED_EARLY or record["name"] in still:
            continue
        child = by_attempt.get((record["name"], record.get("earlyAttempt", 0)))
        if child is not None and child.pod is not None:
            end = now if isinstance(child.outcome, Running) else child.outcome.finished or now
            seconds = _seconds(child.pod.scheduled, end)
            if seconds is not None:
                yield Held(str(record.get("task")), child.device, seconds)


def attempts_used(
    transitions: Iterable[Transition],
    children: Iterable[PhaseObservation],
    phases: Iterable[Phase],
    now: datetime,
) -> Iterator[AttemptUsed]:
    """What the attempts took whose end was just recorded. An attempt without a pod took nothing."""
    by_name = {phase.name: phase for phase in phases}
    by_attempt = {(child.phase, child.attempt): child for child in children}
    for each in transitions:
        if not isinstance(each, AttemptEnded):
            continue
        child, phase = by_attempt.get((each.phase, each.attempt)), by_name.get(each.phase)
        if child is not None and child.pod is not None and phase is not None:
            yield _used(child, phase, now)


def _used(child: PhaseObservation, phase: Phase, now: datetime) -> AttemptUsed:
    assert child.pod is not None, "an attempt without a pod took nothing"
    pod, outcome = child.pod, child.outcome
    finished = None if isinstance(outcome, Running) else outcome.finished
    spans = {
        Stage.SCHEDULE: (pod.created, pod.scheduled),
        Stage.KUBELET: (pod.scheduled, pod.began),
        Stage.HANDOVER: (finished, now),
    }
    found = {stage: _seconds(start, end) for stage, (start, end) in spans.items()}
    told = _told(child, phase, now)
    if told.start_seconds is not None:
        found[Stage.PROCESS] = told.start_seconds
    held = _seconds(pod.scheduled, finished or now) or 0.0
    return AttemptUsed(
        task=phase.task.value,
        device=child.device,
        stages={stage: seconds for stage, seconds in found.items() if seconds is not None},
        gpu_seconds=child.gpus * held,
        memory_ratio=_memory_ratio(outcome, child.memory_bytes),
        told=told,
    )


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    """Not less than 0: the clocks of nodes and of the API server differ, and know whole seconds."""
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())


def _told(child: PhaseObservation, phase: Phase, now: datetime) -> Usage:
    assert child.pod is not None, "an attempt without a pod took nothing"
    limit = phase.resources.cpu_limit
    given = Given(
        seconds=(_seconds(child.pod.created, now) or 0.0) + _SLACK_SECONDS,
        cores=quantity_cores(limit) if limit is not None else None,
        gpus=child.gpus if child.device is Device.GPU else 0,
    )
    match child.outcome:
        case Succeeded(result):
            return believed(result.usage, given)
        case Failed():
            # What was not finished is no music; the time for it has passed all the same.
            return replace(believed(child.outcome.usage, given), media_seconds=None)
        case Running():
            return Usage()


def _memory_ratio(outcome: Succeeded | Failed | Running, given: int | None) -> float | None:
    match outcome:
        case Succeeded(result):
            peak = result.peak_memory_bytes
        case Failed():
            peak = outcome.peak_memory_bytes
        case _:
            peak = None
    if not peak or not given or peak > _MOST_RATIO * given:
        return None
    return peak / given
