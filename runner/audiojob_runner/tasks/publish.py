"""Publish: adds files to a library under names made of titles, each as a whole, never over another one.

The only task whose work can be seen before its manifest is written. It may be killed at any line: done again, it finds
what is there already and adds the rest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.library.library import Added, Library, Piece, open_library
from audiojob_runner.store import open_store
from audiojob_runner.store.base import CHUNK_BYTES
from audiojob_runner.task import Publishing, TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_store.filenames import MAX_NUMBER, Naming, clean_extension, naming, place
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.destination import Layout
from audiojob_types.reasons import Reason
from audiojob_types.tasks.publish import ABOUT_INPUT, PublishParameters

LIST_NAME: Final = "published.json"


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Where the files go, and what may stop them."""

    library: Library
    name: str
    layout: Layout
    beat: Callable[[], None]


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """All inputs but ``about`` into the library; output ``published`` lists where they are."""
    assert isinstance(parameters, PublishParameters)
    publishing = context.publishing
    if publishing is None:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            "Publish needs a destination.",
            "Set spec.destination.library; on the command line --library.",
        )
    files = _files(inputs)
    about = _about(inputs, parameters)
    total = max(1, sum(path.stat().st_size for _, path in files))
    done = 0

    def beat() -> None:
        if context.cancelled.is_set():
            raise PhaseError(ExitCode.STOPPED, Reason.STOPPED, "Publishing was stopped.")

    def copied(count: int) -> None:
        nonlocal done
        beat()
        done += count
        context.used.written_bytes += count
        context.progress(min(99.0, 100 * done / total), "Publishing")

    shelf = _Shelf(_open(publishing), publishing.library, publishing.layout, beat)
    published = []
    for given, path in files:
        words = naming(
            {**given.metadata, **about}, job=publishing.job, output=given.name, extension=clean_extension(path.suffix)
        )
        piece = Piece(path, given.sha256 or _digest(path, beat), copied)
        key, added = _add(shelf, words, piece)
        context.log.info("%s: %s in library %s", "new" if added is Added.NEW else "there already", key, shelf.name)
        published.append(
            {"input": given.name, "library": shelf.name, "key": key, "bytes": piece.size, "sha256": piece.sha256}
        )
    context.progress(100, "Published")
    return TaskResult(outputs=[_list(published, context)], metadata={"library": shelf.name, "published": published})


def _open(publishing: Publishing) -> Library:
    return open_library(open_store(publishing.store, publishing.credentials), publishing.library)


def _files(inputs: Mapping[str, TaskInput]) -> list[tuple[TaskInput, Path]]:
    files = []
    for given in inputs.values():
        if given.name == ABOUT_INPUT:
            continue
        if given.path is None:
            raise PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                f"Publish takes files, but input {given.name!r} is an address.",
                "Add a Download phase before it, as in the pipeline download.",
            )
        files.append((given, given.path))
    if not files:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Publish has no input to publish.")
    return files


def _about(inputs: Mapping[str, TaskInput], parameters: PublishParameters) -> dict[str, Any]:
    """What the piece is called: the user's words before the source's."""
    source = inputs.get(ABOUT_INPUT)
    return {**(source.metadata if source else {}), **parameters.to_wire()}


def _add(shelf: _Shelf, words: Naming, piece: Piece) -> tuple[str, Added]:
    for number in range(1, MAX_NUMBER + 1):
        shelf.beat()
        key = place(shelf.layout, words, number)
        added = shelf.library.add(key, piece)
        if added is not Added.TAKEN:
            return key, added
    key = place(shelf.layout, words)
    raise PhaseError(
        ExitCode.USAGE,
        Reason.INVALID_SPEC,
        f"Library {shelf.name} already has {MAX_NUMBER} files named {key}.",
        "Set a different parameters.publish.title, or another layout.",
    )


def _digest(path: Path, beat: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            beat()
    return digest.hexdigest()


def _list(published: list[dict[str, Any]], context: TaskContext) -> TaskOutput:
    path = context.work_dir / LIST_NAME
    path.write_text(json.dumps({"files": published}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return TaskOutput(name="published", path=path, media_type="application/json", metadata={"files": len(published)})
