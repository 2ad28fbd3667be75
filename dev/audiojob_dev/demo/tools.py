"""kubectl and helm, bound to one cluster and nothing else."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ToolError(RuntimeError):
    """A command ended badly; the message is its own last words."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster by name: ``context`` is always given to the tools, so that the current context never matters."""

    kubectl_path: str
    helm_path: str
    kubeconfig: Path | None
    context: str
    embedded: bool

    def _flags(self) -> list[str]:
        return [*(["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else [])]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it printed. Raises :class:`ToolError`."""
        return _run([self.kubectl_path, *self._flags(), "--context", self.context, *arguments], stdin)

    def helm(self, *arguments: str) -> str:
        """Run helm and return what it printed. Raises :class:`ToolError`."""
        return _run([self.helm_path, *self._flags(), "--kube-context", self.context, *arguments], None)

    def get(self, *arguments: str) -> dict[str, Any]:
        """``kubectl get … -o json`` as a document."""
        document: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return document

    @contextlib.contextmanager
    def port_forward(self, namespace: str, target: str, port: int) -> Iterator[int]:
        """Forward a free local port to ``port`` of ``target``; yields the local port."""
        command = [self.kubectl_path, *self._flags(), "--context", self.context, "-n", namespace]
        command += ["port-forward", target, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                yield _forwarded_port(process)
            finally:
                process.terminate()


def _forwarded_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:  # Forwarding from 127.0.0.1:41234 -> 8081
        if line.startswith("Forwarding from 127.0.0.1:"):
            return int(line.split(":", 1)[1].split(" ", 1)[0])
    raise ToolError("kubectl port-forward ended before it forwarded anything")


def _run(command: Sequence[str], stdin: str | None) -> str:
    done = subprocess.run(command, check=False, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        shown = [word for word in command if not word.startswith("--kube")]
        words = " ".join(shown[:7])
        raise ToolError(f"{words} …: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_until(what: str, deadline_seconds: float, probe: Any) -> Any:
    """Call ``probe`` until it returns something true; raises :class:`ToolError` naming ``what`` after the deadline."""
    end = time.monotonic() + deadline_seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise ToolError(f"{what} did not happen within {deadline_seconds:.0f} s")
        time.sleep(0.5)
