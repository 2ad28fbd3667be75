"""Runs one phase: reads its inputs, runs its task in a worker, publishes the outputs, writes the result."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, Literal

from audiojob_runner import logs
from audiojob_runner.early import wait_for_inputs
from audiojob_runner.errors import PhaseError, as_phase_error, is_disk_full
from audiojob_runner.fetch.partial.folder import clear, partial_folders
from audiojob_runner.phase import result, usage
from audiojob_runner.phase.inputs import Ahead, Fetcher, open_libraries, read_inputs
from audiojob_runner.phase.logpieces import LogPieces
from audiojob_runner.phase.process import StartWorker, Worker
from audiojob_runner.phase.progress import TASK_SHARE, Progress, Tracker
from audiojob_runner.phase.publish import Publisher, total_bytes
from audiojob_runner.phase.report import Reporter, find_target
from audiojob_runner.phase.untraceable import refuse_tracers
from audiojob_runner.phase.watchdog import STOP_SIGNALS, Interruption, Watchdog, block_stop_signals
from audiojob_runner.phase.worker import Order, WorkerSpec
from audiojob_runner.settings import Paths, PodIdentity, node_name, read_parameters, read_phase_input, read_pod_identity
from audiojob_runner.store import Store, open_store
from audiojob_runner.store.manifest import Published, find_published, fingerprint
from audiojob_runner.task import PartialFolders, Publishing, TaskInput, TaskResult
from audiojob_runner.tasks.program_folder import made_by_program
from audiojob_store import trees
from audiojob_store.layout import LOG_FOLDER
from audiojob_types.base import WireModel
from audiojob_types.contract import (
    ExitCode,
    FailureClass,
    ManifestRef,
    PhaseInput,
    PhaseResult,
    ReadInput,
    classify_exit_code,
)
from audiojob_types.outside.redaction import SECRETS
from audiojob_types.reasons import Reason

LOG_CLOSE_SECONDS: Final = 5.0
REPORT_CLOSE_SECONDS: Final = 2.0
STOPPED_CLOSE_SECONDS: Final = 1.0
TIDY_SECONDS: Final = 5.0
CRASHED: Final = 137

_log = logging.getLogger(__name__)


def run_phase(environ: Mapping[str, str], root: Path = Path("/")) -> int:
    """Run the phase that the environment names; the exit code. ``root`` moves the contract's paths, for a dry run.

    Everything that goes wrong ends as a termination message and a code of the contract; nothing is raised.
    """
    block_stop_signals()
    paths = Paths.under(root)
    try:
        pod = read_pod_identity(environ)
        phase_input = read_phase_input(environ, paths)
    except PhaseError as error:
        return _end_before_work(error, paths)
    return run_told(environ, paths, pod, phase_input)


def run_told(
    environ: Mapping[str, str],
    paths: Paths,
    pod: PodIdentity,
    phase_input: PhaseInput,
    start: StartWorker = Worker.fork,
) -> int:
    """Run that phase in this process, which has one thread and holds the stop signals back; the exit code."""
    try:
        parameters = read_parameters(phase_input)
    except PhaseError as error:
        return _end_before_work(error, paths)
    _learn_secrets(phase_input)
    # Forked before there is any thread; it loads the task's libraries while the inputs are fetched, and its
    # model too where it is to be told them later.
    worker = start(
        WorkerSpec(
            task=phase_input.task,
            parameters=parameters,
            models_root=paths.models,
            device=phase_input.device,
            limits=phase_input.limits,
            network=phase_input.network,
            attempt=phase_input.attempt,
            job_uid=phase_input.uid,
            fetch_credentials=paths.fetch_credentials,
            publishing=_publishing(phase_input, paths),
            early=phase_input.wait_until is not None,
        )
    )
    refuse_tracers()
    if phase_input.wait_until is None:
        return _Phase(environ, paths, pod, phase_input, parameters).run(worker)
    began = time.monotonic()
    try:
        told = wait_for_inputs(phase_input, environ, paths, STOP_SIGNALS)
    except PhaseError as error:
        worker.end()
        return _end_before_work(error, paths)
    _learn_secrets(told)
    return _Phase(environ, paths, pod, told, parameters, waited=time.monotonic() - began).run(worker)


def _end_before_work(error: PhaseError, paths: Paths) -> int:
    """The exit code of a phase that never came to its work."""
    logs.configure(LogPieces().write_line)
    _log.error("%s %s", error.message, error.suggestion)
    result.write(paths.termination_file, result.failure(error))
    return error.exit_code


def _learn_secrets(phase_input: PhaseInput) -> None:
    for item in phase_input.inputs:
        SECRETS.learn_url(item.url or "")


def _publishing(phase_input: PhaseInput, paths: Paths) -> Publishing | None:
    wanted = phase_input.destination
    if wanted is None:
        return None
    stores = {library.name: library.store for library in phase_input.libraries}
    return Publishing(
        library=wanted.library,
        layout=wanted.layout,
        store=stores[wanted.library],
        credentials=paths.credentials,
        job=phase_input.job,
    )


class _Phase:
    """What the steps of one phase share."""

    def __init__(
        self,
        environ: Mapping[str, str],
        paths: Paths,
        pod: PodIdentity,
        phase_input: PhaseInput,
        parameters: WireModel,
        waited: float | None = None,
    ) -> None:
        """``waited``: for how long a pod that began early waited until it was told its inputs, in seconds."""
        self._told: Literal[True] | None = True if waited is not None else None
        self._paths = paths
        self._input = phase_input
        self._parameters = parameters
        self._folder = f"{phase_input.attempt_prefix}{pod.uid[:8]}"
        self._log_pieces = LogPieces()
        logs.configure(self._log_pieces.write_line)
        self._interruption = Interruption()
        self._watchdog = Watchdog(
            phase_input.limits, self._interruption, self._last_resort, on_tick=self._sample_memory
        )
        target = find_target(environ, paths, phase_input)
        self._reporter = Reporter(target, phase_input, node_name(environ)) if target else None
        self._tracker = Tracker(self._on_progress)
        self._held_bytes = 0
        self._meter = usage.Meter(of_a_program=phase_input.task.descriptor.runs_program, waited=waited or 0.0)
        self._keeping: PartialFolders | None = None
        self._read: tuple[ReadInput, ...] = ()
        self._held: dict[str, BinaryIO] = {}
        self._run_folder: int | None = None  # a task could put a link in the place of its name

    def run(self, worker: Worker) -> int:
        """All steps; the exit code."""
        source = f"{self._input.task.parameter_key}.output"
        worker.follow_output(lambda line: self._log_pieces.write_line(logs.wrap_output(line, source)))
        with self._watchdog.watching():
            try:
                done: Published | ManifestRef | None = self._work(worker)
                error = None
            except Exception as failed:  # noqa: BLE001 - whatever it is, it must end in a termination message
                done, error = None, as_phase_error(failed, self._input.task.value)
                if error is not failed:
                    _log.error("%s", error.message, exc_info=failed)
            finally:
                self._end(worker)
                # From here to the exit only seconds pass, and the result is written whatever happens.
                block_stop_signals()
        code = self._finish(done, error, REPORT_CLOSE_SECONDS if not worker.ends_by_report else 0.0)
        self._tidy(error)
        return code

    def _work(self, worker: Worker) -> Published | ManifestRef:
        """What the attempt published, or the donor's manifest, which stands for it."""
        store = open_store(self._input.store, self._paths.credentials)
        self._log_pieces.start(store, f"{self._folder}/{LOG_FOLDER}")
        _log.info(
            "%s/%s: phase %s, attempt %d, %s on %s",
            self._input.namespace,
            self._input.job,
            self._input.phase,
            self._input.attempt,
            self._input.task.value,
            self._input.device.value,
        )
        if self._input.task.descriptor.resumes:
            self._keeping = partial_folders(store, self._input.output_prefix, self._folder)
        mark = fingerprint(self._input, self._parameters)
        earlier = find_published(store, self._input.output_prefix, mark)
        if earlier is not None:
            _log.info("Attempt %d already published this result: %s", earlier.manifest.attempt, earlier.ref.key)
            self._read = self._check_inputs(store)
            return earlier
        run_dir = self._make_run_dir()
        try:
            inputs = self._inputs(store, run_dir, worker)
            if self._input.donor is not None:
                _log.info("The inputs are what was recorded: %s stands for this phase.", self._input.donor.key)
                return self._input.donor
            outcome = self._run_task(worker, run_dir, inputs)
            published = self._publish(store, mark, outcome, run_dir)
        finally:
            worker.end()
            for file in self._held.values():
                file.close()
            if self._run_folder is not None:
                os.close(self._run_folder)
            with suppress(OSError):
                trees.remove_tree(run_dir.parent, run_dir.name)
        if outcome.crash_after_publishing:
            os._exit(CRASHED)
        return published

    def _end(self, worker: Worker) -> None:
        worker.end()
        if worker.death is not None:
            self._held_bytes = max(self._held_bytes, worker.death.peak_bytes)
            self._meter.cpu_elsewhere = worker.death.cpu_seconds

    def _inputs(self, store: Store, run_dir: Path, worker: Worker) -> tuple[TaskInput, ...]:
        """The task's inputs. Their bytes are hashed before the worker, which decodes them, is told of any."""
        if self._input.task.descriptor.runs_program:
            # The program has run already; what is left of the phase is to collect what it made. The program could
            # write where its inputs were put, so the hashes are taken in the store.
            self._read = self._check_inputs(store)
            self._tracker.say(TASK_SHARE, "Collecting the outputs")
            return (made_by_program(self._paths, self._input),)
        inputs = self._fetch_inputs(store, run_dir, worker)
        self._read = read_inputs(self._input.inputs, inputs)
        return inputs

    def _check_inputs(self, store: Store) -> tuple[ReadInput, ...]:
        fetcher = Fetcher(store, self._paths.scratch, None, self._on_read)
        return tuple(read for item in self._input.inputs if (read := fetcher.check(item)) is not None)

    def _run_task(self, worker: Worker, run_dir: Path, inputs: tuple[TaskInput, ...]) -> TaskResult:
        self._watchdog.beat()
        self._tracker.begin(f"{self._input.task.value} starts")
        order = Order(inputs=inputs, run_dir=run_dir, keeping=self._keeping, held=tuple(self._held))
        worker.order(order, [file.fileno() for file in self._held.values()])
        made = worker.wait(self._interruption, self._on_task_progress, self._meter)
        self._meter.made(made.outputs)
        return made

    def _fetch_inputs(self, store: Store, run_dir: Path, worker: Worker) -> tuple[TaskInput, ...]:
        if any(item.url is None for item in self._input.inputs):
            self._tracker.say(0, "Checking the inputs")
        held, limit = self._held if worker.holds else None, self._input.limits.max_input_bytes
        libraries = open_libraries(self._input, self._paths)
        ahead = worker.ahead or Ahead()
        fetcher = Fetcher(store, run_dir / "inputs", limit, self._on_read, libraries, held, ahead)
        found = tuple(fetcher.fetch(number, item) for number, item in enumerate(fetcher.expand(self._input.inputs)))
        if self._input.task.descriptor.reads_metadata:
            return found
        # What a producer claims of its output has no part in what this task makes, so it is the same for equal bytes.
        return tuple(replace(each, metadata={}, media_type=None) for each in found)

    def _publish(self, store: Store, mark: str, outcome: TaskResult, run_dir: Path) -> Published:
        total = max(1, total_bytes(outcome.outputs))
        done = 0

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            self._meter.written_bytes += count
            self._beat()
            self._tracker.say(TASK_SHARE + min(1, done // total), "Publishing the outputs")

        place = (self._paths.work, None) if self._input.task.descriptor.runs_program else (run_dir, self._run_folder)
        publisher = Publisher(store, self._folder, place[0], on_bytes, opened=place[1])
        try:
            published = publisher.publish(self._input, mark, outcome)
        except PhaseError as error:
            # What is kept for a next attempt must not cost this one its room in the store.
            if error.exit_code != ExitCode.DISK_FULL or self._keeping is None or not clear(self._keeping):
                raise
            _log.info("The store was full; the partial download was deleted to free space.")
            published = publisher.publish(self._input, mark, outcome)
        count = published.ref.count
        _log.info("Published %d output%s: %s", count, "" if count == 1 else "s", published.ref.key)
        return published

    def _tidy(self, error: PhaseError | None) -> None:
        """Delete the partial download if there will be no next attempt. The sweeper deletes what does not go in time.

        The result is written by now, and the watchdog has stopped. A volume that does not answer must not delay the
        exit, so the deletion runs in a thread that ends with the process.
        """
        ended = error is None or classify_exit_code(error.exit_code)[0] is FailureClass.PERMANENT
        if ended and self._keeping is not None:
            tidying = threading.Thread(target=clear, args=(self._keeping,), name="tidy", daemon=True)
            tidying.start()
            tidying.join(TIDY_SECONDS)

    def _finish(self, done: Published | ManifestRef | None, error: PhaseError | None, report_seconds: float) -> int:
        """Log pieces, the last progress, the termination message; in that order, each within its time."""
        stopped = self._interruption.error is not None
        if done is not None:
            self._tracker.say(100, "Done")
        elif error is not None:
            _log.error("The phase failed (%s): %s", error.reason.value, error.message)
        self._log_pieces.close(STOPPED_CLOSE_SECONDS if stopped else LOG_CLOSE_SECONDS)
        if self._reporter is not None:
            self._reporter.close(min(report_seconds, STOPPED_CLOSE_SECONDS) if stopped else report_seconds)
        if done is not None:
            self._tell(self._success(done))
            return int(ExitCode.OK)
        assert error is not None
        self._tell(self._failure(error))
        return error.exit_code

    def _make_run_dir(self) -> Path:
        """An empty folder of this run in the scratch volume."""
        scratch = self._paths.scratch
        try:
            made = Path(tempfile.mkdtemp(prefix="run-", dir=scratch))
            self._run_folder = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            return made
        except OSError as error:
            if is_disk_full(error):
                raise
            raise PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                f"The scratch folder {scratch} cannot be written: {error.strerror or error}.",
                "Check that the scratch volume is mounted writable for group 10001.",
            ) from error

    def _last_resort(self, error: PhaseError) -> None:
        """The main thread does not come back: leave the result and go. The worker ends by itself once we are gone."""
        with suppress(Exception):
            self._tell(self._failure(error))
        os._exit(error.exit_code)

    def _tell(self, made: PhaseResult) -> None:
        told = {"usage": self._meter.usage(), "told": self._told}
        result.write(self._paths.termination_file, made.model_copy(update=told))

    def _success(self, done: Published | ManifestRef) -> PhaseResult:
        if isinstance(done, ManifestRef):
            return result.confirmed(done, self._read, self._log_pieces.first_key)
        return result.success(done, self._log_pieces.first_key, self._peak_bytes(), self._read)

    def _failure(self, error: PhaseError) -> PhaseResult:
        return result.failure(error, self._log_pieces.first_key, self._peak_bytes())

    def _beat(self) -> None:
        self._watchdog.beat()
        self._interruption.check()

    def _on_read(self, count: int) -> None:
        self._meter.read_bytes += count
        self._beat()

    def _on_task_progress(self, percent: float, message: str) -> None:
        self._watchdog.beat()
        self._tracker.task(percent, message)

    def _on_progress(self, progress: Progress) -> None:
        if self._reporter is not None:
            self._reporter.update(progress)

    def _sample_memory(self) -> None:
        self._held_bytes = max(self._held_bytes, usage.held_bytes() or 0)

    def _peak_bytes(self) -> int:
        return max(self._held_bytes, usage.peak_bytes())
