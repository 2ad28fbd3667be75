"""What ``serve`` and ``work`` say to each other.

By one connection, made once: ``serve`` sends what to prepare, and two sockets for each phase; ``work`` answers when
it is ready, and when nothing of a phase is left. By the first of a phase's sockets its supervisor describes the task,
which only the process that runs it reads. By the second one it sends the numbers of signals, and learns how that
process ended; once it closes it, the phase is over.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from audiojob_runner.phase.process import Death
from audiojob_runner.phase.worker import WorkerSpec
from audiojob_types.contract import Device, PhaseLimits, PhaseNetwork
from audiojob_types.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

PREPARE: Final = "prepare"  # to ``work``: the order's terms
PHASE: Final = "phase"  # to ``work``, with the phase's two sockets
READY: Final = "ready"  # from ``work``: after so many seconds
CLEAR: Final = "clear"  # from ``work``: whether nothing of the phase is left
_MOST_BYTES: Final = 64 * 1024
_MOST_DESCRIPTORS: Final = 8


def send(connection: socket.socket, record: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """One message. Raises :class:`OSError` where nobody reads any more."""
    socket.send_fds(connection, [json.dumps(record).encode()], descriptors)


def receive(connection: socket.socket) -> tuple[dict[str, Any] | None, list[socket.socket]]:
    """One message, with the sockets that came along; None at the other side's end."""
    try:
        content, descriptors, _, _ = socket.recv_fds(connection, _MOST_BYTES, _MOST_DESCRIPTORS)
    except ConnectionError:
        return None, []
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for each in sockets:
        each.set_inheritable(False)
    return (json.loads(content) if content else None), sockets


def spec_to_json(spec: WorkerSpec) -> str:
    """One line. What only tasks use that no worker serves is left out."""
    return json.dumps(
        {
            "task": spec.task.value,
            "parameters": spec.parameters.model_dump(mode="json", by_alias=True),
            "models_root": str(spec.models_root),
            "device": spec.device.value,
            "limits": spec.limits.to_wire(),
            "network": spec.network.to_wire(),
            "attempt": spec.attempt,
            "job_uid": spec.job_uid,
            "log_level": spec.log_level,
        }
    )


def spec_from_json(line: bytes) -> WorkerSpec:
    """What that line describes."""
    record = json.loads(line)
    task = Task(record["task"])
    return WorkerSpec(
        task=task,
        parameters=task.descriptor.parameters.read(record["parameters"]),
        models_root=Path(record["models_root"]),
        device=Device(record["device"]),
        limits=PhaseLimits.read(record["limits"]),
        network=PhaseNetwork.read(record["network"]),
        attempt=record["attempt"],
        job_uid=record["job_uid"],
        log_level=record["log_level"],
    )


def death_to_json(death: Death) -> bytes:
    """One message."""
    return json.dumps(asdict(death)).encode()


def death_from_json(content: bytes) -> Death:
    """What that message says."""
    return Death(**json.loads(content))


@contextmanager
def short_path(folder: Path, name: str) -> Iterator[str]:
    """A path of that name in the folder that is short enough for a socket, however deep the folder lies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
