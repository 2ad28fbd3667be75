"""Container: collects what the administrator's program left in its folder. The program has ended.

Nothing in the folder is trusted: it may hold links to files of this container, devices, or names that are no names.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import MEDIA_TYPES
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_runner.tasks.program_folder import OUTPUTS, OUTPUTS_INDEX, read_plain_file
from audiojob_store.layout import RESERVED_NAMES
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.outside.question import MAX_QUESTION_CHARACTERS
from audiojob_types.reasons import Reason

MAX_FILES: Final = 1_000
_HOLES_MATTER_BYTES: Final = 1024**2
MAX_INDEX_BYTES: Final = 1024 * 1024
_FILE: Final = re.compile(r"[A-Za-z0-9][-_.A-Za-z0-9]{0,127}")
_NAME: Final = re.compile(r"[a-z0-9]([-_.a-z0-9]{0,61}[a-z0-9])?")
_MEDIA_TYPE: Final = r"^[a-z]+/[-+.a-z0-9]+$"
# Beside those of sound and film.
_OTHER_TYPES: Final = {
    "csv": "text/csv", "html": "text/html", "jpg": "image/jpeg", "json": "application/json",
    "jsonl": "application/jsonl", "lrc": "text/plain", "mid": "audio/midi", "midi": "audio/midi",
    "musicxml": "application/vnd.recordare.musicxml+xml", "pdf": "application/pdf", "png": "image/png",
    "srt": "application/x-subrip", "txt": "text/plain", "vtt": "text/vtt", "xml": "application/xml",
    "zip": "application/zip",
}  # fmt: skip


class FileNote(WireModel):
    """What a program says of one of its files."""

    name: str | None = None
    media_type: str | None = Field(default=None, pattern=_MEDIA_TYPE, max_length=100)
    metadata: dict[str, Any] = Field(default_factory=dict)


class OutputsIndex(WireModel):
    """``outputs.json``, which a program may leave beside its outputs: notes by file name, and a question to people."""

    files: dict[str, FileNote] = Field(default_factory=dict, max_length=MAX_FILES)
    review_asked: str | None = Field(default=None, max_length=MAX_QUESTION_CHARACTERS)


def run(inputs: Mapping[str, TaskInput], _parameters: WireModel, context: TaskContext) -> TaskResult:
    """The outputs. Raises :class:`PhaseError` (75, ProgramFailed) with a sentence for what cannot be published."""
    given = inputs.get(OUTPUTS)
    if given is None or given.path is None:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            "A Container phase runs an image of the administrator, which needs Kubernetes.",
            "Run the image directly; docs/custom-tasks.md says where it finds its files.",
        )
    index = read_index(given.path / OUTPUTS_INDEX)
    files = list_files(given.path / OUTPUTS, context)
    outputs = name_outputs(files, index)
    return TaskResult(outputs=outputs, metadata=dict(given.metadata), review_asked=index.review_asked)


def read_index(path: Path) -> OutputsIndex:
    """The notes; none where there is no such file."""
    content = read_plain_file(path, MAX_INDEX_BYTES + 1)
    if content is None:
        if os.path.lexists(path):
            raise _failure(f"{OUTPUTS_INDEX} is not a file that can be read")
        return OutputsIndex()
    if len(content) > MAX_INDEX_BYTES:
        raise _failure(f"{OUTPUTS_INDEX} is larger than {MAX_INDEX_BYTES} bytes")
    try:
        return OutputsIndex.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise _failure(f"{OUTPUTS_INDEX} is not valid: {where}: {first['msg']}") from None


def list_files(folder: Path, context: TaskContext) -> list[Path]:
    """The plain files of a folder, by name; those that begin with a dot are passed over."""
    try:
        status = folder.lstat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name) if stat.S_ISDIR(status.st_mode) else None
    except OSError as error:
        raise _failure(f"the folder {OUTPUTS} cannot be read: {error.strerror or error}") from error
    if entries is None:
        raise _failure(f"{OUTPUTS} is not a folder any more")
    files: list[Path] = []
    inodes: dict[int, str] = {}
    for entry in entries:
        if entry.name.startswith("."):
            context.log.info("Ignored: %s", _shown(entry.name))
        elif not entry.is_file(follow_symlinks=False):
            kind = "a folder" if entry.is_dir(follow_symlinks=False) else "a link or device"
            raise _failure(f"{_shown(entry.name)} in {OUTPUTS} is {kind}; only files can be published")
        elif not _FILE.fullmatch(entry.name) or entry.name in RESERVED_NAMES:
            raise _failure(
                f"{_shown(entry.name)} cannot be a file's name; use letters, digits, '.', '-' and '_', 128 at most, "
                f"but not {' or '.join(sorted(RESERVED_NAMES))}"
            )
        elif len(files) == MAX_FILES:
            raise _failure(f"there are more than {MAX_FILES} files in {OUTPUTS}; pack them into one")
        else:
            _refuse_holes(entry)
            # A thousand names of one file take its room once here, and a thousand times in the store.
            if (first := inodes.setdefault(entry.inode(), entry.name)) != entry.name:
                raise _failure(f"{first} and {entry.name} in {OUTPUTS} are two names of one file; copy it or leave one")
            files.append(Path(entry.path))
    if not files:
        raise _failure(f"the folder {OUTPUTS} is empty")
    return files


def _refuse_holes(entry: os.DirEntry[str]) -> None:
    """A file with holes takes no room here and all of its size in the store."""
    status = entry.stat(follow_symlinks=False)
    if status.st_size > _HOLES_MATTER_BYTES and status.st_blocks * 512 * 10 < status.st_size:
        raise _failure(f"{entry.name} consists of holes: {status.st_size} bytes, of which next to none are there")


def name_outputs(files: list[Path], index: OutputsIndex) -> list[TaskOutput]:
    """Outputs by the names of their files without the ending, in lower case, or by what the notes call them."""
    known = {path.name for path in files}
    for name in index.files:
        if name not in known:
            raise _failure(f"{OUTPUTS_INDEX} tells of {_shown(name)}, which is not in {OUTPUTS}")
    outputs: dict[str, TaskOutput] = {}
    for path in files:
        note = index.files.get(path.name, FileNote())
        name = note.name if note.name is not None else path.stem.lower()
        if not _NAME.fullmatch(name):
            raise _failure(
                f"{_shown(name)} cannot be the name of output {path.name}; use at most 63 lower-case letters, digits, "
                "'.', '-' and '_'"
            )
        if name in outputs:
            raise _failure(
                f"{outputs[name].path.name} and {path.name} would both be output {name}; "
                f"give them names in {OUTPUTS_INDEX}"
            )
        media_type = note.media_type or _media_type(path)
        outputs[name] = TaskOutput(name, path, media_type, note.metadata)
    return list(outputs.values())


def _media_type(path: Path) -> str:
    ending = path.suffix[1:].lower()
    return MEDIA_TYPES.get(ending) or _OTHER_TYPES.get(ending) or "application/octet-stream"


def _shown(name: str) -> str:
    return repr(name[:80])


def _failure(what: str) -> PhaseError:
    return PhaseError(
        ExitCode.TEMPORARY,
        Reason.PROGRAM_FAILED,
        f"The program succeeded, but {what}.",
        "Correct the program in the image of the phase; docs/custom-tasks.md says what it may leave.",
    )
