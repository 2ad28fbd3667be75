"""Orders that are read, results that are found, and what is said of them; no process."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.runner.worker.test_deciding import A, B

from audiojob_runner.phase import result as results
from audiojob_runner.phase.report import Answer
from audiojob_runner.worker.ending import ending_of, read_result
from audiojob_runner.worker.reporting import after, last_words, report_body
from audiojob_runner.worker.state import Ending
from audiojob_runner.worker.told.reading import Unreadable, parse
from audiojob_types.contract import MAX_RESULT_BYTES, ManifestRef, Outcome, OutputRef, PhaseResult
from audiojob_types.progress import MAX_REPORTED_BYTES
from audiojob_types.workers.order import ReportedEnd, WorkerEnd, WorkOrder

LONG = PhaseResult(
    outcome=Outcome.SUCCEEDED,
    manifest=ManifestRef(key="k" * 200, sha256="0" * 64, count=12),
    outputs=tuple(OutputRef(name=f"o{n}" * 20, media_type="audio/flac", bytes=1, sha256="1" * 64) for n in range(12)),
    warnings=("w" * 250,) * 8,
)
ENDED = Ending(A, 0, LONG, ended=100.0, due=100.0)
PHASE = {
    "job": "song", "namespace": "demo", "uid": "u1", "phase": "work", "attempt": 1, "task": "Simulate",
    "outputPrefix": "demo/u1/work",
}  # fmt: skip


def test_a_report_fits_into_a_status() -> None:
    entry = report_body(ENDED)["status"]["progress"]["work"]

    end = ReportedEnd.read(entry["result"])
    assert (entry["attempt"], entry["percent"], end.exit_code) == (1, 100, 0)
    assert len(entry["result"].encode()) <= MAX_REPORTED_BYTES
    assert end.result.manifest == LONG.manifest


ANSWERS = {
    "taken": (200, 0.0, True, True),
    "not bound yet": (403, 0.0, False, False),
    "no answer": (0, 0.0, False, False),
    "too many requests": (429, 0.0, False, False),
    "a server in trouble": (503, 0.0, False, False),
    "trouble for two minutes": (503, 120.0, True, False),
    "the AudioJob is gone": (404, 0.0, True, False),
    "not valid": (422, 0.0, True, False),
}


@pytest.mark.parametrize(("status", "passed", "settled", "reported"), ANSWERS.values(), ids=ANSWERS.keys())
def test_what_follows_from_an_answer(status: int, passed: float, settled: bool, reported: bool) -> None:
    now = 100.0 + passed
    changed = after(ENDED, Answer(status, {}), now)

    assert (changed.settled, changed.reported, changed.tries) == (settled, reported, 1)
    assert settled or now < changed.due <= now + 10


def test_what_could_not_be_reported_is_said_last_and_nothing_else() -> None:
    known = replace(ENDED, reported=True)
    unwanted = replace(ENDED, told=A.model_copy(update={"uid": "uc"}), dropped=True)
    unknown = replace(ENDED, told=B)

    words = last_words("The worker was stopped.", 7, (known, unwanted, unknown, replace(ENDED, told=A)))

    assert len(words) <= MAX_RESULT_BYTES
    end = WorkerEnd.read(words)
    assert (end.message, end.phases) == ("The worker was stopped.", 7)
    assert [each.uid for each in end.unreported] == ["ub", "ua"]
    assert all(each.result.manifest == LONG.manifest for each in end.unreported)


ENDINGS: dict[str, tuple[int, PhaseResult | None, int, Outcome]] = {
    "a result and code 0": (0, LONG, 0, Outcome.SUCCEEDED),
    "code 0 and no result": (0, None, 75, Outcome.FAILED),
    "its own failure": (79 << 8, PhaseResult(outcome=Outcome.FAILED, reason="GPUError"), 79, Outcome.FAILED),
    "a crash after its success was written": (signal.SIGSEGV, LONG, 139, Outcome.FAILED),
    "killed": (signal.SIGKILL, None, 137, Outcome.FAILED),
}


@pytest.mark.parametrize(("status", "left", "code", "outcome"), ENDINGS.values(), ids=ENDINGS.keys())
def test_how_a_process_ended(status: int, left: PhaseResult | None, code: int, outcome: Outcome) -> None:
    exit_code, made = ending_of(status, left)
    assert (exit_code, made.outcome) == (code, outcome)


def test_only_a_small_valid_file_is_a_result() -> None:
    file = os.memfd_create("result")
    assert read_result(file) is None
    results.write(Path(f"/proc/self/fd/{file}"), LONG)
    found = read_result(file)
    assert found is not None
    assert found.manifest == LONG.manifest
    os.pwrite(file, b" " * MAX_RESULT_BYTES + b'{"outcome":"Failed"}', 0)
    assert read_result(file) is None
    os.close(file)
    assert read_result(file) is None


BAD_ORDERS: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "the file: Invalid JSON"),
    "no pool": ({"tasks": ["Simulate"]}, "pool: Field required"),
    "no tasks": ({"pool": "songs", "tasks": []}, "tasks: Tuple should have at least 1 item"),
    "an unknown task": ({"pool": "songs", "tasks": ["Nothing"]}, "tasks.0: "),
    "three phases": ({"pool": "songs", "tasks": ["Simulate"], "told": [PHASE | {"uid": f"u{n}"} for n in range(3)]},
                     "told: Tuple should have at most 2 items"),
    "two of one AudioJob": ({"pool": "songs", "tasks": ["Simulate"], "told": [PHASE, PHASE | {"phase": "next"}]},
                            "the file: told must not name two phases of one AudioJob"),
    "too large": ({"pool": "songs", "tasks": ["Simulate"], "padding": "x" * 204_800}, "larger than 204800 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "why"), BAD_ORDERS.values(), ids=BAD_ORDERS.keys())
def test_an_order_that_is_not_valid_says_where(content: Any, why: str) -> None:
    found = parse((content if isinstance(content, str) else json.dumps(content)).encode())
    assert isinstance(found, Unreadable)
    assert why in found.why


def test_an_order_of_a_newer_operator_is_read() -> None:
    told = [PHASE | {"newer": 1}]
    found = parse(json.dumps({"pool": "songs", "tasks": ["Simulate"], "newer": True, "told": told}).encode())
    assert isinstance(found, WorkOrder)
    assert found.told[0].uid == "u1"
