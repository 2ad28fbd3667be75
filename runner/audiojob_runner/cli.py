"""The command line: ``phase`` is the pod's entry, ``run`` runs one task on files of this machine."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from audiojob_runner.errors import PhaseError
from audiojob_runner.filenames import UNTITLED
from audiojob_runner.local import LocalRun, describe, parse_inputs, parse_parameters, run_local
from audiojob_runner.phase import run_phase
from audiojob_runner.tasks.api import Publishing
from audiojob_types.contract import MODELS_ROOT, Device, ExitCode, FolderStore, Task
from audiojob_types.destination import Layout
from audiojob_types.parameters import PARAMETERS, InvalidParameters, resolve_parameters


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
    listing = commands.add_parser("tasks", help="list the tasks and their parameters")
    listing.set_defaults(run=_tasks)
    run = commands.add_parser(
        "run",
        help="run one task on files of this machine",
        description="Runs one task. Outputs go to --out and are listed as JSON on standard output.",
        epilog="Example: python -m audiojob_runner run Normalize --input source=song.mp3 --out result",
    )
    run.add_argument("task", choices=[task.value for task in Task], metavar="TASK", help="see: tasks")
    run.add_argument("--input", action="append", default=[], metavar="NAME=FILE|URL", help="an input; repeatable")
    run.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter; repeatable")
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
    run.add_argument("--library", type=Path, metavar="DIR", help="folder that Publish adds files to")
    run.add_argument("--layout", choices=[layout.value for layout in Layout], default=Layout.ARTIST.value)
    run.add_argument("--force", action="store_true", help="overwrite files in --out")
    run.add_argument("--verbose", action="store_true", help="show the task's log")
    run.set_defaults(run=_run)
    return parser


def _publishing(options: argparse.Namespace) -> Publishing | None:
    if options.library is None:
        return None
    root = options.library.resolve()
    store = FolderStore(root=str(root))
    return Publishing(library=root.name, layout=Layout(options.layout), store=store, credentials=root, job=UNTITLED)


def _phase(options: argparse.Namespace) -> int:
    return run_phase(os.environ, options.root)


def _tasks(_options: argparse.Namespace) -> int:
    describe(PARAMETERS, sys.stdout.write)
    return int(ExitCode.OK)


def _run(options: argparse.Namespace) -> int:
    task = Task(options.task)
    try:
        parameters = resolve_parameters(task, parse_parameters(options.param))
        inputs = parse_inputs(options.input)
    except InvalidParameters as error:
        sys.stderr.write(f"{error}\nSee: python -m audiojob_runner tasks\n")
        return int(ExitCode.USAGE)
    except PhaseError as error:
        sys.stderr.write(f"{error.message}\n{error.suggestion}\n")
        return error.exit_code
    return run_local(
        LocalRun(
            task=task,
            parameters=parameters,
            inputs=inputs,
            out=options.out,
            models=options.models.resolve(),
            device=Device(options.device),
            allowed_cidrs=tuple(options.allow_cidr),
            force=options.force,
            verbose=options.verbose,
            publishing=_publishing(options),
        )
    )
