"""One task on files of this machine, outside any cluster: the same worker, watchdog and checks as in a pod."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from audiojob_runner import logs
from audiojob_runner.errors import PhaseError, as_phase_error
from audiojob_runner.phase.process import Worker
from audiojob_runner.phase.progress import Progress, Tracker
from audiojob_runner.phase.publish import Publisher
from audiojob_runner.phase.watchdog import Interruption, Watchdog, block_stop_signals
from audiojob_runner.phase.worker import Order, WorkerSpec
from audiojob_runner.store.folder import open_folder
from audiojob_runner.task import Publishing, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import (
    Device,
    ExitCode,
    FailureClass,
    FolderStore,
    PhaseLimits,
    PhaseNetwork,
    classify_exit_code,
)
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

BAR_CHARACTERS: Final = 30


@dataclass(frozen=True, slots=True)
class LocalRun:
    """What to run, on what, and where the outputs go."""

    task: Task
    parameters: WireModel
    inputs: tuple[TaskInput, ...]
    out: Path
    models: Path
    device: Device
    allowed_cidrs: tuple[str, ...]
    force: bool
    verbose: bool
    publishing: Publishing | None = None


def parse_inputs(pairs: list[str]) -> tuple[TaskInput, ...]:
    """Inputs from ``name=path`` and ``name=https://…``. Raises :class:`PhaseError`: InvalidSpec, InputMissing."""
    inputs: dict[str, TaskInput] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name or not value:
            raise _usage(f"--input {pair!r} is not of the form NAME=FILE or NAME=URL.")
        if name in inputs:
            raise _usage(f"There are two inputs named {name!r}.")
        if "://" in value:
            inputs[name] = TaskInput(name=name, url=value)
            continue
        path = Path(value).resolve()
        if not path.is_file():
            raise PhaseError(
                ExitCode.SOURCE_UNAVAILABLE,
                Reason.INPUT_MISSING,
                f"Input {name!r} is not a file: {value}.",
                "Check the path.",
            )
        inputs[name] = TaskInput(name=name, path=path)
    return tuple(inputs.values())


def parse_parameters(pairs: list[str]) -> dict[str, Any]:
    """Parameters from ``name=value``; the value is JSON, or else a plain word. Raises :class:`PhaseError`."""
    parameters: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise _usage(f"--param {pair!r} is not of the form NAME=VALUE.")
        try:
            parameters[name] = json.loads(value)
        except ValueError:
            parameters[name] = value
    return parameters


def run_local(run: LocalRun) -> int:
    """Run it; the exit code of the contract. The outputs are listed on standard output as JSON."""
    block_stop_signals()
    display = Display(sys.stderr, run.task.value)
    try:
        _make_folder(run.out)
        worker = Worker.fork(_spec(run))
        outputs, metadata = _run_watched(run, worker, display)
    except Exception as failed:  # a person gets a sentence, and the traceback when asked for
        error = as_phase_error(failed, run.task.value)
        display.end()
        if run.verbose and error is not failed:
            logging.getLogger(__name__).error("%s", error.message, exc_info=failed)
        permanent = classify_exit_code(error.exit_code)[0] is FailureClass.PERMANENT
        advice = error.suggestion if permanent else "Run it again; --verbose shows the log."
        sys.stderr.write(f"{error.reason.value}: {error.message}\n{advice}\n")
        return error.exit_code
    display.end()
    json.dump({"outputs": outputs, "metadata": metadata}, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
    return int(ExitCode.OK)


def _run_watched(run: LocalRun, worker: Worker, display: Display) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    logs.configure(display.log if run.verbose else _drop)
    worker.follow_output(display.log if run.verbose else _drop)
    interruption = Interruption()
    watchdog = Watchdog(PhaseLimits(), interruption, _give_up)
    tracker = Tracker(display.show)
    with tempfile.TemporaryDirectory(prefix="audiojob-") as folder, watchdog.watching():
        try:
            worker.order(Order(inputs=run.inputs, run_dir=Path(folder)))
            result = worker.wait(interruption, tracker.task)
            kept = _keep(run, result, Path(folder), interruption)
            tracker.say(100, "Done")
            return kept, result.metadata
        finally:
            worker.end()


def _keep(run: LocalRun, result: TaskResult, made_in: Path, interruption: Interruption) -> list[dict[str, Any]]:
    """Put the outputs into the folder, each as a whole; the list of what is there."""
    _refuse_overwriting(run, result.outputs)
    store = open_folder(FolderStore(root=str(run.out.resolve())))
    publisher = Publisher(store, "", made_in, lambda _count: interruption.check())
    kept = publisher.put_all(result.outputs)
    return [{**output.to_wire(), "file": str(run.out / output.file)} for output in kept]


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _usage(f"The folder {path} cannot be made: {error.strerror or error}.") from error


def _refuse_overwriting(run: LocalRun, outputs: list[TaskOutput]) -> None:
    there = [output.path.name for output in outputs if (run.out / output.path.name).exists()]
    if there and not run.force:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"{run.out} already has {', '.join(there)}.",
            "Choose another --out, or overwrite with --force.",
        )


