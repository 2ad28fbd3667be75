"""The base image by debootstrap, where no registry is at hand, under the name that the Dockerfile asks for."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from audiojob_dev.cluster import host
from audiojob_dev.errors import DevError
from audiojob_dev.images.buildah import Buildah
from audiojob_dev.paths import Paths
from audiojob_dev.progress import Progress
from audiojob_dev.tools import packages, processes
from audiojob_dev.tools.versions import DEBIAN_SUITE

REFERENCE = f"docker.io/library/debian:{DEBIAN_SUITE}-slim"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
_DOCKERFILE = """FROM scratch
COPY . /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["bash"]
"""
# Only readers at a terminal would miss these.
_LEFT_OUT = ("usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists", "var/cache/apt")


def mirror(texts: list[str]) -> str:
    """The first Debian mirror in apt's source files (one-line or deb822), else the public one."""
    for text in texts:
        for line in text.splitlines():
            found = re.match(r"(?:deb\s+(?:\[[^\]]*\]\s+)?|URIs:\s*)(\S+/debian/?)(?:\s|$)", line)
            if found:
                return found[1].rstrip("/")
    return DEFAULT_MIRROR


def _machine_mirror() -> str:
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    return mirror([place.read_text(errors="replace") for place in places if place.is_file()])


def sources_list(debian: str) -> str:
    """apt's sources.list for the suite with updates and security from one mirror."""
    security = "http://deb.debian.org/debian-security" if debian == DEFAULT_MIRROR else f"{debian}-security"
    return (
        f"deb {debian} {DEBIAN_SUITE} main\n"
        f"deb {debian} {DEBIAN_SUITE}-updates main\n"
        f"deb {security} {DEBIAN_SUITE}-security main\n"
    )


def apt_sources(paths: Paths) -> Path | None:
    """A sources.list to mount while an image is built; None where the public mirror in the image will do."""
    chosen = _machine_mirror()
    if chosen == DEFAULT_MIRROR:
        return None
    file = paths.cache / "apt-sources.list"
    file.write_text(sources_list(chosen))
    return file


def ensure(paths: Paths, buildah: Buildah, progress: Progress) -> None:
    """Make the base image once. The product names the public mirror only, whatever mirror it was made from."""
    if buildah.has(REFERENCE):
        return
    with progress.step("base image"):
        folder = fresh_folder(paths.cache / "base")
        _bootstrap(folder)
        host.unmount_below([folder])
        _slim(folder)
        buildah.from_folder(folder, REFERENCE, _DOCKERFILE)
        shutil.rmtree(folder, ignore_errors=True)


def fresh_folder(base: Path) -> Path:
    """An empty folder below `base`, shared with nobody; what earlier bootstraps left beside it goes if it can.

    A bootstrap whose command was killed may have programs that write on: what they hold is left to a later call.
    """
    base.mkdir(parents=True, exist_ok=True)
    for old in base.iterdir():
        with suppress(DevError):
            host.unmount_below([old])  # a debootstrap that was killed leaves /proc mounted there
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="root-", dir=base))
    folder.chmod(0o755)  # it becomes the image's root, which users other than root enter
    return folder


def _bootstrap(folder: Path) -> None:
    command = [packages.program("debootstrap") or "debootstrap", "--variant=minbase", DEBIAN_SUITE, str(folder)]
    done = subprocess.run(
        processes.dying_with_parent([*command, _machine_mirror()]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DevError(f"debootstrap failed:\n{done.stdout[-1500:]}{done.stderr[-500:]}")


def _slim(folder: Path) -> None:
    """Leave out documentation but for licences, package lists, and what was copied from this machine."""
    for place in _LEFT_OUT:
        shutil.rmtree(folder / place, ignore_errors=True)
        (folder / place).mkdir(parents=True)
    for file in (folder / "usr/share/doc").rglob("*"):
        if file.name != "copyright" and (file.is_file() or file.is_symlink()):
            file.unlink()
    for name in ("etc/hostname", "etc/resolv.conf"):
        (folder / name).unlink(missing_ok=True)
    (folder / "etc/apt/sources.list").write_text(sources_list(DEFAULT_MIRROR))
