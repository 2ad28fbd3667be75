"""Publishes an attempt: every output to the store, and the manifest last. Before that nothing is visible."""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from audiojob_runner.errors import PhaseError
from audiojob_runner.store.base import CHUNK_BYTES, Store
from audiojob_runner.store.manifest import Published, build_manifest, encode, find_published, reference
from audiojob_runner.task import TaskOutput, TaskResult
from audiojob_store import trees
from audiojob_store.layout import RESERVED_NAMES
from audiojob_types.constants import MANIFEST_NAME
from audiojob_types.contract import ExitCode, ManifestOutput, PhaseInput
from audiojob_types.reasons import Reason

_FILE_NAME = re.compile(r"[A-Za-z0-9][-_.A-Za-z0-9]{0,127}")


@dataclass(frozen=True, slots=True)
class Publisher:
    """Puts outputs below ``folder``, a key or "" for the top. ``on_bytes`` is called for each piece and may raise.

    ``made_in`` is where the task may make its files: who names another that can be read here would publish it.
    ``opened`` is that folder, where the task could put a link to another one in its place.
    """

    store: Store
    folder: str
    made_in: Path
    on_bytes: Callable[[int], None]
    opened: int | None = None

    def publish(self, phase_input: PhaseInput, mark: str, result: TaskResult) -> Published:
        """All outputs, then the manifest. On failure what was written is removed again.

        When another pod of the same phase published the same work meanwhile, that stays the only one.
        """
        outputs = self.put_all(result.outputs)
        try:
            earlier = find_published(self.store, phase_input.output_prefix, mark)
            if earlier is not None:
                self._remove([self._key(output.file) for output in outputs])
                return earlier
            manifest = build_manifest(
                phase_input, mark, outputs, result.metadata, datetime.now(UTC), result.review_asked
            )
            content = encode(manifest)
            key = self._key(MANIFEST_NAME)
            self.on_bytes(0)
            self.store.write(key, content)
        except BaseException:
            self._remove([self._key(output.file) for output in outputs])
            raise
        return Published(manifest=manifest, ref=reference(key, content, manifest))

    def put_all(self, outputs: list[TaskOutput]) -> list[ManifestOutput]:
        """All outputs without a manifest. On failure what was written is removed again."""
        self._check(outputs)
        written: list[str] = []
        files: set[tuple[int, int]] = set()
        try:
            return [self._put(output, written, files) for output in outputs]
        except BaseException:
            self._remove(written)
            raise

    def _key(self, file: str) -> str:
        return f"{self.folder}/{file}" if self.folder else file

    def _put(self, output: TaskOutput, written: list[str], files: set[tuple[int, int]]) -> ManifestOutput:
        key = self._key(output.path.name)
        digest = hashlib.sha256()
        size = crc32 = 0

        def chunks(file: BinaryIO) -> Iterator[bytes]:
            nonlocal size, crc32
            while chunk := file.read(CHUNK_BYTES):
                self.on_bytes(len(chunk))
                digest.update(chunk)
                crc32 = zlib.crc32(chunk, crc32)
                size += len(chunk)
                yield chunk

        with self._open(output) as opened:
            status = os.fstat(opened.fileno())
            # A thousand names of one file take its room once here, and a thousand times in the store.
            if (status.st_dev, status.st_ino) in files:
                raise _bad_output(output, f"{output.path.name} is another name of a file that is an output already")
            files.add((status.st_dev, status.st_ino))
            written.append(key)
            if status.st_size <= CHUNK_BYTES:
                self.store.write(key, b"".join(chunks(opened)))
            else:
                self.store.write_stream(key, chunks(opened))
        try:
            return ManifestOutput(
                name=output.name,
                file=output.path.name,
                media_type=output.media_type,
                bytes=size,
                sha256=digest.hexdigest(),
                crc32=f"{crc32:08x}",
                metadata=output.metadata,
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise _bad_output(output, f"{first['loc'][0]}: {first['msg']}") from None

    def _open(self, output: TaskOutput) -> BinaryIO:
        """The worker still lives and may have swapped the file, or a folder on the way to it, since it was checked."""
        root = self.made_in if self.opened is None else self.opened
        try:
            descriptor = trees.open_file(root, output.path.relative_to(self.made_in).as_posix())
        except OSError as error:
            raise _bad_output(output, f"{output.path.name} cannot be read ({error.strerror})") from error
        return os.fdopen(descriptor, "rb")

    def _check(self, outputs: list[TaskOutput]) -> None:
        names: set[str] = set()
        files: set[str] = set()
        for output in outputs:
            if not output.path.is_relative_to(self.made_in) or ".." in output.path.parts:
                raise _bad_output(output, "its file lies outside the folder that the task may write into")
            if not _FILE_NAME.fullmatch(output.path.name) or output.path.name in RESERVED_NAMES:
                raise _bad_output(output, f"the file name {output.path.name!r} is not allowed")
            if output.path.is_symlink() or not output.path.is_file():
                raise _bad_output(output, f"{output.path.name} is not a file")
            if output.name in names or output.path.name in files:
                raise _bad_output(output, "there are two of that name")
            names.add(output.name)
            files.add(output.path.name)

    def _remove(self, keys: list[str]) -> None:
        for key in keys:
            with suppress(PhaseError):
                self.store.delete(key)


def total_bytes(outputs: list[TaskOutput]) -> int:
    """Size of all outputs."""
    return sum(output.path.stat().st_size for output in outputs)


def _bad_output(output: TaskOutput, what: str) -> PhaseError:
    return PhaseError(
        ExitCode.TEMPORARY,
        Reason.TEMPORARY_FAILURE,
        f"The task made an output {output.name!r} that cannot be published: {what}.",
        "This is a bug of the task; report it with the log.",
    )
