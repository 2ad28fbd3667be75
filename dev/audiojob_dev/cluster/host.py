"""What a node changes on this machine, and how it is put back: address, forwarding, rules, cgroups, mounts.

Every change can be undone by name alone, so that a crashed cluster is cleaned up without knowing how far it got.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from audiojob_dev.cluster.controlplane import POD_RANGE
from audiojob_dev.cluster.node import BRIDGE
from audiojob_dev.errors import DevError
from audiojob_dev.tools.packages import program

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_CAP_SYS_RESOURCE = 24
# kube-proxy --cleanup leaves this one, empty.
_LEFT_CHAIN = "KUBE-FIREWALL"
_MOUNTS = Path("/proc/self/mounts")
_COMMENT = ["-m", "comment", "--comment", "audiojob embedded cluster"]
# -w waits for the lock that kube-proxy takes too.
_RULES: tuple[tuple[str, str, Sequence[str]], ...] = (
    ("nat", "POSTROUTING", ["-s", POD_RANGE, "!", "-d", POD_RANGE, *_COMMENT, "-j", "MASQUERADE"]),
    ("filter", "FORWARD", ["-s", POD_RANGE, *_COMMENT, "-j", "ACCEPT"]),
    ("filter", "FORWARD", ["-d", POD_RANGE, *_COMMENT, "-j", "ACCEPT"]),
)


def may_lower_oom_score(status: str) -> bool:
    """Whether `/proc/self/status` (its text) shows CAP_SYS_RESOURCE, without which runc cannot protect a pod."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def has_name_servers(resolv_conf: str) -> bool:
    return any(line.split()[:1] == ["nameserver"] for line in resolv_conf.splitlines())


def _run(name: str, *arguments: str, check: bool = True) -> bool:
    path = program(name)
    if path is None:
        if check:
            raise DevError(f"{name} is not on PATH.")
        return False
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise DevError(f"{name} {' '.join(arguments)}: {done.stderr.strip()}")
    return done.returncode == 0


def run_quietly(name: str, *arguments: str) -> bool:
    """Run a program whose failure changes nothing for us; returns whether it succeeded."""
    return _run(name, *arguments, check=False)


def forwarding_is_off() -> bool:
    return _FORWARDING.read_text().strip() == "0"


def has_service_rules() -> bool:
    """Whether some kube-proxy has been at work here (`down` removes what ours made)."""
    return _run("iptables", "-w", "-t", "nat", "-S", "KUBE-SERVICES", check=False)


def has_rules_of_ours() -> bool:
    """Whether an embedded cluster let its pods out here, and was not taken down."""
    return any(_run("iptables", "-w", "-t", table, "-C", chain, *rule, check=False) for table, chain, rule in _RULES)


def forget_service_rules(kube_proxy: Path) -> None:
    """Remove what a kube-proxy that runs no longer has made, by this program of its kind."""
    if kube_proxy.exists():
        run_quietly(str(kube_proxy), "--cleanup")


def prepare_network(address: str) -> None:
    """Give the loopback the node's address and let pods out."""
    _run("ip", "address", "replace", f"{address}/32", "dev", "lo")
    _FORWARDING.write_text("1")
    if not _BRIDGE_FILTER.exists():
        # Without it, answers of a Service's pod to another pod bypass the address translation.
        _run("modprobe", "br_netfilter", check=False)
    if not _BRIDGE_FILTER.exists():
        raise DevError("the kernel lacks br_netfilter, which Services between pods need: modprobe br_netfilter")
    _BRIDGE_FILTER.write_text("1")
    for table, chain, rule in _RULES:
        if not _run("iptables", "-w", "-t", table, "-C", chain, *rule, check=False):
            _run("iptables", "-w", "-t", table, "-I", chain, *rule)


def restore_network(address: str, *, turn_forwarding_off: bool) -> None:
    for table, chain, rule in _RULES:
        while _run("iptables", "-w", "-t", table, "-D", chain, *rule, check=False):
            pass
    for chain in ("INPUT", "OUTPUT"):
        _run("iptables", "-w", "-t", "filter", "-D", chain, "-j", _LEFT_CHAIN, check=False)
    _run("iptables", "-w", "-t", "filter", "-X", _LEFT_CHAIN, check=False)
    _run("ip", "link", "delete", BRIDGE, check=False)
    _run("ip", "address", "delete", f"{address}/32", "dev", "lo", check=False)
    if turn_forwarding_off:
        _FORWARDING.write_text("0")


def _hierarchies(*types: str) -> list[Path]:
    """The mounted cgroup roots: one for each controller of version 1, one of version 2, or both kinds."""
    mounts = [line.split() for line in _MOUNTS.read_text(errors="surrogateescape").splitlines()]
    return [Path(fields[1]) for fields in mounts if fields[2] in types]


def prepare_cgroups(name: str) -> None:
    """Make the cgroup that holds all pods in every hierarchy."""
    for root in _hierarchies("cgroup") or _hierarchies("cgroup2"):
        folder = root / name.lstrip("/")
        control = root / "cgroup.subtree_control"
        if control.exists():
            for controller in (root / "cgroup.controllers").read_text().split():
                with suppress(OSError):
                    control.write_text(f"+{controller}")
        folder.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            # Version 1 starts empty, and an empty set takes no process.
            if (root / "cgroup.procs").exists() and not control.exists() and (folder / file).exists():
                (folder / file).write_text((root / file).read_text())


def remove_cgroups(name: str) -> None:
    """Kill every process inside and remove the folders, innermost first."""
    deadline = time.monotonic() + 15
    places = [root / name.lstrip("/") for root in _hierarchies("cgroup", "cgroup2")]
    while folders := [folder for folder in places if folder.exists()]:
        for folder in folders:
            _kill(folder)
            for inner, _, _ in os.walk(folder, topdown=False):
                with suppress(OSError):
                    Path(inner).rmdir()
        if time.monotonic() > deadline:
            raise DevError(f"cgroup {name} cannot be removed: {', '.join(map(str, folders))} still hold processes.")
        time.sleep(0.05)


def _kill(folder: Path) -> None:
    for inner, _, _ in os.walk(folder):
        with suppress(OSError):
            for pid in (Path(inner) / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


def mounts_below(mounts: str, folder: Path) -> list[str]:
    """Mount points below `folder` in `/proc/self/mounts` (its text), innermost first.

    The kernel writes them without symbolic links, and white space as octal numbers.
    """
    start = f"{folder.resolve()}/"
    points = [
        re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split(" ")[1]) for line in mounts.splitlines()
    ]
    return sorted((point for point in points if point.startswith(start)), key=len, reverse=True)


def unmount_idle(folder: Path) -> None:
    """Unmount what nobody uses below `folder`; what is busy stays."""
    for point in _mounted_below(folder):
        _run("umount", point, check=False)


def unmount_below(folders: Iterable[Path]) -> None:
    """Unmount everything below the folders, so that they can be removed.

    Raises DevError where a mount is left: whoever removed the folder would remove what is mounted there.
    """
    for folder in folders:
        for point in _mounted_below(folder):
            if not _run("umount", point, check=False):
                # Something still holds it open: detach it now, the kernel frees it later.
                _run("umount", "--lazy", point)
        left = _mounted_below(folder)
        if left:
            raise DevError(f"still mounted below {folder}: {', '.join(left)}")


def _mounted_below(folder: Path) -> list[str]:
    # A name may hold any bytes.
    return mounts_below(_MOUNTS.read_text(errors="surrogateescape"), folder)
