from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.phase import usage
from audiojob_runner.phase.usage import Meter
from audiojob_runner.task import TaskOutput
from audiojob_types.progress import PhaseUsage


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

    assert usage.held_bytes(root, own) == held
    assert usage.oom_kills(root, own) == kills


def test_the_peak_of_this_process_is_in_bytes() -> None:
    assert 5_000_000 < usage.peak_bytes() < 500_000_000_000


# ---------------------------------------------------------------- the meter


def output(media_type: str, **metadata: Any) -> TaskOutput:
    return TaskOutput("out", Path("/scratch/out"), media_type, metadata)


def told(**used: Any) -> PhaseUsage:
    """The usage of a phase whose worker told that."""
    meter = Meter()
    meter.begin()
    meter.told(used)
    meter.end()
    return meter.usage()


def test_before_the_task_begins_nothing_is_said_of_it() -> None:
    taken = Meter().usage()
    assert (taken.work_milliseconds, taken.start_milliseconds, taken.media_milliseconds) == (None, None, None)
    assert (taken.read_bytes, taken.written_bytes, taken.gpu_peak_bytes) == (0, 0, None)


def test_the_work_is_what_lies_between_begin_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    meter = Meter()
    for moment, what in ((100.0, meter.begin), (101.0, meter.begin), (103.5, meter.end), (109.0, meter.end)):
        now[0] = moment
        what()
    assert meter.usage().work_milliseconds == 3_500


def test_what_a_task_wrote_itself_is_added_to_its_outputs() -> None:
    meter = Meter()
    meter.written_bytes += 100
    meter.told({"written_bytes": 20})
    meter.told({"written_bytes": 20})
    assert meter.usage().written_bytes == 120


LENGTHS = {
    "the longest output": ([output("audio/flac", durationSeconds=2), output("video/mp4", durationSeconds=3.5)], 3_500),
    "no output": ([], None),
    "a list of what is elsewhere": ([output("application/json", durationSeconds=900)], None),
    "sound of unknown length": ([output("audio/flac")], None),
    "words": ([output("audio/flac", durationSeconds="9")], None),
    "a truth": ([output("audio/flac", durationSeconds=True)], None),
    "less than nothing": ([output("audio/flac", durationSeconds=-1)], None),
    "no number": ([output("audio/flac", durationSeconds=float("nan"))], None),
    "more than a week": ([output("audio/flac", durationSeconds=604_801)], None),
}


@pytest.mark.parametrize(("outputs", "milliseconds"), LENGTHS.values(), ids=LENGTHS)
def test_the_sound_worked_on_is_as_long_as(outputs: list[TaskOutput], milliseconds: int | None) -> None:
    meter = Meter()
    meter.made(outputs)
    assert meter.usage().media_milliseconds == milliseconds


def test_a_task_that_tells_the_length_itself_is_believed_before_its_outputs() -> None:
    meter = Meter()
    meter.told({"media_seconds": 12.5})
    meter.made([output("audio/flac", durationSeconds=2)])
    assert meter.usage().media_milliseconds == 12_500


@pytest.mark.parametrize("value", [-1, 2**53 + 1, 10**18, float("nan"), 1e300, "1", None, [1], {}])
def test_a_worker_that_tells_nonsense_costs_no_result(value: Any) -> None:
    taken = told(gpu_peak_bytes=value, written_bytes=value, media_seconds=value)
    assert (taken.gpu_peak_bytes, taken.written_bytes, taken.media_milliseconds) == (None, 0, None)


def test_as_much_as_can_be_told_is_told() -> None:
    meter = Meter()
    meter.written_bytes = 1
    meter.told({"written_bytes": 2**53, "gpu_peak_bytes": 2**53})
    assert (meter.usage().written_bytes, meter.usage().gpu_peak_bytes) == (2**53, 2**53)


def test_of_a_program_in_another_container_only_bytes_are_known() -> None:
    meter = Meter(of_a_program=True)
    meter.begin()
    meter.read_bytes = 5
    assert meter.usage() == PhaseUsage(read_bytes=5, written_bytes=0)


def test_the_cpu_time_of_a_process_that_was_waited_for_counts() -> None:
    before = usage.cpu_seconds()
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert usage.cpu_seconds() - before >= 0.2


def test_a_process_knows_how_long_it_has_run() -> None:
    age = usage.seconds_since_start()
    assert age is not None
    assert 0 < age < 100_000


STATS = {
    "an absent file": None,
    "an empty file": "",
    "a name with a bracket and spaces, and nothing behind": "1 (a ) b) S 1",
    "words": f"1 (python) S {'x ' * 30}",
}


@pytest.mark.parametrize("content", STATS.values(), ids=STATS)
def test_when_it_started_is_not_known_from(tmp_path: Path, content: str | None) -> None:
    stat = tmp_path / "stat"
    if content is not None:
        stat.write_text(content, encoding="utf-8")
    assert usage.seconds_since_start(stat) is None


def test_a_name_with_brackets_does_not_hide_when_it_started(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(f"1 (a ) 1 2 (b) S {'0 ' * 18}0 7 7", encoding="utf-8")
    assert usage.seconds_since_start(tmp_path / "stat") is not None
