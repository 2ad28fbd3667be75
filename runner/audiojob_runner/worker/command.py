"""``serve``: the parent of the phases' supervisors. It has one thread and sees no job's data; tasks run in ``work``."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from audiojob_runner import logs
from audiojob_runner.errors import PhaseError, is_disk_full
from audiojob_runner.phase import result as results
from audiojob_runner.phase.untraceable import refuse_tracers
from audiojob_runner.phase.watchdog import STOP_SIGNALS, block_stop_signals
from audiojob_runner.settings import Paths, PodIdentity, read_pod_identity
from audiojob_runner.worker import child as children
from audiojob_runner.worker import deciding, leftovers, reporting
from audiojob_runner.worker.ending import ending_of, read_result
from audiojob_runner.worker.link import Link
from audiojob_runner.worker.state import AtWork, OrderHead, State, ToldPhase
from audiojob_runner.worker.told.reading import Mark, Unreadable, mark_of, read_head
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.workers.pod import ROOM

POLL_SECONDS: Final = 0.05

_log = logging.getLogger(__name__)


def run_serve(environ: Mapping[str, str], root: Path = Path("/")) -> int:
    """Run the phases that the pod is told, until it is told to end; the exit code."""
    block_stop_signals()
    # A child's end wakes the wait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    logs.configure(logs.print_line)
    paths = Paths.under(root)
    try:
        pod = read_pod_identity(environ)
    except PhaseError as error:
        _log.error("%s %s", error.message, error.suggestion)
        reporting.leave(paths.termination_file, reporting.last_words(error.message, 0, ()))
        return error.exit_code
    leftovers.adopt_orphans()
    refuse_tracers()
    return _Server(environ, paths, pod).run()


class _Server:
    """The loop and what it holds: the decisions are :func:`deciding.next_step`'s."""

    def __init__(self, environ: Mapping[str, str], paths: Paths, pod: PodIdentity) -> None:
        self._environ, self._paths, self._pod = environ, paths, pod
        now = time.monotonic()
        self._state = State(began=now, idle_since=now)
        self._order: OrderHead | None = None
        self._mark: Mark | None = None
        self._child: children.Child | None = None
        self._ahead: children.Child | None = None
        self._link = Link(paths.scratch / ROOM)
        gc.collect()
        gc.freeze()  # the same for all phases: their collections need not touch it, which would copy its pages

    def run(self) -> int:
        """Until the worker ends; the exit code."""
        while True:
            self._look()
            now = time.monotonic()
            self._state = deciding.note(self._state, self._order, now)
            step = deciding.next_step(self._state, self._order, now)
            if isinstance(step, deciding.End):
                return self._end(step)
            self._do(step, now)

    def _look(self) -> None:
        """At the file, at the other container and at the child."""
        mark = mark_of(self._paths.work_order)
        if mark is not None and mark != self._mark:
            self._mark = mark
            self._read()
        self._link.look(self._order)
        self._note_work()
        if self._child is not None and self._child.has_ended():
            self._take_ending(self._child)
        if self._ahead is not None and self._ahead.has_ended():
            self._drop()  # its phase begins with another one, and says what is wrong

    def _note_work(self) -> None:
        if self._state.work is not self._link.work:
            self._state = replace(self._state, work=self._link.work, lost=self._link.why)

    def _read(self) -> None:
        found = read_head(self._paths.work_order)
        if isinstance(found, Unreadable):
            # What it was told before holds on: no phase is begun or ended for a file that says nothing.
            _log.error("The order %s is not valid: %s.", self._paths.work_order, found.why)
            return
        self._order = found

    def _do(self, step: deciding.Step, now: float) -> None:
        match step:
            case deciding.Begin(told):
                self._begin(told, now)
            case deciding.Refuse(told, error):
                _log.error("%s/%s: phase %s is refused: %s", told.namespace, told.job, told.phase, error.message)
                self._note_ending(told, error, now)
            case deciding.Fetch(told):
                self._fetch(told)
            case deciding.Drop():
                self._drop()
                self._state = replace(self._state, ahead=None)
            case deciding.Cancel():
                self._ask_to_end(now)
            case deciding.Kill() if self._child is not None and self._state.at_work is not None:
                _log.warning("The phase did not obey within its grace; it is killed.")
                self._child.signal(signal.SIGKILL)
                self._state = replace(self._state, at_work=replace(self._state.at_work, killed=True))
            case deciding.Report(ending):
                answer = reporting.send(ending, self._environ, self._paths)
                changed = reporting.after(ending, answer, time.monotonic())
                self._state = deciding.with_changed(self._state, changed)
            case _:
                self._wait()

    def _begin(self, told: ToldPhase, now: float) -> None:
        _log.info("%s/%s: phase %s, attempt %d begins.", told.namespace, told.job, told.phase, told.attempt)
        child = self._ahead if self._state.ahead == told.identity else None
        try:
            child = child or children.fork(told.identity, self._environ, self._paths, self._pod)
            child.hand_over(*self._link.hand_over())
            self._child, self._state = child, replace(self._state, at_work=AtWork(told))
        except OSError as error:
            if child is not None:
                child.end()
            self._note_ending(told, _cannot_fork(error), now)
        if self._state.ahead == told.identity:
            self._ahead, self._state = None, replace(self._state, ahead=None)

    def _fetch(self, told: ToldPhase) -> None:
        try:
            self._ahead = children.fork(told.identity, self._environ, self._paths, self._pod)
        except OSError as error:
            _log.info("Nothing is fetched ahead: %s", error.strerror or error)
        self._state = replace(self._state, ahead=told.identity)

    def _drop(self) -> None:
        """End the child that fetches."""
        if self._ahead is not None:
            self._ahead.end()
            self._ahead = None

    def _note_ending(self, told: ToldPhase, error: PhaseError, now: float) -> None:
        made = results.failure(error)
        self._state = deciding.with_ending(self._state, told, error.exit_code, made, now)

    def _ask_to_end(self, now: float) -> None:
        at_work = self._state.at_work
        assert self._child is not None
        assert at_work is not None
        self._child.signal(signal.SIGTERM)
        taken_back = self._order is not None and not self._order.tells(at_work.told.identity)
        self._state = replace(self._state, at_work=replace(at_work, asked=now, taken_back=taken_back))

    def _take_ending(self, child: children.Child) -> None:
        """The child has ended: take its result, once nothing of the phase is left here or in ``work``."""
        at_work = self._state.at_work
        assert at_work is not None
        _, status = os.waitpid(child.pid, 0)
        self._child = None
        clean = leftovers.end_all(keep=() if self._ahead is None else (self._ahead.pid,))
        self._link.wait_until_clear()
        self._note_work()
        exit_code, made = ending_of(status, read_result(child.result))
        child.remove()
        now = time.monotonic()
        _log.info("Phase %s of %s ended with %d.", at_work.told.phase, at_work.told.job, exit_code)
        self._state = deciding.with_end_of_work(self._state, exit_code, made, now)
        if not clean:
            # What is left of one job must not be beside another one.
            self._state = replace(self._state, stopping=self._state.stopping or now)

    def _wait(self) -> None:
        caught = signal.sigtimedwait({*STOP_SIGNALS, signal.SIGCHLD}, POLL_SECONDS)
        if caught is not None and caught.si_signo in STOP_SIGNALS and self._state.stopping is None:
            _log.warning("The worker was stopped by a signal (%s).", signal.Signals(caught.si_signo).name)
            self._state = replace(self._state, stopping=time.monotonic())

    def _end(self, step: deciding.End) -> int:
        leftovers.end_all()
        self._link.close()
        _log.info("%s", step.message)
        words = reporting.last_words(step.message, self._state.phases, self._state.ended)
        reporting.leave(self._paths.termination_file, words)
        return step.code


def _cannot_fork(error: OSError) -> PhaseError:
    if is_disk_full(error):
        return PhaseError(ExitCode.DISK_FULL, Reason.DISK_FULL, "The scratch volume is full.")
    return PhaseError(
        ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, f"No process for the phase: {error.strerror or error}."
    )
