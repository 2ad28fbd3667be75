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
# By Debian's release: the server, its client's library, and what a lean machine lacks of what they load.
_SERVER = (
    "libxml2",
    "liblz4-1",
    "libzstd1",
    "libgssapi-krb5-2",
    "libkrb5-3",
    "libk5crypto3",
    "libkrb5support0",
    "libpq5",
)
POSTGRESQL = {
    "12": ("postgresql-15", "postgresql-client-15", "libicu72", "libldap-2.5-0", "libsasl2-2", *_SERVER),
    "13": ("postgresql-17", "postgresql-client-17", "libicu76", "libldap2", "libsasl2-2", *_SERVER),
}
_RELEASE = Path("/etc/os-release")


def prometheus(paths: Paths, progress: Progress) -> Path:
    """The folder that holds Prometheus' files as from `/`; fetched where it is missing. Raises DevError."""
    return _fetched(paths, progress, "Prometheus", PROMETHEUS, without=[_SOURCES])


def postgresql(paths: Paths, progress: Progress, release: Path = _RELEASE, root: Path = Path("/")) -> Path:
    """The folder of PostgreSQL's programs: as installed on this machine, else fetched. Raises DevError."""
    if (installed := _newest_server(root)) is not None:
        return installed
    found = dict(line.split("=", 1) for line in release.read_text().splitlines() if "=" in line)
    packages = POSTGRESQL.get(found.get("VERSION_ID", "").strip('"')) if found.get("ID") == "debian" else None
    if packages is None:
        raise DevError("PostgreSQL is needed and not installed; its packages are fetched on Debian 12 and 13 alone.")
    programs = _newest_server(_fetched(paths, progress, "PostgreSQL", packages))
    if programs is None:
        raise DevError(f"Debian's packages {' '.join(packages)} hold no PostgreSQL server.")
    return programs


def _newest_server(root: Path) -> Path | None:
    found = [each.parent for each in (root / "usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


def _fetched(paths: Paths, progress: Progress, name: str, packages: Sequence[str], without: Sequence[str] = ()) -> Path:
    target = paths.cache / name.lower()
    if not target.exists():
        with (
            progress.step(f"{name}, from Debian's packages"),
            locked(target.with_suffix(".lock"), seconds=_LOCK_SECONDS, holder=f"another download of {name}"),
        ):
            if not target.exists():
                unpack(packages, target, without=without)
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
