from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_runner.phase import memory


def lay_out(root: Path, proc: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Control group files below a folder; the folder and the process's own file."""
    cgroups = root / "cgroup"
    cgroups.mkdir()
    for name, content in files.items():
        path = cgroups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    own = root / "own"
    own.write_text(proc, encoding="utf-8")
    return cgroups, own


@pytest.mark.parametrize(
    ("proc", "files", "held", "kills"),
    [
        pytest.param(
            "0::/\n",
            {"memory.stat": "anon 500\nfile 9000\nshmem 7\n", "memory.events": "oom 3\noom_kill 2\n"},
            507,
            2,
            id="version 2 in a container",
        ),
        pytest.param(
            "0::/pod/x\n",
            {"pod/x/memory.stat": "anon 4\n", "pod/x/memory.events": "oom_kill 0\n", "memory.stat": "anon 9\n"},
            4,
            0,
            id="version 2 seen from the machine",
        ),
        pytest.param("0::/\n", {"memory.stat": "anon 500\n"}, None, None, id="version 2, the machine's own root"),
        pytest.param(
            "12:memory:/kubepods/pod1\n11:cpu,cpuacct:/x\n",
            {"memory/memory.stat": "total_rss 600\ncache 5\n", "memory/memory.oom_control": "oom_kill 1\n"},
            600,
            1,
            id="version 1 in a container, which sees the machine's path",
        ),
        pytest.param(
            "12:memory:/\n",
            {"memory/memory.stat": "total_rss 600\n"},
            None,
            None,
            id="version 1, the machine's own root",
        ),
        pytest.param("", {}, None, None, id="no control groups"),
        pytest.param("what is this", {}, None, None, id="nothing that can be read"),
    ],
)
def test_memory_of_the_container(
    tmp_path: Path, proc: str, files: dict[str, str], held: int | None, kills: int | None
) -> None:
    root, own = lay_out(tmp_path, proc, files)

    assert memory.held_bytes(root, own) == held
    assert memory.oom_kills(root, own) == kills


def test_the_peak_of_this_process_is_in_bytes() -> None:
    assert 5_000_000 < memory.peak_bytes() < 500_000_000_000
