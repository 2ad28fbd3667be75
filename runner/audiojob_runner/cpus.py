"""How many processors this process may use: libraries see the whole machine, a pod has a share of it."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
OMP_WAIT_POLICY: Final = "OMP_WAIT_POLICY"


def usable_cpus(root: Path = CGROUP_ROOT) -> int:
    """Whole processors within the pod's limit and affinity, at least 1."""
    available = len(os.sched_getaffinity(0))
    quota = _read_quota(root)
    return available if quota is None else max(1, min(available, int(quota)))


def wait_without_spinning(environ: MutableMapping[str, str]) -> None:
    """Let threads of a network that wait for one another sleep, unless the environment says otherwise.

    Those that spin take the processor from those that they wait for as soon as anything else runs, and use up a pod's
    CPU limit. OpenMP reads this once, when torch is imported.
    """
    environ.setdefault(OMP_WAIT_POLICY, "PASSIVE")


def parse_cpu_max(text: str) -> float | None:
    """Processors of cgroup v2's ``cpu.max`` ("150000 100000" is 1.5, "max 100000" is no limit)."""
    fields = text.split()
    if len(fields) != 2 or not all(field.isdigit() and int(field) > 0 for field in fields):
        return None
    return int(fields[0]) / int(fields[1])


def _read_quota(root: Path) -> float | None:
    try:
        return parse_cpu_max((root / "cpu.max").read_text())
    except OSError:
        pass
    try:
        folder = root / "cpu"
        return parse_cpu_max(
            f"{(folder / 'cpu.cfs_quota_us').read_text()} {(folder / 'cpu.cfs_period_us').read_text()}"
        )
    except OSError:
        return None
