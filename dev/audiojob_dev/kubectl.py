"""The kubectl program against one kubeconfig and one context, never against the user's current one."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiojob_dev.errors import DevError


@dataclass(frozen=True, slots=True)
class Kubectl:
    """`kubeconfig` None leaves the choice of files to kubectl ($KUBECONFIG); the context is always named."""

    program: Path
    context: str
    kubeconfig: Path | None = None

    def __call__(self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 120) -> str:
        """Return kubectl's output (with its messages where `check` is off).

        Raises DevError with kubectl's own message where it fails, subprocess.TimeoutExpired after `timeout` seconds.
        """
        command = [str(self.program), f"--context={self.context}", *arguments]
        if self.kubeconfig:
            command.insert(1, f"--kubeconfig={self.kubeconfig}")
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise DevError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, *documents: dict[str, Any]) -> str:
        """Server-side apply of whole objects."""
        manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        return self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)

    def get(self, kind: str, name: str = "", namespace: str = "", selector: str = "") -> dict[str, Any]:
        """One object, or a List where no name is given."""
        options = [*(["-n", namespace] if namespace else []), *(["-l", selector] if selector else [])]
        found: dict[str, Any] = json.loads(self("get", kind, *([name] if name else []), *options, "-o", "json"))
        return found


def types_served(found: dict[str, Any]) -> bool:
    """Whether a CustomResourceDefinition, or all of a List, are served.

    Asked for rather than waited for by ``kubectl wait``, which fails on one that has no conditions yet.
    """
    types = found["items"] if found["kind"] == "List" else [found]
    conditions = [(each.get("status") or {}).get("conditions") or [] for each in types]
    return all(any((c["type"], c["status"]) == ("Established", "True") for c in each) for each in conditions)
