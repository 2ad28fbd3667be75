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
    Requirement("espeak-ng", "espeak-ng"),  # the program of examples/speak
)
DEMO_REQUIREMENTS = (Requirement("curl", "curl"),)


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
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    install = ["apt-get", *wait, "install", "-y", "--no-install-recommends", *packages]
    # An installation that was cut short is finished first. An old package list names files that the mirror no longer
    # has: refresh it only then, it costs seconds.
    if _run(install, environment).returncode:
        _run(["dpkg", "--configure", "-a"], environment)
        _run(["apt-get", *wait, "update"], environment)
        done = _run(install, environment)
        if done.returncode:
            raise DevError(f"apt-get could not install {listed}:\n{done.stdout[-1500:]}")
    left = missing_packages(wanted)
    if left:
        raise DevError(f"apt-get installed {listed}, but {' '.join(left)} still lacks its programs.")


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
