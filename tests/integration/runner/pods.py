"""Phase processes without a cluster: the contract's files in a folder, the real command, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.runner.stores import StoreFolder
from tests.support import forks

from audiojob_types.contract import PhaseResult

RUNNER = forks.Program("audiojob_runner", ("audiojob_runner.cli",))
POD_UID = "0a1b2c3d-0000-4000-8000-000000000001"
NAMESPACE = "demo"
JOB_UID = "5f1e0000-0000-4000-8000-00000000000a"


def eventually(check: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Wait until ``check`` is true and return its value, else fail naming ``what``."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


@dataclass(frozen=True)
class Ended:
    """How a phase process ended. ``message`` is the raw termination message, None if there is none."""

    code: int
    message: bytes | None
    stderr: str
    seconds: float

    @property
    def result(self) -> PhaseResult:
        """The termination message, which must be valid and small."""
        assert self.message is not None, self.stderr
        assert len(self.message) <= 3_500
        return PhaseResult.model_validate_json(self.message)


@dataclass
class Running:
    """A phase process that runs."""

    process: subprocess.Popen[bytes] | forks.Fork
    termination_file: Path
    log: Path
    began: float

    def wait(self, seconds: float = 60.0) -> Ended:
        """Its end, which must come in time."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the phase did not end within {seconds} s:\n{self.log.read_text()}") from None
        message = self.termination_file.read_bytes() if self.termination_file.exists() else None
        return Ended(code, message, self.log.read_text(encoding="utf-8"), time.monotonic() - self.began)

    def stop(self) -> None:
        """As the kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    def descendants(self) -> set[int]:
        """The processes that it has started, and theirs."""
        found: set[int] = set()
        todo = [self.process.pid]
        while todo:
            for child in _children(todo.pop()):
                found.add(child)
                todo.append(child)
        return found


@dataclass
class PodFolder:
    """A root folder with the contract's paths, and a store for its phase."""

    root: Path
    store: dict[str, Any]
    environ: dict[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for folder in ("dev", "etc/audiojob/store", "models", "scratch", "work/inputs", "run/audiojob"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    @property
    def phase_file(self) -> Path:
        return self.root / "etc/audiojob/phase.json"

    def write_phase(self, task: str = "Simulate", parameters: dict[str, Any] | None = None, **fields: Any) -> None:
        """The phase file; ``fields`` are members of PhaseInput in their wire form."""
        phase = {
            "job": "song",
            "namespace": NAMESPACE,
            "uid": JOB_UID,
            "phase": "work",
            "attempt": 1,
            "task": task,
            "parameters": parameters or {},
            "outputPrefix": f"{NAMESPACE}/{JOB_UID}/work",
            "store": self.store,
        }
        self.phase_file.write_text(json.dumps(phase | fields), encoding="utf-8")

    def start(self, pod_uid: str = POD_UID, entry: str = "phase") -> Running:
        """Start an entry point of the pod with nothing in its environment but the contract's variables."""
        termination_file = self.root / "dev/termination-log"
        termination_file.unlink(missing_ok=True)
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),  # the code under test, where it is not the installed one
            "AUDIOJOB_POD_NAME": "song-work-1-abcdef01-xyz12",
            "AUDIOJOB_POD_UID": pod_uid,
        }
        environ |= self.environ
        environ = {name: value for name, value in environ.items() if value}
        arguments = [entry, "--root", str(self.root)]
        log = self.root.parent / f"{self.root.name}-{uuid.uuid4().hex}.log"
        began = time.monotonic()
        if not self.wrapper and not any(name.startswith("PYTHON") for name in self.environ):
            return Running(forks.start(RUNNER, environ, log, arguments, self.root), termination_file, log, began)
        command = [*self.wrapper, sys.executable, "-m", RUNNER.module, *arguments]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.root
            )
        return Running(process, termination_file, log, began)

    def run(self, pod_uid: str = POD_UID, seconds: float = 60.0, entry: str = "phase") -> Ended:
        """Start and wait."""
        return self.start(pod_uid, entry).wait(seconds)


def make_pod(root: Path, store: StoreFolder) -> PodFolder:
    """A pod on that store, with its credentials."""
    pod = PodFolder(root, store.config)
    for name, value in store.credentials.items():
        (root / "etc/audiojob/store" / name).write_text(value + "\n", encoding="utf-8")
    return pod


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from (int(child) for child in task.read_text(encoding="utf-8").split())
        except OSError:
            continue
