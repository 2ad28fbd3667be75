"""Reports how phases ended: to the AudioJobs' statuses, and what cannot go there into the termination message."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from audiojob_runner.phase import result as results
from audiojob_runner.phase.report import Answer, find_object, path_of_status
from audiojob_runner.settings import Paths
from audiojob_runner.worker.begun import may_be_taken_later
from audiojob_runner.worker.state import Ending
from audiojob_types.contract import MAX_RESULT_BYTES, PhaseResult
from audiojob_types.progress import MAX_REPORTED_BYTES
from audiojob_types.workers.order import ReportedEnd, UnreportedEnd, WorkerEnd

CALL_SECONDS: Final = 5.0  # nothing else is done meanwhile
FIRST_PAUSE_SECONDS: Final = 0.5
MOST_PAUSE_SECONDS: Final = 10.0
GIVE_UP_SECONDS: Final = 120.0
_HEAD_BYTES: Final = 400  # of a termination message, besides the ends
_EMPTY_BYTES: Final = 30  # of a result's empty lists, which its own encoding leaves out
_END_BYTES: Final = 160  # of an end, besides its result

_log = logging.getLogger(__name__)


def report_body(ending: Ending) -> dict[str, Any]:
    """The merge patch. The status wants attempt and percent of each entry, also where no progress was reported."""
    end = ReportedEnd(
        attempt=ending.told.attempt, exit_code=ending.exit_code, result=_cut(ending, MAX_REPORTED_BYTES - _END_BYTES)
    )
    percent = 0 if ending.exit_code else 100
    entry = {"attempt": ending.told.attempt, "percent": percent, "result": end.to_text()}
    return {"status": {"progress": {ending.told.phase: entry}}}


def send(ending: Ending, environ: Mapping[str, str], paths: Paths) -> Answer | None:
    """The API server's answer; None outside a cluster."""
    path = path_of_status(ending.told.namespace, ending.told.job)
    target = find_object(environ, paths, path, CALL_SECONDS)
    if target is None:
        return None
    try:
        return target.patch(report_body(ending))
    finally:
        target.close()  # a child must not inherit it


def after(ending: Ending, answer: Answer | None, now: float) -> Ending:
    """The ending once that was answered."""
    tries = ending.tries + 1
    if answer is not None and answer.status // 100 == 2:
        return replace(ending, tries=tries, settled=True, reported=True)
    if answer is None or not may_be_taken_later(answer) or now - ending.ended >= GIVE_UP_SECONDS:
        _log.warning("The end of %s is not reported: %s", ending.told.phase, _why(answer))
        return replace(ending, tries=tries, settled=True)
    pause = min(MOST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(ending.tries, 10))
    return replace(ending, tries=tries, due=now + max(pause, min(answer.retry_after, MOST_PAUSE_SECONDS)))


def last_words(message: str, phases: int, ended: Iterable[Ending]) -> bytes:
    """The termination message, within ``MAX_RESULT_BYTES``."""
    untold = [each for each in ended if not each.reported and not each.dropped]
    most = (MAX_RESULT_BYTES - _HEAD_BYTES) // max(1, len(untold)) - _END_BYTES
    end = WorkerEnd(
        message=message,
        phases=phases,
        unreported=tuple(
            UnreportedEnd(
                uid=each.told.uid,
                phase=each.told.phase,
                attempt=each.told.attempt,
                exit_code=each.exit_code,
                result=_cut(each, most),
            )
            for each in untold
        ),
    )
    return json.dumps(end.to_wire(), ensure_ascii=False, separators=(",", ":")).encode()


def leave(path: Path, content: bytes) -> None:
    """Write the termination message; a failure is printed."""
    try:
        with path.open("wb") as file:  # in a pod it is a single mounted file
            file.write(content)
    except OSError as error:
        sys.stderr.write(f"The termination message {path} cannot be written: {error.strerror or error}\n")


def _cut(ending: Ending, most: int) -> PhaseResult:
    return PhaseResult.read(results.encode(ending.result, most - _EMPTY_BYTES))


def _why(answer: Answer | None) -> str:
    return "there is no API server" if answer is None else f"{answer.status or 'no answer'}: {answer.detail}"
