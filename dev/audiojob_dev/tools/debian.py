"""Debian's packages, unpacked into a folder: nothing is installed, no service starts, and no root is needed.

apt checks what it downloads by Debian's signatures. No version is pinned, as a mirror keeps only the newest of a suite.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from audiojob_dev.errors import DevError
from audiojob_dev.paths import Paths
from audiojob_dev.progress import Progress
from audiojob_dev.tools.locks import locked

_LOCK_SECONDS = 900.0
# The second line is what its pages for people load.
PROMETHEUS = (
    "prometheus",
    *("fonts-glyphicons-halflings", "libjs-bootstrap4", "libjs-d3", "libjs-eonasdan-bootstrap-datetimepicker"),
    *("libjs-jquery", "libjs-jquery-hotkeys", "libjs-moment", "libjs-moment-timezone", "libjs-mustache"),
    *("libjs-popper.js", "libjs-rickshaw"),
)
_SOURCES = "usr/share/javascript/moment-timezone/data"  # 200 MB that nothing loads


def prometheus(paths: Paths, progress: Progress) -> Path:
    """The folder that holds Prometheus' files as from `/`; fetched where it is missing. Raises DevError."""
    target = paths.cache / "prometheus"
    if not target.exists():
        with (
            progress.step("Prometheus, from Debian's packages"),
            locked(target.with_suffix(".lock"), seconds=_LOCK_SECONDS, holder="another download of Prometheus"),
        ):
            if not target.exists():
                unpack(PROMETHEUS, target, without=[_SOURCES])
    return target


def unpack(packages: Sequence[str], target: Path, without: Sequence[str] = ()) -> None:
    """Download the packages and unpack them together as `target`, which is there only when it is whole.

    `without` are folders to leave out. Raises DevError with apt's words.
    """
    listed = " ".join(packages)
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise DevError(f"Debian's packages {listed} are needed, and this machine has no apt-get.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        folder = Path(scratch)
        done = _run(["apt-get", "-qq", "download", *packages], folder)
        if done.returncode:
            # An old list, or none: refreshed only then, it costs seconds. Without root this fails, as the next does.
            _run(["apt-get", "-qq", "update"], folder)
            done = _run(["apt-get", "-qq", "download", *packages], folder)
        if done.returncode:
            raise DevError(f"cannot download Debian's packages {listed}: {done.stdout.strip()[-800:]}")
        for file in sorted(folder.glob("*.deb")):
            done = _run(["dpkg-deb", "-x", str(file), str(folder / "root")], folder)
            if done.returncode:
                raise DevError(f"cannot unpack {file.name}: {done.stdout.strip()[-800:]}")
        for name in without:
            shutil.rmtree(folder / "root" / name, ignore_errors=True)
        (folder / "root").rename(target)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