def _spec(run: LocalRun) -> WorkerSpec:
    return WorkerSpec(
        task=run.task,
        parameters=run.parameters,
        models_root=run.models,
        device=run.device,
        limits=PhaseLimits(),
        network=PhaseNetwork(allowed_cidrs=run.allowed_cidrs),
        attempt=1,
        job_uid=str(uuid.uuid4()),
        publishing=run.publishing,
    )


class Display:
    """A bar on a terminal, a line for every tenth elsewhere; log lines pass between."""

    def __init__(self, stream: TextIO, title: str) -> None:
        self._stream = stream
        self._title = title
        self._bar = stream.isatty()
        self._shown = -1
        self._open = False

    def show(self, progress: Progress) -> None:
        """Draw where the task stands."""
        if self._bar:
            self._draw(progress)
        elif progress.percent // 10 > self._shown // 10:
            self._stream.write(f"{self._title} {progress.percent:3} %  {progress.message}\n")
            self._stream.flush()
            self._shown = progress.percent

    def log(self, line: str) -> None:
        """Print a log line above the bar."""
        self.end()
        self._stream.write(line + "\n")

    def end(self) -> None:
        """Leave the bar's line."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False

    def _draw(self, progress: Progress) -> None:
        filled = "#" * (BAR_CHARACTERS * progress.percent // 100)
        left = "" if progress.eta_seconds is None else f"  {_clock(progress.eta_seconds)} left"
        width = max(20, shutil.get_terminal_size().columns - 1)
        line = f"{self._title} [{filled:<{BAR_CHARACTERS}}] {progress.percent:3} %{left}  {progress.message}"
        self._stream.write(f"\r\x1b[K{line[:width]}")
        self._stream.flush()
        self._open = True


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def describe(write: Callable[[str], object]) -> None:
    """Print every task with its inputs, outputs and parameters."""
    for task in Task:
        known = task.descriptor
        write(f"{task.value}: {known.summary}\n")
        for title, files in (("input", known.inputs), ("output", known.outputs)):
            for file in files:
                optional = " (optional)" if file.optional else ""
                write(f"    {title} {file.name}: {', '.join(file.media_types)}{optional}\n")
        for field in known.parameters.model_fields.values():
            write(f"    {field.description or field.alias}\n")


def _usage(message: str) -> PhaseError:
    return PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, message, "See: python -m audiojob_runner run --help")


def _drop(line: str) -> None:
    """Log lines are shown with --verbose."""


def _give_up(error: PhaseError) -> None:
    """The main thread does not come back."""
    sys.stderr.write(f"\n{error.message}\n")
    sys.stderr.flush()
    os._exit(error.exit_code)
