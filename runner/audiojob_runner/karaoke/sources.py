"""The files that a film is made of, read and checked before any work is done on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from audiojob_runner.errors import PhaseError
from audiojob_runner.lyrics.read import first_fault
from audiojob_runner.media.ffmpeg import Failure, FfmpegError
from audiojob_runner.media.probe import explain
from audiojob_runner.task import TaskInput
from audiojob_types.contract import ExitCode
from audiojob_types.documents.lyrics import MAX_RECORD_BYTES, Lyrics
from audiojob_types.reasons import Reason

MAX_WORDS: Final = 50_000


def file_of(inputs: Mapping[str, TaskInput], name: str, task: str) -> Path | None:
    """The input's file; None where it is not given. Raises :class:`PhaseError` for an address."""
    given = inputs.get(name)
    if given is None:
        return None
    if given.path is None:
        raise invalid(f"{task} takes files, but input {name!r} is an address.", "Add a Download phase before it.")
    return given.path


def needed(inputs: Mapping[str, TaskInput], name: str, task: str) -> Path:
    """The same of an input that must be there. Raises :class:`PhaseError`."""
    path = file_of(inputs, name, task)
    if path is None:
        raise invalid(f"{task} needs an input file named {name!r}.")
    return path


def read_record(path: Path) -> Lyrics:
    """``lyrics.json``. Raises :class:`PhaseError`."""
    with path.open("rb") as file:
        content = file.read(MAX_RECORD_BYTES + 1)
    suggestion = "Give the output lyrics of a Lyrics phase, or correct what was changed in it."
    if len(content) > MAX_RECORD_BYTES:
        raise invalid(f"The input lyrics has more than {MAX_RECORD_BYTES // 1024**2} MiB; a song has fewer words.")
    try:
        lyrics = Lyrics.read(content)
    except ValidationError as error:
        if error.errors(include_url=False, include_context=False, include_input=False)[0]["type"] == "json_invalid":
            raise invalid("The input lyrics is no JSON, and so no lyrics.json.", suggestion) from error
        raise invalid(f"The input lyrics is no lyrics.json: {first_fault(error, 'the whole')}.", suggestion) from error
    if sum(len(line.words) for line in lyrics.lines) > MAX_WORDS:
        raise invalid(f"The input lyrics has more than {MAX_WORDS:,} words; a song has fewer.")
    return lyrics


def invalid(message: str, suggestion: str = "") -> PhaseError:
    """The error for what a user can put right."""
    return PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, message, suggestion)


def of_input(error: PhaseError, name: str) -> PhaseError:
    """The same about an input by name: there are several sources."""
    message = error.message.replace("The source", f"The input {name}", 1)
    return PhaseError(error.exit_code, error.reason, message, error.suggestion)


def unwritten(error: FfmpegError) -> PhaseError:
    """The error for a film that could not be written: its sources were read before, and are not to blame."""
    if error.failure in (Failure.CANCELLED, Failure.DISK_FULL, Failure.MISSING, Failure.UNWRITTEN, Failure.TOO_LARGE):
        return explain(error.failure, b"", 1)
    if error.failure is Failure.OUT_OF_MEMORY:
        return PhaseError(
            ExitCode.TEMPORARY, Reason.OUT_OF_MEMORY, "The encoder was ended, most likely for want of memory."
        )
    return PhaseError(
        ExitCode.TEMPORARY,
        Reason.TEMPORARY_FAILURE,
        "The encoder stood still." if error.failure is Failure.TOO_SLOW else "The film could not be written.",
        "The log has the details.",
    )
