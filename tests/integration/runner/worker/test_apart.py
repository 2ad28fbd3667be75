"""What one phase leaves reaches no other: no text, no file, no process, no descriptor, no memory."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from tests.integration.runner.pods import is_alive
from tests.integration.runner.worker.conftest import WorkerPod

pytestmark = pytest.mark.integration

CANARY = "yellowbird8c1f"
PHASES = 60


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
    assert not is_alive(int((rogue / f"{first['uid']}.away").read_text()))
    assert list((worker.pod.root / "scratch").iterdir()) == []


def test_many_phases_leave_the_worker_as_it_was(worker: WorkerPod) -> None:
    worker.terms["maxPhases"] = PHASES
    worker.start_rogue()
    for number in range(PHASES):
        worker.tell(*(worker.phase(each) for each in range(number, min(number + 2, PHASES))))
        worker.ends(number + 1)

    notes = [line.split() for line in (worker.pod.root / "rogue/worker").read_text().splitlines()]
    assert len(notes) == PHASES
    assert {descriptors for descriptors, _ in notes} == {notes[0][0]}
    kilobytes = [int(memory) for _, memory in notes]
    early, late = statistics.median(kilobytes[10:30]), statistics.median(kilobytes[-20:])
    assert late <= early * 1.05, (early, late)
