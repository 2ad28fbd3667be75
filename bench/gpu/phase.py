"""Separate's real ``phase`` command in a folder that stands for a pod, as a program or in a forked child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audiojob_runner.cli import main

MODEL: Final = "htdemucs"
_POD_UID: Final = "0a1b2c3d-0000-4000-8000-000000000001"
_KEY: Final = "bench/uploads/mix.wav"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a phase ended. ``seconds`` are from its start to its exit."""

    code: int
    reason: str | None
    seconds: float
    said: str

    def line(self) -> dict[str, Any]:
        """For the output; what it said only where it failed."""
        told = {} if self.code == 0 else {"reason": self.reason, "said": self.said[-400:]}
        return {"exitCode": self.code, "seconds": round(self.seconds, 2), **told}


class Pods:
    """One folder for each phase below ``root``, with one store and one folder of models."""

    def __init__(self, root: Path, song: Path, models: Path, device: str) -> None:
        self._root = root
        self._models = models
        self._device = device
        self._store = root / "store"
        mix = self._store / _KEY
        mix.parent.mkdir(parents=True)
        mix.hardlink_to(song)

    def as_program(self) -> Ended:
        """A process of its own from its first instruction, as a pod's."""
        pod = self._pod()
        command = [sys.executable, "-m", "audiojob_runner", "phase", "--root", str(pod)]

        def run(log: int) -> int:
            return subprocess.run(command, env=_environ(), stdout=log, stderr=log, check=False).returncode

        return self._ended(pod, run)

    def in_child(self) -> Ended:
        """A child of this process, which has the libraries in memory, as a worker's would be."""
        pod = self._pod()

        def run(log: int) -> int:
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    os.dup2(log, 1)
                    os.dup2(log, 2)
                    os.environ.update(_environ())
                    code = main(["phase", "--root", str(pod)])
                finally:
                    os._exit(code)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        return self._ended(pod, run)

    def _pod(self) -> Path:
        uid = str(uuid.uuid4())
        pod = self._root / uid
        for folder in ("dev", "etc/audiojob/store", "scratch", "work/inputs", "run/audiojob"):
            (pod / folder).mkdir(parents=True)
        (pod / "models").symlink_to(self._models)
        phase = {
            "job": "song",
            "namespace": "bench",
            "uid": uid,
            "phase": "separate",
            "attempt": 1,
            "task": "Separate",
            "device": self._device,
            "parameters": {"model": MODEL},
            "inputs": [{"name": "audio", "key": _KEY}],
            "outputPrefix": f"bench/{uid}/separate",
            "store": {"kind": "Folder", "root": str(self._store)},
        }
        (pod / "etc/audiojob/phase.json").write_text(json.dumps(phase), encoding="utf-8")
        return pod

    def _ended(self, pod: Path, run: Callable[[int], int]) -> Ended:
        with (pod / "log").open("w+b") as log:
            began = time.monotonic()
            code = run(log.fileno())
            seconds = time.monotonic() - began
            log.seek(0)
            said = log.read().decode(errors="replace")
        message = pod / "dev/termination-log"
        reason = json.loads(message.read_bytes()).get("reason") if message.exists() else None
        return Ended(code, reason, seconds, said)


def _environ() -> dict[str, str]:
    return os.environ | {"AUDIOJOB_POD_NAME": "song-separate-1-abcdef01-xyz12", "AUDIOJOB_POD_UID": _POD_UID}
