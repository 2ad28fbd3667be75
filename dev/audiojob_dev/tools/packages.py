"""Programs that come from the system: found on PATH, installed by apt where we may, else named in one error."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from audiojob_dev.errors import DevError

# Administrators' folders are often missing from a user's PATH.
_SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


@dataclass(frozen=True, slots=True)
class Requirement:
    """A program (or an absolute path to a file) and the Debian package that brings it."""

    program: str
    package: str


NODE_REQUIREMENTS = (
    Requirement("containerd", "containerd"),
    Requirement("ctr", "containerd"),
    Requirement("runc", "runc"),
    Requirement("/usr/lib/cni/bridge", "containernetworking-plugins"),
    Requirement("iptables", "iptables"),
    Requirement("conntrack", "conntrack"),
    Requirement("ip", "iproute2"),
    Requirement("mount", "mount"),
)
IMAGE_REQUIREMENTS = (
    Requirement("buildah", "buildah"),
    Requirement("debootstrap", "debootstrap"),
    Requirement("skopeo", "skopeo"),
)
# The tests run tasks on this machine too, and cut their music with it.
TEST_REQUIREMENTS = (
    Requirement("ffmpeg", "ffmpeg"),
    Requirement("ffprobe", "ffmpeg"),
    Requirement("curl", "curl"),  # of the lines in docs/api.md, which a test runs
    Requirement("jq", "jq"),
    Requirement("espeak-ng", "espeak-ng"),  # the voice of Align, and the program of examples/speak
    Requirement("pdffonts", "poppler-utils"),  # reads the PDF of a score by other people's code
    Requirement("pdftotext", "poppler-utils"),
    # Fonts of Render.
    Requirement("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", "fonts-noto-cjk"),
    Requirement("/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf", "fonts-noto-core"),
)
DEMO_REQUIREMENTS = (Requirement("curl", "curl"),)
# Answers to the question whether a package's configuration file replaces a changed one.
_KEEP_CONFIGURATION = ("--force-confdef", "--force-confold")
# apt's words for a dpkg that was killed; it refuses everything until `dpkg --configure -a` has run.
_DPKG_INTERRUPTED = "dpkg was interrupted"


def program(name: str) -> str | None:
    """Path of a program on PATH or in the administrators' folders."""
    return shutil.which(name, path=_SEARCH)


def _present(requirement: Requirement) -> bool:
    if requirement.program.startswith("/"):
        return Path(requirement.program).exists()
    return program(requirement.program) is not None


def missing_packages(
    requirements: Iterable[Requirement], present: Callable[[Requirement], bool] = _present
) -> list[str]:
    """Debian packages of what is not there, sorted, each once."""
    return sorted({item.package for item in requirements if not present(item)})


def may_install(user_id: int, apt: str | None) -> bool:
    return user_id == 0 and apt is not None


def ensure(requirements: Iterable[Requirement], *, announce: Callable[[str], None]) -> None:
    """Install what is missing, or raise DevError with the command to run.

    `announce` is told the packages before apt starts.
    """
    wanted = tuple(requirements)
    packages = missing_packages(wanted)
    if not packages:
        return
    apt = shutil.which("apt-get")
    listed = " ".join(packages)
    if not may_install(os.geteuid(), apt):
        raise DevError(f"missing system packages: {listed}. Install them as root: apt-get install -y {listed}")
    announce(listed)
    install(packages)
    left = missing_packages(wanted)
    if left:
        raise DevError(f"apt-get installed {listed}, but {' '.join(left)} still lacks its programs.")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run without a terminal to ask at; standard error goes into `stdout`, untranslated."""
    return subprocess.run(
        command,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def install(packages: list[str], run: Callable[[list[str]], subprocess.CompletedProcess[str]] = _run) -> None:
    """`apt-get install` that asks nothing: configuration files that somebody changed stay as they are.

    Raises DevError with the end of apt's output.
    """
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    keep = [part for choice in _KEEP_CONFIGURATION for part in ("-o", f"Dpkg::Options::={choice}")]
    command = ["apt-get", *wait, *keep, "install", "-y", "--no-install-recommends", *packages]
    done = run(command)
    if not done.returncode:
        return
    # apt goes on only after an installation that was cut short is finished.
    if _DPKG_INTERRUPTED in done.stdout:
        run(["dpkg", *_KEEP_CONFIGURATION, "--configure", "-a"])
    # An old package list names files that the mirror no longer has: refresh it only then, it costs seconds.
    run(["apt-get", *wait, "update"])
    done = run(command)
    if done.returncode:
        raise DevError(f"apt-get could not install {' '.join(packages)}:\n{done.stdout[-1500:]}")
