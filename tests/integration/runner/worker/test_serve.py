"""A worker told by a file, as the kubelet shows it, that reports to a server in the place of the API server's."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.pods import Running, eventually, is_alive
from tests.integration.runner.stores import StoreFolder
from tests.integration.runner.worker.conftest import WorkerPod

from audiojob_types.contract import ExitCode
from audiojob_types.workers.order import WorkerEnd

pytestmark = pytest.mark.integration

LONG: dict[str, Any] = {"durationMilliseconds": 120_000}


def begins(running: Running, job: str) -> None:
    words = f"{job}: phase work, attempt 1 begins"
    eventually(lambda: running.log.exists() and words in running.log.read_text(), f"{job} begins")


def its_child(running: Running) -> int:
    """The process of the phase that has begun, or of its task, once it is there."""
    (found,) = eventually(lambda: children_of(running), "a phase is at work")
    return int(found)


def children_of(running: Running) -> list[int]:
    return [pid for pid in running.descendants() if _parent_of(pid) == running.process.pid]


def _parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def last_words(worker: WorkerPod) -> WorkerEnd:
    return WorkerEnd.read((worker.pod.root / "dev/termination-log").read_bytes())


def test_phase_after_phase_is_run_and_reported_until_it_is_to_drain(worker: WorkerPod) -> None:
    worker.tell(worker.phase(1), worker.phase(2, exitCode=75))
    running = worker.start()
    assert worker.ends(2) == [("song-1", 0), ("song-2", 75)]

    worker.tell(worker.phase(3, task="Download"), worker.phase(1))
    assert worker.ends(3)[2:] == [("song-3", 64)], "a task that the pool does not serve"
    assert "serves Simulate, not Download" in worker.server.ends[2][2]["result"]["message"]
    worker.put('{"pool":')
    eventually(lambda: "is not valid" in running.log.read_text(), "a file that is not valid is told")
    worker.tell(worker.phase(4))
    worker.ends(4)
    worker.tell(worker.phase(1), drain=True)
    ended = running.wait()

    assert ended.code == 0, ended.stderr
    assert worker.ends(5)[3:] == [("song-4", 0), ("song-1", 0)], "told again: reported again"
    assert ended.stderr.count("song-1: phase work, attempt 1 begins") == 1, "and not run again"
    assert (last_words(worker).phases, last_words(worker).unreported) == (4, ())
    assert list((worker.pod.root / "scratch").rglob("*")) == [worker.room]
    assert worker.work.wait().code == 0, "it ends with serve"
    assert worker.server.progress == [], "a short phase makes two writes: that it begins, and its result"
    manifest = worker.server.ends[0][2]["result"]["manifest"]["key"]
    assert (Path(worker.pod.store["root"]) / manifest).exists()


def test_one_that_is_taken_back_ends_unreported_also_where_it_hangs(worker: WorkerPod) -> None:
    worker.tell(worker.phase(1, **LONG), graceSeconds=1)
    running = worker.start()
    begins(running, "song-1")
    first = its_child(running)
    worker.tell(worker.phase(2, **LONG), graceSeconds=1)
    eventually(lambda: not is_alive(first), "the phase that is told no more ends")
    begins(running, "song-2")
    second = its_child(running)
    os.kill(second, signal.SIGSTOP)
    worker.tell(worker.phase(3), graceSeconds=1)

    assert worker.ends(1) == [("song-3", 0)]
    assert not is_alive(second)
    assert "did not obey within its grace" in running.log.read_text()


def test_a_crash_costs_only_its_phase(worker: WorkerPod) -> None:
    worker.tell(worker.phase(1, **LONG))
    running = worker.start()
    its_task = its_child(worker.work)
    begins(running, "song-1")
    os.kill(its_child(running), signal.SIGSEGV)
    worker.tell(worker.phase(1, **LONG), worker.phase(2))

    assert worker.ends(2) == [("song-1", 139), ("song-2", 0)]
    assert "SIGSEGV" in worker.server.ends[0][2]["result"]["message"]
    assert not is_alive(its_task)


def test_a_task_that_crashes_in_c_costs_only_its_phase(worker: WorkerPod) -> None:
    worker.tell(worker.phase(1, **LONG), worker.phase(2))
    worker.start()
    os.kill(its_child(worker.work), signal.SIGSEGV)

    assert worker.ends(2) == [("song-1", 75), ("song-2", 0)]
    assert "crashed with signal SIGSEGV" in worker.server.ends[0][2]["result"]["message"]


def test_once_work_is_gone_serve_ends_and_leaves_the_phases_end_to_the_pods_status(worker: WorkerPod) -> None:
    worker.tell(worker.phase(1), worker.phase(2, **LONG))
    running = worker.start()
    worker.ends(1)
    worker.tell(worker.phase(2, **LONG), worker.phase(3))
    begins(running, "song-2")
    worker.work.process.kill()
    ended = running.wait(20)

    assert ended.code == ExitCode.TEMPORARY, ended.stderr
    words = last_words(worker)
    assert words.message == ("The container work has ended while phase work of demo/song-2, attempt 1, was at work.")
    assert words.unreported == ()
    assert worker.ends(1) == [("song-1", 0)]


def test_stopped_it_ends_its_phase_reports_it_and_ends_with_143(worker: WorkerPod) -> None:
    worker.tell(worker.phase(1, **LONG))
    running = worker.start()
    begins(running, "song-1")
    its_child(worker.work)
    running.stop()
    ended = running.wait(20)

    assert ended.code == ExitCode.STOPPED, ended.stderr
    assert worker.ends(1) == [("song-1", ExitCode.STOPPED)]
    assert last_words(worker).unreported == ()


def test_a_report_is_repeated_while_it_is_refused_and_else_is_in_the_last_words(worker: WorkerPod) -> None:
    seen: list[str] = []

    def answering(job: str, _entry: object) -> int:
        seen.append(job)
        return 404 if job == "song-2" else 403 if seen.count("song-1") == 1 else 200

    worker.server.answering = answering
    worker.tell(worker.phase(1), worker.phase(2), drain=True)
    ended = worker.start().wait()

    assert ended.code == 0, ended.stderr
    assert worker.ends(1) == [("song-1", 0)]
    assert sorted(seen) == ["song-1", "song-1", "song-2"]
    (unreported,) = last_words(worker).unreported
    assert (unreported.uid, unreported.attempt, unreported.exit_code) == (worker.phase(2)["uid"], 1, 0)
    assert unreported.result.manifest is not None


def test_nothing_runs_before_the_operators_record_agrees(worker: WorkerPod) -> None:
    codes = {"song-1": [403, 503, 200], "song-2": [404], "song-3": [403] * 100}
    worker.server.beginning = lambda job: codes[job].pop(0)
    worker.tell(worker.phase(1), worker.phase(2))
    running = worker.start()

    assert worker.ends(2) == [("song-1", 0), ("song-2", ExitCode.STOPPED)]
    assert codes == {"song-1": [], "song-2": [], "song-3": [403] * 100}
    worker.tell(worker.phase(3))
    eventually(lambda: len(codes["song-3"]) < 99, "it asks again")
    worker.tell(drain=True)
    assert running.wait(20).code == 0
    assert len(list(Path(worker.pod.store["root"]).rglob("manifest.json"))) == 1


@pytest.mark.parametrize("terms", [{"idleSeconds": 1}, {"maxPhases": 1, "idleSeconds": 600}, {"maxAgeSeconds": 1}])
def test_it_ends_by_itself(worker: WorkerPod, terms: dict[str, int]) -> None:
    worker.tell(worker.phase(1), **terms)
    ended = worker.start().wait(20)

    assert ended.code == 0, ended.stderr
    assert worker.ends(1) == [("song-1", 0)]


def test_inputs_of_the_phase_to_come_are_fetched_while_another_works_and_out_of_its_sight(worker: WorkerPod) -> None:
    song = Path(worker.pod.store["root"]) / "demo/uploads/song.bin"
    song.parent.mkdir(parents=True)
    song.write_bytes(b"the song")
    first, second, third = worker.phase(1, **LONG), worker.phase(2, **LONG), worker.phase(3)
    for phase in (second, third):
        phase["inputs"] = [{"name": "song", "key": "demo/uploads/song.bin"}]
    worker.tell(first, second)
    running = worker.start()
    scratch = worker.pod.root / "scratch"
    seconds = eventually(lambda: fetched(scratch), "the input is fetched")
    assert not list(worker.room.rglob("song.bin"))
    worker.tell(first, third)
    eventually(lambda: fetched(scratch) - seconds, "that of the other one is fetched")
    song.write_bytes(b"another song, longer")
    worker.tell(third)

    assert worker.ends(1) == [("song-3", 0)], running.log.read_text()
    assert worker.server.begun == ["song-1", "song-3"], "what is only fetched has not begun"
    assert worker.server.ends[0][2]["result"]["usage"]["read"] == len(b"the song")
    assert list(scratch.rglob("*")) == [worker.room]


def fetched(scratch: Path) -> set[Path]:
    """The inputs that are fetched ahead as a whole."""
    return {path for path in scratch.glob("phase-*/ahead/0/song.bin") if path.read_bytes() == b"the song"}


def test_one_that_fills_the_scratch_volume_says_so_and_leaves_it_empty(worker: WorkerPod) -> None:
    root = worker.pod.root
    script = (
        f'mount -t tmpfs -o size=8m tmpfs "{root}/scratch"; "$1" -m audiojob_runner work --root "{root}" & "$@"; wait'
    )
    worker.pod.wrapper = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")
    large: Any = {"outputBytes": 20 * 1024 * 1024}
    worker.tell(worker.phase(1, **large), worker.phase(2, outputBytes=5 * 1024 * 1024), drain=True)
    running = worker.pod.start(entry="serve")
    worker.begun.append(running)

    assert worker.ends(2) == [("song-1", ExitCode.DISK_FULL), ("song-2", 0)]
    assert worker.server.ends[0][2]["result"]["reason"] == "DiskFull", "its result is kept in memory"
    assert running.wait().code == 0


def test_a_bucket_is_read_ahead_and_written_by_serve_alone(
    worker_with_bucket: WorkerPod, s3_store: StoreFolder
) -> None:
    worker = worker_with_bucket
    song = s3_store.root / "demo/uploads/song.bin"
    song.parent.mkdir(parents=True)
    song.write_bytes(b"the song")
    first, second = worker.phase(1, **LONG), worker.phase(2)
    second["inputs"] = [{"name": "song", "key": "demo/uploads/song.bin"}]
    worker.tell(first, second)
    running = worker.start()
    eventually(lambda: fetched(worker.pod.root / "scratch"), "the input is fetched")
    worker.tell(second, drain=True)

    assert worker.ends(1) == [("song-2", 0)], running.log.read_text()
    assert (s3_store.root / worker.server.ends[0][2]["result"]["manifest"]["key"]).exists()
    assert (running.wait().code, worker.work.wait().code) == (0, 0)
