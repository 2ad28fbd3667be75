from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiojob_runner.cpus import parse_cpu_max, usable_cpus, wait_without_spinning


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("150000 100000\n", 1.5), ("max 100000\n", None), ("-1\n 100000\n", None), ("100000 0", None),
        ("", None), ("100000", None), ("a b", None),
    ],
)  # fmt: skip
def test_quota(text: str, want: float | None) -> None:
    assert parse_cpu_max(text) == want


@pytest.mark.parametrize(
    ("files", "want"),
    [
        pytest.param({"cpu.max": "50000 100000"}, 1, id="half a processor is one thread"),
        pytest.param({"cpu.max": "199999 100000"}, 1, id="nearly two processors are one thread"),
        pytest.param({"cpu.max": "99900000 100000"}, None, id="more than there are"),
        pytest.param({"cpu.max": "max 100000"}, None, id="no limit"),
        pytest.param({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1, id="cgroup v1"),
        pytest.param({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None, id="v1, no limit"),
        pytest.param({}, None, id="no cgroup"),
    ],
)
def test_usable_processors(tmp_path: Path, files: dict[str, str], want: int | None) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert usable_cpus(tmp_path) == (want or len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("environ", "want"),
    [
        pytest.param({}, "PASSIVE", id="threads that wait for one another sleep"),
        pytest.param({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE", id="what the environment says is kept"),
    ],
)
def test_waiting(environ: dict[str, str], want: str) -> None:
    wait_without_spinning(environ)
    assert environ == {"OMP_WAIT_POLICY": want}
