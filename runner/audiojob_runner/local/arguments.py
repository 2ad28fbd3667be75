"""What a person wrote after ``run``: inputs and parameters, and whatever can be refused before any work is done."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from audiojob_runner.errors import PhaseError
from audiojob_runner.task import TaskInput
from audiojob_types.contract import ExitCode
from audiojob_types.descriptor import TaskParameters
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task
from audiojob_types.tasks.separate import SeparateParameters

HELP: Final = "See: python -m audiojob_runner run --help"
# Endings of files by the only media type that an output can have, and of formats that are not called as their files.
_ENDINGS: Final = {"audio/wav": "wav", "application/json": "json", "application/octet-stream": "bin", "jpeg": "jpg"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where outputs go: the folder, whether files there may be overwritten, and Publish's library."""

    out: Path
    force: bool = False
    library: Path | None = None


def parse_inputs(pairs: list[str]) -> tuple[TaskInput, ...]:
    """Inputs from ``name=path`` and ``name=https://…``. Raises :class:`PhaseError`: InvalidSpec, InputMissing."""
    inputs: dict[str, TaskInput] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name or not value:
            raise usage(f"--input {pair!r} is not of the form NAME=FILE or NAME=URL.")
        if name in inputs:
            raise usage(f"There are two inputs named {name!r}.")
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


def parse_parameters(pairs: list[str], model: type[TaskParameters]) -> dict[str, Any]:
    """Parameters from ``name=value``, each read as its field is: text stays as it is written, a list may be plain words
    (``vocals,drums`` or ``[vocals, drums]``), and the rest is JSON. Raises :class:`PhaseError`."""
    kinds = {field.alias or name: _kinds(field.annotation) for name, field in model.model_fields.items()}
    parameters: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise usage(f"--param {pair!r} is not of the form NAME=VALUE.")
        parameters[name] = _read(value, kinds.get(name, frozenset()))
    return parameters


def _kinds(annotation: Any) -> frozenset[type]:
    """The plain types that a field may have: str, int, tuple, …"""
    origin = get_origin(annotation)
    if origin is Literal:
        return frozenset(type(value) for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        return frozenset().union(*(_kinds(each) for each in get_args(annotation)))
    if hasattr(annotation, "__metadata__"):
        return _kinds(annotation.__origin__)
    return frozenset({origin or annotation})


def _read(value: str, kinds: frozenset[type]) -> Any:
    try:
        found = json.loads(value)
    except ValueError:
        found = value
    if str in kinds:
        # Quotes as of JSON are taken off, for numbers had to be put into them once.
        return found if isinstance(found, str) else value
    if tuple in kinds and not isinstance(found, list):
        words = value.strip().removeprefix("[").removesuffix("]").split(",")
        return [word.strip().strip("\"'") for word in words if word.strip()]
    return found


def check(task: Task, parameters: TaskParameters, inputs: Iterable[TaskInput], target: Target) -> None:
    """Refuse what cannot end well, before any work. Raises :class:`PhaseError`."""
    known = task.descriptor
    if known.runs_program:
        raise usage(f"{task.value} runs a program in an image of its own, which takes a cluster.")
    _check_names(task, {given.name for given in inputs})
    if known.publishes and target.library is None:
        raise usage(f"{task.value} needs a library: the folder that it adds files to.", "Add --library DIR.")
    if target.library is not None and not target.library.is_dir():
        raise usage(f"--library {target.library} is not a folder.", "Make the folder first, or correct the path.")
    refuse_overwriting(target, expected_files(task, parameters))


def _check_names(task: Task, given: set[str]) -> None:
    # What only says something about the others cannot be given here.
    wanted = [each for each in task.descriptor.inputs if not each.metadata_only]
    names = ", ".join(f"--input {'NAME' if each.name == '*' else each.name}=FILE" for each in wanted)
    listed = {each.name for each in wanted}
    if "*" not in listed and (unknown := sorted(given - listed)):
        raise usage(f"{task.value} has no input named {', '.join(map(repr, unknown))}.", f"It takes {names}.")
    needed = [each.name for each in wanted if not each.optional]
    if missing := [name for name in needed if not (given if name == "*" else name in given)]:
        of_name = "" if missing == ["*"] else f" named {missing[0]!r}"
        raise usage(f"{task.value} needs an input{of_name}.", f"It takes {names}.")


def expected_files(task: Task, parameters: TaskParameters) -> list[str]:
    """Names of the files that the task is sure to write, as far as they are known before it has run."""
    form = str(getattr(parameters, "container", getattr(parameters, "format", "original")))
    stems = (parameters.keep or parameters.stem_names) if isinstance(parameters, SeparateParameters) else None
    names = []
    for output in task.descriptor.outputs:
        asked = getattr(parameters, output.name, True) if output.optional else True
        if "*" in output.name or not asked or (stems is not None and output.name not in stems):
            continue
        only = output.media_types[0] if len(output.media_types) == 1 else None
        own = str(getattr(parameters, f"{output.name}_format", form))
        ending = _ENDINGS.get(only) if only is not None else _ENDINGS.get(own, own)
        if ending not in (None, "original"):
            names.append(f"{output.name}.{ending}")
    return names


def refuse_overwriting(target: Target, names: Iterable[str]) -> None:
    """Raises :class:`PhaseError` where one of these files is there already and may not be overwritten."""
    there = [name for name in names if (target.out / name).exists()]
    if there and not target.force:
        raise usage(f"{target.out} already has {', '.join(there)}.", "Choose another --out, or overwrite with --force.")


def usage(message: str, suggestion: str = HELP) -> PhaseError:
    """The error for a command that cannot be carried out as it is written."""
    return PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, message, suggestion)
