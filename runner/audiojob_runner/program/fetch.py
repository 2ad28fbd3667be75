"""The first container of a Container phase: writes the inputs and parameters to files for the program."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from audiojob_runner import logs
from audiojob_runner.errors import PhaseError, as_phase_error
from audiojob_runner.phase import result
from audiojob_runner.phase.inputs import Fetcher
from audiojob_runner.phase.logpieces import LogPieces
from audiojob_runner.phase.watchdog import Interruption, Watchdog, block_stop_signals
from audiojob_runner.settings import Paths, PodIdentity, read_parameters, read_phase_input, read_pod_identity
from audiojob_runner.store import Store, open_store
from audiojob_runner.task import TaskInput
from audiojob_runner.tasks.program_folder import (
    INPUTS,
    INPUTS_INDEX,
    OUTPUTS,
    PARAMETERS,
    PARAMETERS_FOLDER,
    PROGRESS,
    TEMPORARY,
)
from audiojob_store import trees
from audiojob_store.layout import LOG_FOLDER
from audiojob_types.contract import ExitCode, PhaseInput
from audiojob_types.reasons import Reason
from audiojob_types.tasks.container import ContainerParameters

LOG_SECONDS: Final = 5.0
_PARTS: Final = ".parts"  # what is on its way; no input can have this name

_log = logging.getLogger(__name__)


def run_fetch(environ: Mapping[str, str], root: Path = Path("/")) -> int:
    """Fetch what the phase file names; the exit code. ``root`` moves the contract's paths, for a dry run.

    Everything that goes wrong ends as a termination message and a code of the contract, as in the other containers.
    """
    block_stop_signals()
    paths = Paths.under(root)
    pieces = LogPieces()
    logs.configure(pieces.write_line)
    interruption = Interruption()
    try:
        pod = read_pod_identity(environ)
        phase_input = read_phase_input(environ, paths)
        watchdog = Watchdog(phase_input.limits, interruption, lambda error: _give_up(paths, error))
        with watchdog.watching():
            _Fetch(paths, pod, phase_input, pieces, interruption, watchdog).run()
    except Exception as failed:  # noqa: BLE001 - whatever it is, it must end in a termination message
        error = as_phase_error(failed, "Fetching the inputs")
        _log.error("%s", error.message, exc_info=None if error is failed else failed)
        pieces.close(LOG_SECONDS)
        result.write(paths.termination_file, result.failure(error, pieces.first_key))
        return error.exit_code
    pieces.close(LOG_SECONDS)
    return int(ExitCode.OK)


def _give_up(paths: Paths, error: PhaseError) -> None:
    """The main thread does not come back."""
    with suppress(Exception):
        result.write(paths.termination_file, result.failure(error))
    os._exit(error.exit_code)


class _Fetch:
    """One run of it."""

    def __init__(
        self,
        paths: Paths,
        pod: PodIdentity,
        phase_input: PhaseInput,
        pieces: LogPieces,
        interruption: Interruption,
        watchdog: Watchdog,
    ) -> None:
        self._work, self._credentials = paths.work, paths.credentials
        self._input = phase_input
        self._log_folder = f"{phase_input.attempt_prefix}{pod.uid[:8]}/{LOG_FOLDER}/fetch"
        self._pieces = pieces
        self._interruption = interruption
        self._watchdog = watchdog

    def run(self) -> None:
        """All of it. Raises :class:`PhaseError`."""
        if not self._input.task.descriptor.runs_program:
            raise PhaseError(
                ExitCode.USAGE, Reason.INVALID_SPEC, f"{self._input.task.value} phases fetch their inputs themselves."
            )
        parameters = read_parameters(self._input)
        assert isinstance(parameters, ContainerParameters)
        store = open_store(self._input.store, self._credentials)
        self._pieces.start(store, self._log_folder)
        for name in (OUTPUTS, TEMPORARY):
            (self._work / name).mkdir(exist_ok=True)
        (self._work / PROGRESS).touch()
        trees.remove_tree(self._inputs, _PARTS)  # of a run that the node's restart cut short
        self._write_parameters(parameters)
        listed = [self._bring(store, number) for number in range(len(self._input.inputs))]
        with suppress(FileNotFoundError):
            (self._inputs / _PARTS).rmdir()
        # Last: where it is, all that it lists is there.
        (self._inputs / INPUTS_INDEX).write_text(_json({"inputs": listed}), encoding="utf-8")
        _log.info("Fetched %d inputs for %s.", len(listed), self._input.program.image if self._input.program else "")

    @property
    def _inputs(self) -> Path:
        return self._work / INPUTS

    def _write_parameters(self, parameters: ContainerParameters) -> None:
        """As one JSON file, and each value as a file of its own for programs that read no JSON."""
        (self._inputs / PARAMETERS).write_text(_json(parameters.values), encoding="utf-8")
        folder = self._inputs / PARAMETERS_FOLDER
        folder.mkdir(exist_ok=True)
        for name, value in parameters.values.items():
            (folder / name).write_text(value, encoding="utf-8")

    def _bring(self, store: Store, number: int) -> dict[str, Any]:
        """One input as the file of its name; its entry in the index."""
        item = self._input.inputs[number]
        name = item.name
        if item.url is not None:
            raise PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                f"Input {name!r} is an address, but a Container phase takes files only.",
                "Add a Download phase before it in the pipeline.",
            )
        place = store if item.library is None else self._library(item.library)
        limit = self._input.limits.max_input_bytes
        fetcher = Fetcher(place, self._inputs / _PARTS, limit, self._beat)
        fetched: TaskInput = fetcher.fetch(number, item.model_copy(update={"library": None}))
        assert fetched.path is not None, "only addresses have no path"
        size = fetched.path.stat().st_size
        fetched.path.rename(self._inputs / name)
        fetched.path.parent.rmdir()
        entry = {"name": name, "bytes": size, "mediaType": fetched.media_type, "metadata": dict(fetched.metadata)}
        return {key: value for key, value in entry.items() if value is not None}

    def _library(self, name: str) -> Store:
        """The administrator's library that an input lies in; the contract's own rule is that it is told of."""
        config = next(library.store for library in self._input.libraries if library.name == name)
        return open_store(config, self._credentials)

    def _beat(self, _count: int = 0) -> None:
        self._watchdog.beat()
        self._interruption.check()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
