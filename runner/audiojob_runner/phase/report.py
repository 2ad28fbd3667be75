"""Reports progress to the AudioJob's status, for display only. It never fails or delays the work."""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from audiojob_runner.phase.progress import Progress
from audiojob_runner.settings import ENV_API_HOST, ENV_API_PORT, Paths
from audiojob_types.base import format_time
from audiojob_types.constants import GROUP, MANAGER_RUNNER, VERSION
from audiojob_types.contract import PhaseInput
from audiojob_types.outside.headers import retry_after_seconds
from audiojob_types.progress import overall_percent

MIN_SECONDS: Final = 1.0
# A slow API server is a busy one: at most a twentieth of the time is spent in calls.
SHARE_OF_CALLS: Final = 20
REFUSED_SECONDS: Final = 60.0
FAILED_SECONDS: Final = 5.0
CALL_SECONDS: Final = 10.0
MAX_PAUSE_SECONDS: Final = 600.0
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said. ``body`` is the object after the write, empty unless ``status`` is 2xx.

    ``status`` is 0 where there was no answer, then ``detail`` says why. ``retry_after`` is in seconds.
    """

    status: int
    body: Mapping[str, Any]
    detail: str = ""
    retry_after: float = 0.0


class Target(Protocol):
    """Where reports go."""

    def patch(self, body: Mapping[str, Any]) -> Answer:
        """Merge ``body`` into the object. Never raises."""


class ApiServerTarget:
    """One object, reached by its path with the pod's own token, which is read anew each time: it expires."""

    def __init__(
        self, host: str, port: int, service_account: Path, path: str, call_seconds: float = CALL_SECONDS
    ) -> None:
        self._token_file = service_account / "token"
        context = ssl.create_default_context(cafile=str(service_account / "ca.crt"))
        self._connection = http.client.HTTPSConnection(host, port, timeout=call_seconds, context=context)
        self._path = f"{path}?fieldManager={MANAGER_RUNNER}"

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._connection.close()

    def patch(self, body: Mapping[str, Any]) -> Answer:
        """See :class:`Target`."""
        try:
            token = self._token_file.read_text(encoding="ascii").strip()
            headers = {
                "Accept": "application/json",
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/merge-patch+json",
                "User-Agent": MANAGER_RUNNER,
            }
            self._connection.request("PATCH", self._path, body=json.dumps(body).encode(), headers=headers)
            response = self._connection.getresponse()
            content = response.read(MAX_ANSWER_BYTES)
            if not response.isclosed():
                self._connection.close()
            answer = json.loads(content) if response.status // 100 == 2 else {}
            return Answer(
                response.status,
                answer if isinstance(answer, dict) else {},
                content[:300].decode("utf-8", "replace"),
                _seconds(response.getheader("Retry-After")),
            )
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._connection.close()
            return Answer(0, {}, f"{type(error).__name__}: {error}")


def find_target(environ: Mapping[str, str], paths: Paths, phase_input: PhaseInput) -> ApiServerTarget | None:
    """The status of the phase's AudioJob, or None outside a cluster."""
    return find_object(environ, paths, path_of_status(phase_input.namespace, phase_input.job))


def path_of_status(namespace: str, job: str) -> str:
    """Where the API server has the status of that AudioJob."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/audiojobs/{job}/status"


def find_object(
    environ: Mapping[str, str], paths: Paths, path: str, call_seconds: float = CALL_SECONDS
) -> ApiServerTarget | None:
    """An object of the API server that started this pod, or None outside a cluster."""
    host, port = environ.get(ENV_API_HOST, ""), environ.get(ENV_API_PORT, "")
    folder = paths.service_account
    if not host or not port.isdecimal() or not (folder / "token").is_file():
        return None
    try:
        return ApiServerTarget(host, int(port), folder, path, call_seconds)
    except (OSError, ssl.SSLError) as error:
        _log.warning("No progress is reported: %s cannot be used: %s", folder / "ca.crt", error)
        return None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an answer: how long to pause, whether to send the same again, whether to stop for good."""

    pause: float
    again: bool = False
    silent: bool = False


def judge(answer: Answer, call_seconds: float, interval: float, refused_for: float) -> Verdict:
    """What to do after ``answer``, which took ``call_seconds``; ``refused_for`` is how long 403s have come in a row.

    403 means that the operator has not recorded this pod yet; after a minute it means no.
    """
    pause = max(MIN_SECONDS, interval, SHARE_OF_CALLS * call_seconds, answer.retry_after)
    if answer.status == 403:
        return Verdict(pause, again=True, silent=refused_for >= REFUSED_SECONDS)
    if answer.status == 429:
        return Verdict(pause, again=True)
    if answer.status == 0 or answer.status >= 500:
        return Verdict(max(pause, FAILED_SECONDS))
    return Verdict(pause)


