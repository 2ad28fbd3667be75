"""What one phase leaves reaches no other: no text, no file, no process, no descriptor, no memory."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from tests.integration.runner.pods import Running
from tests.integration.runner.worker.apiserver import TOKEN
from tests.integration.runner.worker.conftest import WorkerPod

pytestmark = pytest.mark.integration

CANARY = "yellowbird8c1f"
PHASES = 24


def test_nothing_of_a_job_is_in_the_next_ones_process_files_log_or_descriptors(worker: WorkerPod) -> None:
    running = worker.start_rogue()
    rogue = worker.pod.root / "rogue"
    first, second = worker.phase(1), worker.phase(2)
    first["inputs"] = [{"name": "words", "text": CANARY}]
    (rogue / first["uid"]).write_text("plant fork_away")
    (rogue / second["uid"]).write_text("look")
    worker.tell(first, second)

    assert worker.ends(2) == [("song-1", 0), ("song-2", 0)], running.log.read_text()
    store = Path(worker.pod.store["root"])
    texts = [
        "".join(path.read_text() for path in (store / "demo" / job["uid"]).rglob("*/log/*")) for job in (first, second)
    ]
    assert CANARY in texts[0], "the first one's log has it"
    assert "Published" in texts[1]
    assert CANARY not in texts[1]
    seen = (rogue / f"{second['uid']}.seen").read_text()
    assert "TMPDIR=" in seen
    assert CANARY not in seen
    memory = (rogue / f"{second['uid']}.memory").read_bytes()
    assert second["uid"].encode() in memory
    assert CANARY.encode() not in memory
    assert (rogue / f"{first['uid']}.away").exists()
    assert running_below(worker.work) == 1, "work itself"
    assert list((worker.pod.root / "scratch").rglob("*")) == [worker.room]


def running_below(work: Running) -> int:
    """How many processes there are in the container."""
    return len(work.descendants())


def test_code_that_has_taken_over_a_task_reaches_nothing_but_its_own_phase(worker: WorkerPod) -> None:
    running = worker.start_rogue()
    rogue = worker.pod.root / "rogue"
    jobs = [worker.phase(number) for number in range(1, 6)]
    for job, tricks in zip(jobs, ("take_over", "look", "steal", "crash", ""), strict=True):
        (rogue / job["uid"]).write_text(tricks)
    for number in range(4):
        worker.tell(jobs[number], jobs[number + 1])
        worker.ends(number + 1)

    assert worker.ends(5) == [("song-1", 0), ("song-2", 0), ("song-3", 75), ("song-4", 75), ("song-5", 0)]
    assert json.loads((rogue / f"{jobs[0]['uid']}.tried").read_text()) == {
        "the token": "ENOENT",
        "the store": "ENOENT",
        "what the worker is told": "ENOENT",
        "the supervisor's folder": "nothing there",
        "the parent's memory": "EACCES",
        "the parent's descriptors": "EACCES",
        "the parent's trace": "EPERM",
        "a descriptor of the parent": "EPERM",
        "the socket of work": "ENOENT",
        "its sockets": "SOCK_STREAM",
    }
    results = [entry["result"] for _, _, entry in worker.server.ends]
    assert results[0]["manifest"], "the forged result is nowhere"
    assert "work.sock" not in (rogue / f"{jobs[1]['uid']}.seen").read_text(), "what listened there is gone"
    assert not (rogue / "somebody-came").exists()
    assert "cannot be published" in results[2]["message"]
    assert "SIGSEGV" in results[3]["message"]
    written = [path.read_bytes() for path in Path(worker.pod.store["root"]).rglob("*") if path.is_file()]
    assert not [content for content in written if TOKEN.encode() in content]
    worker.tell(drain=True)
    assert (running.wait().code, worker.work.wait().code) == (0, 0)


def test_many_phases_leave_the_worker_as_it_was(worker: WorkerPod) -> None:
    worker.terms["maxPhases"] = PHASES
    worker.start_rogue()
    for number in range(PHASES):
        worker.tell(*(worker.phase(each) for each in range(number, min(number + 2, PHASES))))
        worker.ends(number + 1)

    for container in ("serve", "work"):
        notes = [line.split() for line in (worker.pod.root / "rogue" / container).read_text().splitlines()]
        assert len(notes) == PHASES
        descriptors = [int(opened) for opened, _ in notes]
        assert max(descriptors) - min(descriptors) <= 4, "there are two more while a phase is at work"
        kilobytes = [int(memory) for _, memory in notes]
        early, late = statistics.median(kilobytes[4:12]), statistics.median(kilobytes[-8:])
        assert late <= early * 1.05, (container, early, late)
