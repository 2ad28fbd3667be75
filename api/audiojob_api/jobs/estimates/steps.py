"""A pipeline's phases as steps with their time, and what they come to together. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from audiojob_api.jobs.statistics.work import Work, Works
from audiojob_types.contract import Device
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase

Asked = Literal["Auto", "GPU", "CPU"]
_CORES: Final = re.compile(r"^(?P<number>[0-9]+(\.[0-9]+)?)(?P<milli>m?)$")


@dataclass(frozen=True, slots=True)
class Step:
    """A phase as it would run. ``seconds`` is None where it never ran, 0 where its work is done already."""

    name: str
    device: Device
    seconds: float | None
    runs: int
    """From how many the time is known."""
    cores: float
    gpus: int
    reused_from: str | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """Of all steps: from the first one's start to the last one's end, and what they hold meanwhile."""

    seconds: float
    cpu_seconds: float
    gpu_seconds: float


def steps_of(
    pipeline: AudioPipelineSpec, works: Works, minutes: float | None, asked: Asked | None, reused: Mapping[str, str]
) -> list[Step]:
    """Every phase. ``asked`` is the device that the job names; ``reused`` whose work stands for which phase's."""
    return [_step(phase, works, minutes, asked, reused.get(phase.name)) for phase in pipeline.phases]


def total_of(pipeline: AudioPipelineSpec, steps: Iterable[Step]) -> Total | None:
    """Along the longest way through the phases, some of which run side by side. None where one never ran."""
    ends: dict[str, float] = {}
    cpu = gpu = 0.0
    for (phase, before), step in zip(waits(pipeline), steps, strict=True):
        if step.seconds is None:
            return None
        ends[phase.name] = step.seconds + max((ends[name] for name in before if name in ends), default=0.0)
        cpu += step.seconds * step.cores
        gpu += step.seconds * step.gpus
    return Total(max(ends.values(), default=0.0), cpu, gpu)


def waits(pipeline: AudioPipelineSpec) -> Iterable[tuple[Phase, frozenset[str]]]:
    """Each phase with those that it waits for."""
    last: tuple[str, ...] = ()
    for phase in pipeline.phases:
        after = last if phase.after is None else phase.after
        yield phase, frozenset({*after, *(each.from_ for each in phase.inputs)} - {"Job"})
        last = (phase.name,)


def _step(phase: Phase, works: Works, minutes: float | None, asked: Asked | None, donor: str | None) -> Step:
    device, work = _device(phase, works, asked)
    cores = 0.0 if (found := _CORES.match(phase.resources.cpu)) is None else float(found["number"])
    cores = cores / 1_000 if found is not None and found["milli"] else cores
    seconds = 0.0 if donor is not None else work.seconds_for(minutes)
    return Step(phase.name, device, seconds, work.runs, cores, phase.gpus if device is Device.GPU else 0, donor)


def _device(phase: Phase, works: Works, asked: Asked | None) -> tuple[Device, Work]:
    """Where it would run: what must be, else where it ran most often. Of a device without runs, the other one's."""
    runs = {device: works.get((phase.name, device), Work()) for device in Device}
    most = max(Device, key=lambda device: runs[device].runs)
    word = "CPU" if phase.device == "CPU" else asked or phase.device
    wanted = Device(word) if word != "Auto" else most if runs[most].runs else Device.CPU
    return wanted, runs[wanted] if runs[wanted].runs else runs[most]
