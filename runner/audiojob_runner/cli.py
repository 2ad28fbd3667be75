"""The command line: ``phase`` is the pod's entry, ``sweep`` the sweeper's, ``run`` runs one task on local files."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import check_url
from audiojob_runner.local.advice import advice
from audiojob_runner.local.arguments import Target, parse_inputs, parse_parameters
from audiojob_runner.local.display import describe
from audiojob_runner.local.run import LocalRun, run_local
from audiojob_runner.phase.supervisor import run_phase
from audiojob_runner.program.fetch import run_fetch
from audiojob_runner.program.watch import run_watch
from audiojob_runner.settings import Paths
from audiojob_runner.sweep.command import SweepOptions, parse_store, run_sweep
from audiojob_runner.sweep.plan import DEFAULT_ABSENT, DEFAULT_PERCENT, DEFAULT_UNFINISHED, Limits
from audiojob_runner.task import Publishing
from audiojob_runner.worker.command import run_serve
from audiojob_runner.worker.working.command import run_work
from audiojob_store.filenames import UNTITLED
from audiojob_types.contract import MODELS_ROOT, Device, ExitCode, FolderStore, PhaseNetwork
from audiojob_types.destination import Layout
from audiojob_types.models import DEFAULT_BASE_URL, KNOWN_MODELS
from audiojob_types.parameters import InvalidParameters, resolve_parameters
from audiojob_types.tasks import Task


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. A wrong command line ends with 64."""
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as error:  # argparse ends with 2, which the contract does not know
        return int(ExitCode.USAGE) if error.code else int(ExitCode.OK)
    code: int = options.run(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m audiojob_runner", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    phase = commands.add_parser("phase", help="run the phase that the pod's phase file describes")
    phase.add_argument("--root", type=Path, default=Path("/"), help="where the contract's paths are, for dry runs")
    phase.set_defaults(run=_phase)
    for name, stage, text in (
        ("fetch", run_fetch, "bring the inputs of a Container phase to its program"),
        ("watch", run_watch, "report the progress of a Container phase's program until it is stopped"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--root", type=Path, default=Path("/"), help="as for phase")
        command.set_defaults(run=lambda options, stage=stage: stage(os.environ, options.root))
    for name, worker in (("serve", run_serve), ("work", run_work)):  # of a worker's pod; without help, which hides them
        container = commands.add_parser(name)
        container.add_argument("--root", type=Path, default=Path("/"), help="as for phase")
        container.set_defaults(run=lambda options, worker=worker: worker(os.environ, options.root))
    sweep = commands.add_parser(
        "sweep",
        help="remove what has expired from a namespace's store",
        description="Removes attempts that never published, and the folders of jobs whose results have expired and "
        "whose AudioJob is gone. Needs an API server that says which AudioJobs exist.",
    )
    _describe_sweep(sweep)
    listing = commands.add_parser("tasks", help="list the tasks and their parameters")
    listing.set_defaults(run=_tasks)
    _add_run(commands)
    _add_prefetch(commands)
    return parser


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="run one task on files of this machine",
        description="Runs one task. Outputs go to --out and are listed as JSON on standard output.",
        epilog="Example: python -m audiojob_runner run Normalize --input source=song.mp3 --out result",
    )
    run.add_argument("task", choices=[task.value for task in Task], metavar="TASK", help="see: tasks")
    run.add_argument("--input", action="append", default=[], metavar="NAME=FILE|URL", help="an input; repeatable")
    run.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter, such as keep=vocals,drums; repeatable",
    )
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the outputs; made if absent")
    run.add_argument("--models", type=Path, default=Path(MODELS_ROOT), metavar="DIR", help="default: %(default)s")
    run.add_argument("--device", choices=[device.value for device in Device], default=Device.CPU.value)
    run.add_argument(
        "--allow-cidr",
        action="append",
        default=[],
        metavar="CIDR",
        help="a private network that may be fetched from; repeatable",
    )
    run.add_argument("--lyrics-address", metavar="URL", help="the service that FindLyrics asks")
    run.add_argument("--library", type=Path, metavar="DIR", help="existing folder that Publish adds files to")
    run.add_argument("--layout", choices=[layout.value for layout in Layout], default=Layout.ARTIST.value)
    run.add_argument("--force", action="store_true", help="overwrite files in --out")
    run.add_argument("--verbose", action="store_true", help="show the task's log")
    run.set_defaults(run=_run)


def _add_prefetch(commands: Any) -> None:
    prefetch = commands.add_parser(
        "prefetch",
        help="fetch published demucs models into the models folder",
        description="Fetches the files of published models, verifies them and records their sha256 in models.json. "
        "Resumes partial downloads; installed files are only verified.",
        epilog="Example: python -m audiojob_runner prefetch --model htdemucs --models models",
    )
    prefetch.add_argument("--model", action="append", required=True, choices=list(KNOWN_MODELS), help="repeatable")
    prefetch.add_argument("--base-url", default=DEFAULT_BASE_URL, metavar="URL", help="default: %(default)s")
    prefetch.add_argument("--models", type=Path, default=Path(MODELS_ROOT), metavar="DIR", help="default: %(default)s")
    prefetch.add_argument(
        "--allow-cidr",
        action="append",
        default=[],
        metavar="CIDR",
        help="a private network that may be fetched from; repeatable",
    )
    prefetch.add_argument("--root", type=Path, default=Path("/"), help="where a pod's own files are, for dry runs")
    prefetch.set_defaults(run=_prefetch)


def _describe_sweep(sweep: argparse.ArgumentParser) -> None:
    sweep.add_argument("--namespace", required=True)
    sweep.add_argument("--store", default='{"kind": "Folder"}', metavar="JSON", help="default: %(default)s")
    sweep.add_argument("--root", type=Path, default=Path("/"), help="where the contract's paths are, for dry runs")
    sweep.add_argument("--unfinished-hours", type=_positive, default=_hours(DEFAULT_UNFINISHED), metavar="N")
    sweep.add_argument("--absent-days", type=_positive, default=DEFAULT_ABSENT.days, metavar="N")
    sweep.add_argument(
        "--max-percent",
        type=_positive,
        default=DEFAULT_PERCENT,
        metavar="N",
        help="of the store's bytes and job folders that a pass may remove; default: %(default)s",
    )
    sweep.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    sweep.set_defaults(run=_sweep)


def _sweep(options: argparse.Namespace) -> int:
    try:
        store = parse_store(options.store)
    except PhaseError as error:
        sys.stderr.write(f"{error.message}\n{error.suggestion}\n")
        return error.exit_code
    limits = Limits(
        unfinished=timedelta(hours=options.unfinished_hours),
        absent=timedelta(days=options.absent_days),
        percent=min(100, options.max_percent),
    )
    return run_sweep(SweepOptions(options.namespace, store, limits, options.dry_run), os.environ, options.root)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _hours(time: timedelta) -> int:
    return int(time.total_seconds() // 3600)


def _publishing(options: argparse.Namespace) -> Publishing | None:
    if options.library is None:
        return None
    root = options.library.resolve()
    store = FolderStore(root=str(root))
    return Publishing(library=root.name, layout=Layout(options.layout), store=store, credentials=root, job=UNTITLED)


def _phase(options: argparse.Namespace) -> int:
    return run_phase(os.environ, options.root)


def _prefetch(options: argparse.Namespace) -> int:
    from audiojob_runner.prefetch.command import Prefetch, run_prefetch  # noqa: PLC0415 - needs requests, phases may not

    try:
        check_url(options.base_url)
    except PhaseError as error:
        sys.stderr.write(f"--base-url: {error.message}\n")
        return error.exit_code
    order = Prefetch(
        models=tuple(dict.fromkeys(options.model)),
        base_url=options.base_url,
        root=options.models.resolve(),
        allowed_cidrs=tuple(options.allow_cidr),
    )
    return run_prefetch(order, os.environ, Paths.under(options.root))


def _tasks(_options: argparse.Namespace) -> int:
    describe(sys.stdout.write)
    return int(ExitCode.OK)


def _run(options: argparse.Namespace) -> int:
    task = Task(options.task)
    try:
        parameters = resolve_parameters(task, parse_parameters(options.param, task.descriptor.parameters))
        inputs = parse_inputs(options.input)
    except InvalidParameters as error:
        sys.stderr.write(f"{error}\nSee: python -m audiojob_runner tasks\n")
        return int(ExitCode.USAGE)
    except PhaseError as error:
        sys.stderr.write(f"{error.message}\n{advice(error, (), options.models)}\n")
        return error.exit_code
    return run_local(
        LocalRun(
            task=task,
            parameters=parameters,
            inputs=inputs,
            target=Target(options.out, options.force, options.library),
            models=options.models.resolve(),
            device=Device(options.device),
            network=PhaseNetwork(allowed_cidrs=tuple(options.allow_cidr), lyrics_address=options.lyrics_address),
            verbose=options.verbose,
            publishing=_publishing(options),
        )
    )
