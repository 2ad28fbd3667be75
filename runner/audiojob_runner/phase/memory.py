"""Memory use of this container, and its OOM kills, from the cgroup."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
PROC_CGROUP: Final = Path("/proc/self/cgroup")


def peak_bytes() -> int:
    """The largest resident set of this process or of one that it waited for, in bytes."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(own, children) * 1024


def held_bytes(root: Path = CGROUP_ROOT, proc: Path = PROC_CGROUP) -> int | None:
    """Memory of all processes in this container now, in bytes, without the page cache; None where it cannot be told.

    The kernel's own peak counts cached file pages too: any phase that writes a large file would show its limit.
    """
    for folder, anonymous in _folders(root, proc):
        values = _read_pairs(folder / "memory.stat")
        if anonymous in values:
            return values[anonymous] + values.get("shmem", 0)
    return None


def oom_kills(root: Path = CGROUP_ROOT, proc: Path = PROC_CGROUP) -> int | None:
    """How many processes of this container the kernel killed for memory so far; None where it cannot be told."""
    for folder, _ in _folders(root, proc):
        for name in ("memory.events", "memory.oom_control"):
            values = _read_pairs(folder / name)
            if "oom_kill" in values:
                return values["oom_kill"]
    return None


def _folders(root: Path, proc: Path) -> list[tuple[Path, str]]:
    """This process's own control groups for memory, each with its name of anonymous memory; not the machine's root."""
    try:
        lines = proc.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found: list[tuple[Path, str]] = []
    for line in lines:
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not controllers:
            # In a container this is "/", and the mounted folder is the container's own; the machine's has no peak.
            folder = root / path.lstrip("/")
            if (folder / "memory.peak").exists() or (folder / "memory.events").exists():
                found.append((folder, "anon"))
        elif "memory" in controllers.split(","):
            # Version 1 names the machine's path even where a container mounts its own folder at the root.
            whole = root / "memory" / path.lstrip("/")
            if path != "/":
                found.append((whole if whole.is_dir() else root / "memory", "total_rss"))
    return found


def _read_pairs(path: Path) -> dict[str, int]:
    """A file of "name number" lines; empty where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
