"""Packages of npm for tests, as a folder below `dev/node` pins them; nothing of them is shipped."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from audiojob_dev.errors import DevError
from audiojob_dev.paths import Paths, repository
from audiojob_dev.tools.locks import locked

NODE_MINIMUM = 20
_SECONDS = 600.0


def node() -> str:
    """The path of Node.js. Raises DevError where there is none, or an old one, or npm is missing."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        raise DevError(f"Node.js {NODE_MINIMUM} or later and npm are needed (Debian 13: apt-get install nodejs npm).")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if (version := re.match(r"v(\d+)\.", said)) is None or int(version[1]) < NODE_MINIMUM:
        raise DevError(f"Node.js {NODE_MINIMUM} or later is needed; {program} is {said or 'broken'}.")
    return program


def ensure(paths: Paths, name: str) -> Path:
    """A copy of `dev/node/<name>` with its packages beside it, made once. Raises DevError with npm's words."""
    node()
    source = repository() / "dev" / "node" / name
    files = sorted(path for path in source.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in files)).hexdigest()
    target = paths.cache / "npm" / f"{name}-{digest[:12]}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_suffix(".lock"), seconds=_SECONDS, holder=f"another installation of {name}"):
        if not target.exists():
            _install(files, target)
    return target


def _install(files: list[Path], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        folder = Path(scratch) / "whole"
        folder.mkdir()
        for file in files:
            shutil.copy(file, folder)
        # The lock has a hash of each package; none of them may run anything here.
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DevError(f"npm cannot install {target.name}: {done.stderr.strip()[-800:]}")
        folder.rename(target)
