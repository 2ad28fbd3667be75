"""The folder that a Container phase's program and the runner share. Nothing in it is trusted."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audiojob_runner.settings import Paths
from audiojob_runner.task import TaskInput
from audiojob_types.contract import PhaseInput

INPUTS: Final = "inputs"
OUTPUTS: Final = "outputs"
TEMPORARY: Final = "scratch"
PROGRESS: Final = "progress"
OUTPUTS_INDEX: Final = "outputs.json"
# Names of inputs and values have no dots, so these never hide one.
INPUTS_INDEX: Final = "manifest.json"
PARAMETERS: Final = "parameters.json"
PARAMETERS_FOLDER: Final = "parameters.d"
PUBLISHING: Final = "publishing"  # in the control folder, which the program does not see

# An appended file is read from its end; a line is far shorter.
PROGRESS_BYTES: Final = 4_096
_LINE: Final = re.compile(r"\s*(?P<percent>\d{1,3}(\.\d{1,6})?)\s*%?(\s+(?P<message>.*))?")


@dataclass(frozen=True, slots=True)
class ProgramProgress:
    """What a program says of itself. ``percent`` is 0-100."""

    percent: float
    message: str


def made_by_program(paths: Paths, phase_input: PhaseInput) -> TaskInput:
    """The program's folder as the input of the task that collects its outputs. Tells the reporter that it is over."""
    (paths.control / PUBLISHING).touch()
    program = phase_input.program
    metadata: dict[str, Any] = {"image": program.image, "program": program.sha256} if program else {}
    return TaskInput(name=OUTPUTS, path=paths.work, metadata=metadata)


def read_plain_file(path: Path, limit: int, *, tail: bool = False) -> bytes | None:
    """At most ``limit`` bytes of a file that a program left, its last ones with ``tail``; None where there is none.

    Links and devices count as none: a link would be followed here, where files are that the program must not see.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        if tail and status.st_size > limit:
            os.lseek(descriptor, -limit, os.SEEK_END)
        return os.read(descriptor, limit)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def parse_progress(content: bytes) -> ProgramProgress | None:
    """The newest whole line of a progress file that says something: ``42 Drawing page 3``. None if none does.

    A line without an end counts only where it is the only one: it may still be being written.
    """
    *whole, rest = content.decode("utf-8", "replace").split("\n")
    for line in [rest, *whole] if not whole else reversed(whole):
        found = _LINE.fullmatch(line)
        if found and float(found["percent"]) <= 100:
            message = "".join(letter if letter.isprintable() else " " for letter in found["message"] or "")
            return ProgramProgress(float(found["percent"]), message)
    return None
