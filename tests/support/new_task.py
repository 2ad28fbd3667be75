"""A copy of the sources with one task more: its descriptor and its code, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DATA: Final = ROOT / "tests" / "data" / "new_task"
_PACKAGES: Final = (
    "crds/audiojob_types",
    "kube/audiojob_kube",
    "operator/audiojob_operator",
    "runner/audiojob_store",
    "runner/audiojob_runner",
)


@dataclass(frozen=True)
class Copy:
    """The copy. Its programs run in processes of their own, which find its packages before the installed ones."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> Copy:
        """Copy the sources, and add the task ReverseText."""
        for package in _PACKAGES:
            shutil.copytree(ROOT / package, root / package)
        shutil.copy(DATA / "descriptor.py", root / "crds/audiojob_types/tasks/reverse_text.py")
        shutil.copy(DATA / "code.py", root / "runner/audiojob_runner/tasks/reverse_text.py")
        return cls(root)

    def python(self, *arguments: str | Path) -> str:
        """Run Python on the copy; its standard output."""
        path = [str((self.root / package).parent) for package in _PACKAGES]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*path, str(ROOT)])}
        ended = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout
