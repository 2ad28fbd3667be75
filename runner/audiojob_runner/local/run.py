"""One task on files of this machine, outside any cluster: the same worker, watchdog and checks as in a pod."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audiojob_runner import logs
from audiojob_runner.errors import PhaseError, as_phase_error
from audiojob_runner.fetch.mediainfo import labels
from audiojob_runner.local.advice import advice
from audiojob_runner.local.arguments import Target, check, refuse_overwriting, usage
from audiojob_runner.local.display import Display
from audiojob_runner.media.examine import examine_streams
from audiojob_runner.phase.process import Worker
from audiojob_runner.phase.progress import Tracker
from audiojob_runner.phase.publish import Publisher
from audiojob_runner.phase.usage import Meter
from audiojob_runner.phase.watchdog import Interruption, Watchdog, block_stop_signals
from audiojob_runner.phase.worker import Order, WorkerSpec
from audiojob_runner.store.folder import open_folder
from audiojob_runner.task import Publishing, TaskInput, TaskResult
from audiojob_types.contract import Device, ExitCode, FolderStore, PhaseLimits, PhaseNetwork
from audiojob_types.descriptor import TaskParameters
from audiojob_types.tasks import Task


@dataclass(frozen=True, slots=True)
class LocalRun:
    """What to run, on what, and where the outputs go."""

    task: Task
    parameters: TaskParameters
    inputs: tuple[TaskInput, ...]
    target: Target
    models: Path
    device: Device
    network: PhaseNetwork
    verbose: bool
    publishing: Publishing | None = None


def run_local(run: LocalRun) -> int:
    """Run it; the exit code of the contract. The outputs are listed on standard output as JSON."""
    block_stop_signals()
    display = Display(sys.stderr, run.task.value)
    try:
        check(run.task, run.parameters, run.inputs, run.target)
        _make_folder(run.target.out)
        run = replace(run, inputs=tuple(_told(run.task, given) for given in run.inputs))
        worker = Worker.fork(_spec(run))
        made = _run_watched(run, worker, display)
    except Exception as failed:  # a person gets a sentence, and the traceback when asked for
        error = as_phase_error(failed, run.task.value)
        display.end()
        if run.verbose and error is not failed:
            logging.getLogger(__name__).error("%s", error.message, exc_info=failed)
        with suppress(OSError):  # the terminal may have gone
            todo = advice(error, run.parameters.models, run.models)
            sys.stderr.write(f"{error.reason.value}: {error.message}\n{todo}\n")
            sys.stderr.flush()
        return error.exit_code
    display.end()
    json.dump(made, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
    return int(ExitCode.OK)


def _run_watched(run: LocalRun, worker: Worker, display: Display) -> dict[str, Any]:
    """What is printed of the task's result."""
    logs.configure(display.log if run.verbose else _drop)
    worker.follow_output(display.log if run.verbose else _drop)
    interruption = Interruption()
    watchdog = Watchdog(PhaseLimits(), interruption, _give_up)
    tracker = Tracker(display.show)
    with tempfile.TemporaryDirectory(prefix="audiojob-") as folder, watchdog.watching():
        try:
            worker.order(Order(inputs=run.inputs, run_dir=Path(folder)))
            result = worker.wait(interruption, tracker.task, Meter())
            kept = _keep(run, result, Path(folder), interruption)
            tracker.say(100, "Done")
            asked = {"reviewAsked": result.review_asked} if result.review_asked is not None else {}
            return {"outputs": kept, "metadata": result.metadata, **asked}
        finally:
            worker.end()


def _keep(run: LocalRun, result: TaskResult, made_in: Path, interruption: Interruption) -> list[dict[str, Any]]:
    """Put the outputs into the folder, each as a whole; the list of what is there."""
    refuse_overwriting(run.target, [output.path.name for output in result.outputs])
    store = open_folder(FolderStore(root=str(run.target.out.resolve())))
    publisher = Publisher(store, "", made_in, lambda _count: interruption.check())
    kept = publisher.put_all(result.outputs)
    return [{**output.to_wire(), "file": str(run.target.out / output.file)} for output in kept]


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise usage(f"The folder {path} cannot be made: {error.strerror or error}.") from error


def _told(task: Task, given: TaskInput) -> TaskInput:
    """The input with what its manifest says in a cluster, where Publish finds names: the file's tags, else its name."""
    if not task.descriptor.publishes or given.path is None:
        return given
    try:
        found = labels(examine_streams(given.path, threading.Event()).tags)
    except PhaseError:
        found = {}
    return replace(given, metadata={"title": given.path.stem, **found})


def _spec(run: LocalRun) -> WorkerSpec:
    return WorkerSpec(
        task=run.task,
        parameters=run.parameters,
        models_root=run.models,
        device=run.device,
        limits=PhaseLimits(),
        network=run.network,
        attempt=1,
        job_uid=str(uuid.uuid4()),
        publishing=run.publishing,
    )


def _drop(line: str) -> None:
    """Log lines are shown with --verbose."""


def _give_up(error: PhaseError) -> None:
    """The main thread does not come back."""
    sys.stderr.write(f"\n{error.message}\n")
    sys.stderr.flush()
    os._exit(error.exit_code)
