"""The operator as a process of its own, as it runs in a pod."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support import forks

PROGRAM = "audiojob_operator"


class OperatorProcess:
    """``python -m audiojob_operator``, killed at the end if it still runs. Its log is appended to ``log``.

    It is forked from a process that has imported it (tests/support/forks.py), unless ``module`` is given: that is
    started in an interpreter of its own, for measurements, other sources and other entries to the program.
    A setting that is None is left out.
    """

    def __init__(
        self,
        kubeconfig: Path,
        namespaces: Iterable[str],
        log: Path,
        module: str | None = None,
        **settings: str | None,
    ) -> None:
        self._log = log
        self._module = module
        environment: dict[str, str | None] = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AUDIOJOB_")},
            "AUDIOJOB_KUBECONFIG": str(kubeconfig),
            "AUDIOJOB_JOB_NAMESPACES": json.dumps(list(namespaces)),
            "AUDIOJOB_IMAGES__RUNNER": "audiojob/runner:test",
            "AUDIOJOB_IMAGES__RUNNER_TORCH": "audiojob/runner-torch:test",
            "AUDIOJOB_IMAGES__RUNNER_MUSIC": "audiojob/runner-music:test",
            "AUDIOJOB_LEASE__NAMESPACE": "default",
            "AUDIOJOB_LEASE__IDENTITY": "test",  # a successor takes over at once, as a restarted container does
            "AUDIOJOB_LISTEN_ADDRESS": "127.0.0.1",
            "AUDIOJOB_LISTEN_PORT": "0",
            "AUDIOJOB_LOG_FORMAT": "text",
            **settings,
        }
        self._environment = {name: value for name, value in environment.items() if value is not None}
        self._process: subprocess.Popen[bytes] | forks.Fork | None = None

    def __enter__(self) -> OperatorProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Process id; it must run."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; it must not run already."""
        assert self._process is None
        if self._module is None:
            self._process = forks.start(forks.Program(PROGRAM), self._environment, self._log)
            return
        command = [sys.executable, "-m", self._module]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def send(self, number: signal.Signals) -> None:
        """Signal the process, if it runs."""
        process = self._process
        if process is not None:
            process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Wait for its end and return the exit status. Raises subprocess.TimeoutExpired."""
        assert self._process is not None
        status = self._process.wait(seconds)
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def story(self) -> str:
        """The last lines of its log, for a failed assertion."""
        return "\n" + self._log.read_text(errors="replace")[-6_000:]
