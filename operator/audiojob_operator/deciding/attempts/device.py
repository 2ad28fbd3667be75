"""Where an attempt runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from audiojob_operator.records.observation import PhaseObservation
from audiojob_types.constants import GPU_RESOURCE
from audiojob_types.contract import Device
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseStatus
from audiojob_types.resources.pipeline import Phase


@dataclass(frozen=True, slots=True)
class GpuSupply:
    """GPUs that a job may use: granted by admission, of the kind ``resource``, and the most that one node offers.

    ``per_node`` is by resource. ``used`` of ``total`` are in use, for messages. ``managed``: Kueue decides when Jobs
    run, so all is granted.
    """

    granted: int
    per_node: Mapping[str, int]
    resource: str
    used: int = 0
    total: int = 0
    managed: bool = False

    def take(self, gpus: int) -> GpuSupply:
        """What is left after a phase took its GPUs."""
        return replace(self, granted=max(0, self.granted - gpus), used=self.used + gpus)

    def has(self, gpus: int, resource: str) -> bool:
        """Whether a phase may take so many now."""
        return self.managed or (self.resource == resource and self.granted >= gpus)


@dataclass(frozen=True, slots=True)
class Use:
    """The device of the next attempt, and why."""

    device: Device
    reason: Reason


@dataclass(frozen=True, slots=True)
class WaitForGpu:
    """The phase waits for GPUs, until then at most."""

    message: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """Where a phase is to run: ``wish`` is Auto, GPU or CPU, ``resource`` the kind of GPU."""

    wish: str
    phase: Phase
    resource: str


Choice: TypeAlias = Use | WaitForGpu


def choose_device(request: DeviceRequest, record: PhaseStatus, supply: GpuSupply, now: datetime) -> Choice:
    """The device of the next attempt.

    With Auto, a phase that has come to the CPU stays there: a GPU that failed it once would fail it again.
    """
    wish, phase, resource = request.wish, request.phase, request.resource
    if wish == "CPU":
        return Use(Device.CPU, Reason.DEVICE_REQUESTED)
    if wish == "Auto":
        if record.device is Device.CPU:
            return Use(Device.CPU, _kept_reason(record))
        if supply.per_node.get(resource, 0) < phase.gpus and not supply.managed:
            return Use(Device.CPU, Reason.NO_GPU_OFFERED)
    if supply.has(phase.gpus, resource):
        return Use(Device.GPU, Reason.DEVICE_REQUESTED if wish == "GPU" else Reason.GPU_OFFERED)
    if wish == "GPU":
        return WaitForGpu(_missing(request, supply), None)
    until = gpu_wait_end(phase, record, now)
    if now >= until:
        return Use(Device.CPU, Reason.GPU_WAIT_EXPIRED)
    return WaitForGpu(_missing(request, supply), until)


def gpu_wait_end(phase: Phase, record: PhaseStatus, now: datetime) -> datetime:
    """When a phase that may use the CPU stops waiting for a GPU; a wait for a worker counts."""
    return (record.gpu_wait_start_time or record.worker_wait_start_time or now) + timedelta(
        seconds=phase.gpu_wait_seconds
    )


def unscheduled_until(wish: str, phase: Phase, record: PhaseStatus, child: PhaseObservation) -> datetime | None:
    """Until when a GPU attempt may stand without a node before the CPU takes over; None if it does not wait for one."""
    pod = child.pod
    waits = pod is not None and pod.waiting is not None and pod.waiting.reason is Reason.UNSCHEDULABLE
    if wish != "Auto" or child.device is not Device.GPU or not waits or child.suspended:
        return None
    assert pod is not None
    # The wait began when the phase first asked for a GPU, be it by a pod or before.
    return (record.gpu_wait_start_time or pod.created) + timedelta(seconds=phase.gpu_wait_seconds)


def may_fall_back(wish: str, used: Device) -> bool:
    """Whether a GPU failure repeats the phase on the CPU instead of counting."""
    return wish == "Auto" and used is Device.GPU


def _kept_reason(record: PhaseStatus) -> Reason:
    known = (Reason.GPU_FAILED_BEFORE, Reason.GPU_WAIT_EXPIRED, Reason.NO_GPU_OFFERED)
    return next((reason for reason in known if reason == record.device_reason), Reason.GPU_FAILED_BEFORE)


def shortage(gpus: int, resource: str, use: tuple[int, int], offered: Mapping[str, int]) -> str:
    """What is needed and why it cannot be had: ``use`` is how many GPUs are in use of how many."""
    most, kind = offered.get(resource, 0), "" if resource == GPU_RESOURCE else f" of {resource}"
    if not most and not use[1]:
        others = ", ".join(sorted(offered)) or "no GPUs"
        return f"{gpus} of {resource}, which no Ready node offers (they offer {others})"
    if 0 < most < gpus:
        return f"{gpus}{kind} on one node, no Ready node offers more than {most}"
    return f"{gpus}{kind}, {use[0]} of {use[1]} GPUs are in use"


def _missing(request: DeviceRequest, supply: GpuSupply) -> str:
    phase, resource = request.phase, request.resource
    if supply.resource != resource and resource in supply.per_node:
        return f"Phase {phase.name} needs {phase.gpus} of {resource}, which it asks for after its other GPUs."
    use = (supply.used, supply.total)
    return f"Phase {phase.name} needs {shortage(phase.gpus, resource, use, supply.per_node)}."
