"""Where an attempt runs."""

from __future__ import annotations

from audiojob_types.contract import Device
from audiojob_types.job import PhaseStatus


def choose_device(wish: str, record: PhaseStatus, *, gpu_offered: bool) -> Device:
    """The device of the next attempt. ``wish`` is Auto, GPU or CPU.

    With Auto, a phase that has come to the CPU stays there: a GPU that failed it once would fail it again.
    """
    if wish != "Auto":
        return Device(wish)
    stays = record.device is Device.CPU
    return Device.GPU if gpu_offered and not stays else Device.CPU


def may_fall_back(wish: str, used: Device) -> bool:
    """Whether a GPU failure repeats the phase on the CPU instead of counting."""
    return wish == "Auto" and used is Device.GPU