class Reporter:
    """A thread that sends the newest progress when the pace allows, and the last one always."""

    def __init__(self, target: Target, phase_input: PhaseInput, node: str = "") -> None:
        self._target = target
        self._input = phase_input
        self._node = node
        self._clock = time.monotonic
        self._interval = phase_input.progress.min_interval_milliseconds / 1000
        self._changed = threading.Condition()
        self._newest: Progress | None = None
        self._sent: tuple[int, str] | None = None
        self._closing = False
        self._close_deadline = 0.0
        self._status: Mapping[str, Any] | None = None
        self._outdated = False  # what is known of the job's percent
        self._refused_since: float | None = None
        self._told: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="report", daemon=True)
        self._thread.start()

    def update(self, progress: Progress) -> None:
        """Note where the phase stands. Costs nothing; most updates are never sent."""
        with self._changed:
            self._newest = progress
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """Send the last progress if it is not sent yet, within ``timeout`` seconds."""
        with self._changed:
            self._closing = True
            self._close_deadline = self._clock() + timeout
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        # The first report waits for one interval too, so that a phase of a second makes one write and not two.
        not_before = self._clock() + max(MIN_SECONDS, self._interval)
        while True:
            progress = self._next(not_before)
            if progress is None:
                return
            began = self._clock()
            body = self._body(progress)
            answer = self._target.patch(body)
            now = self._clock()
            if answer.status == 422 and "percent" in body["status"]:
                # Another phase has raised the job's percent: the report goes again without it, and its answer tells.
                self._outdated = True
                continue
            verdict = self._take(answer, now, now - began)
            if verdict.silent:
                return
            if not verdict.again:
                self._sent = (progress.percent, progress.message)
            not_before = now + verdict.pause
            if self._closing and verdict.again:
                time.sleep(min(0.5, max(0.0, self._close_deadline - now)))

    def _body(self, progress: Progress) -> dict[str, Any]:
        body = report_body(self._input, progress, self._status, datetime.now(UTC), self._node)
        if self._outdated:
            body["status"].pop("percent", None)
        return body

    def _next(self, not_before: float) -> Progress | None:
        """Wait for something to send that may be sent; None when all is sent and the phase is over."""
        with self._changed:
            while True:
                newest = self._newest
                fresh = newest is not None and (newest.percent, newest.message) != self._sent
                now = self._clock()
                if self._closing:
                    return newest if fresh and now < self._close_deadline else None
                if fresh and now >= not_before:
                    return newest
                self._changed.wait(not_before - now if fresh else None)

    def _take(self, answer: Answer, now: float, call_seconds: float) -> Verdict:
        if answer.status != 403:
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = now
        if answer.status // 100 == 2:
            self._status, self._outdated = answer.body.get("status") or {}, False
        elif answer.status not in self._told and answer.status != 403:
            self._told.add(answer.status)
            _log.warning(
                "The API server refused a progress report (%s): %s", answer.status or "no answer", answer.detail
            )
        refused_for = now - self._refused_since if self._refused_since is not None else 0.0
        verdict = judge(answer, call_seconds, self._interval, refused_for)
        if verdict.silent:
            _log.warning("Progress reports have been refused for a minute; no more are sent: %s", answer.detail)
        return verdict


def report_body(
    phase_input: PhaseInput, progress: Progress, status: Mapping[str, Any] | None, now: datetime, node: str = ""
) -> dict[str, Any]:
    """The merge patch of a report. ``status`` is the one that the last report was answered with."""
    report: dict[str, Any] = {
        "attempt": phase_input.attempt,
        "percent": progress.percent,
        "message": progress.message,
        # Null removes the key: an old estimate must not stay behind.
        "etaSeconds": progress.eta_seconds,
        "reportTime": format_time(now),
    }
    written: dict[str, Any] = {"progress": {phase_input.phase: report}}
    # What the job's percent was is known from the first answer on; before that it could only be put back.
    if status is not None:
        written["percent"] = overall(phase_input, progress.percent, status)
    # The job's node is that of its current phase; which one that is, too, is known from the first answer on.
    if node and (status is None or status.get("phase") == phase_input.phase):
        written["nodeName"] = node
    return {"status": written}


def overall(phase_input: PhaseInput, percent: int, status: Mapping[str, Any]) -> int:
    """The job's percent, with this phase at ``percent`` and the other phases as ``status`` has them."""
    percents = {
        phase: report["percent"]
        for phase, report in (status.get("progress") or {}).items()
        if isinstance(report, dict) and isinstance(report.get("percent"), int)
    }
    percents.update(dict.fromkeys(phase_input.progress.done, 100))
    percents[phase_input.phase] = percent
    previous = status.get("percent")
    return overall_percent(phase_input.progress.weights, percents, previous if isinstance(previous, int) else 0)


def _seconds(header: str | None) -> float:
    return min(retry_after_seconds(header, datetime.now(UTC)) or 0.0, MAX_PAUSE_SECONDS)
