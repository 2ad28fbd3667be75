"""Uploads in a folder store. Parts come into one file; a rename makes it an upload.

``<namespace>/uploads/.incoming/<id>/`` has the record, ``data``, and for each part that is there its sha256 in
``part-00001``; ``<namespace>/uploads/<id>/`` the file under its own name, with the record. The
rename of a folder moves both at once. All of it blocks, and raises :class:`Refusal` or ``OSError``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import ValidationError

from audiojob_files.refusals import Refusal
from audiojob_files.uploads.record import (
    DONE_RECORD,
    HEAD_BYTES,
    MAX_RECORD_BYTES,
    RECORD,
    Limits,
    Record,
    check_content,
    stored_name,
)
from audiojob_store import trees
from audiojob_store.layout import INCOMING_FOLDER, UPLOADS_FOLDER
from audiojob_store.ticket import PART_BYTES, Ticket, UploadState, part_size, parts_of

_DATA: Final = "data"
_WHOLE: Final = "whole"
_PART: Final = "part-"
_READ_BYTES: Final = 256 * 1024


def no_upload() -> Refusal:
    """404, also for somebody else's."""
    return Refusal(404, "not-found", "There is no such upload.")


@dataclass(frozen=True, slots=True)
class Uploads:
    """The uploads of one namespace. ``root`` is the folder below which the namespace's lies."""

    root: Path
    namespace: str
    limits: Limits

    # ---------------------------------------------------------------- places

    def incoming(self, upload: str) -> str:
        """The folder of one whose parts come in."""
        return f"{self.namespace}/{INCOMING_FOLDER}/{upload}"

    def done(self, upload: str) -> str:
        """The folder of one that is complete."""
        return f"{self.namespace}/{UPLOADS_FOLDER}/{upload}"

    # ---------------------------------------------------------------- records

    def create(self, ticket: Ticket, now: datetime) -> UploadState:
        """A new one, if there is room. The caller lets one be made at a time."""
        size, kind, name = ticket.size or 0, ticket.type or "", ticket.name or ""
        self.limits.check(size, kind)
        opened, owner = self._open(), ticket.owner or ""
        self.limits.check_open(len(opened), sum(record.owner == owner for record, _ in opened))
        self.limits.check_waiting_room(size, sum(record.bytes for record, _ in opened))
        with trees.folder(self.root, f"{self.namespace}/{INCOMING_FOLDER}", create=True) as folder:
            space = os.fstatvfs(folder)
        promised = sum(record.bytes - taken for record, taken in opened)
        self.limits.check_room(size, space.f_bavail * space.f_frsize, promised)
        record = Record(
            id=ticket.key, name=name, file=stored_name(name), bytes=size, media_type=kind,
            owner=owner, created_time=now, wanted_sha256=ticket.sha256,
        )  # fmt: skip
        self.begin(record)
        return self.shown(record)

    def begin(self, record: Record) -> None:
        """Make the place where its parts come in. One that is there stays: several may find at once that it lacks."""
        with trees.folder(self.root, self.incoming(record.id), create=True) as folder:
            os.close(trees.open_in(folder, _DATA, os.O_WRONLY | os.O_CREAT))
        trees.write_file(self.root, f"{self.incoming(record.id)}/{RECORD}", encoded(record))

    def shrink(self, upload: str, owner: str | None, size: int) -> None:
        """All of it came, and it is smaller than the most that it might have been."""
        record, _ = self.find(upload, owner)
        found = record.model_copy(update={"bytes": size})
        trees.write_file(self.root, f"{self.incoming(upload)}/{RECORD}", encoded(found))

    def forget(self, upload: str) -> None:
        """Remove what came of one that is not complete."""
        trees.remove_tree(self.root, self.incoming(upload))

    def find(self, upload: str, owner: str | None) -> tuple[Record, bool]:
        """The record, and whether the upload is complete. Somebody else's is not there."""
        for key, complete in (
            (f"{self.done(upload)}/{DONE_RECORD}", True),
            (f"{self.incoming(upload)}/{RECORD}", False),
        ):
            record = self._read(key)
            if record is not None and record.id == upload and record.owner == owner:
                return record, complete
        raise no_upload()

    def state(self, upload: str, owner: str | None) -> UploadState:
        """The upload, with the parts that are there."""
        record, complete = self.find(upload, owner)
        return self.shown(record, complete=complete)

    def use(self, upload: str, owner: str | None) -> UploadState:
        """The complete upload, which is kept for as long as if it came now. Raises a 409 where it is not complete."""
        record, complete = self.find(upload, owner)
        if not complete:
            raise Refusal(409, "upload-not-complete", "The upload is not complete; send all parts and complete it.")
        with trees.folder(self.root, self.done(upload)) as folder:
            os.utime(DONE_RECORD, dir_fd=folder, follow_symlinks=False)
        return self.shown(record, complete=True)

    def delete(self, upload: str, owner: str | None) -> None:
        """Remove it. The record goes last, so that what a crash leaves can be removed again."""
        self.find(upload, owner)
        trees.remove_tree(self.root, self.incoming(upload))
        trees.remove_tree(self.root, self.done(upload))

    # ---------------------------------------------------------------- parts

    def part(self, upload: str, number: int) -> str | None:
        """The sha256 of a part that is there."""
        with suppress(FileNotFoundError), trees.folder(self.root, self.incoming(upload)) as folder:
            descriptor = trees.open_in(folder, _marker(number))
            with os.fdopen(descriptor, "rb") as file:
                return file.read(64).decode("ascii", "replace")
        return None

    @contextmanager
    def writing(self, upload: str) -> Iterator[int]:
        """A descriptor to write parts into. Raises a 409 or 404 once the upload takes none."""
        try:
            with trees.folder(self.root, self.incoming(upload)) as folder:
                descriptor = trees.open_in(folder, _DATA, os.O_WRONLY)
        except FileNotFoundError:
            raise Refusal(409, "upload-complete", "The upload is complete, or gone; it takes no part.") from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def keep(self, upload: str, number: int, sha256: str) -> None:
        """A part is there. Raises a 404 where the upload was deleted meanwhile."""
        try:
            with trees.folder(self.root, self.incoming(upload)) as folder:
                part = f".{_marker(number)}"
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644, dir_fd=folder)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(sha256.encode())
                os.rename(part, _marker(number), src_dir_fd=folder, dst_dir_fd=folder)
        except FileNotFoundError:
            raise no_upload() from None

    # ---------------------------------------------------------------- the end

    def complete(self, upload: str, owner: str | None, now: datetime) -> UploadState:
        """Hash the whole, force it to the disk, and make it an upload; one that is complete is answered again.

        Raises a 409 for parts that lack, a 422 for bytes that are not those that were told; what is there stays.
        """
        record, complete = self.find(upload, owner)
        if complete:
            return self.shown(record, complete=True)
        made = self.checked(record, now)
        with trees.folder(self.root, self.incoming(upload)) as folder:
            _gather(folder, made)
            with trees.folder(self.root, f"{self.namespace}/{UPLOADS_FOLDER}", create=True) as uploads:
                os.rename(_WHOLE, upload, src_dir_fd=folder, dst_dir_fd=uploads)
                os.fsync(uploads)
        trees.remove_tree(self.root, self.incoming(upload))
        return self.shown(made, complete=True)

    def checked(self, record: Record, now: datetime) -> Record:
        """The record of all its parts. Raises a 409 for parts that lack, a 422 for other bytes than were told."""
        lacking = [number for number in range(1, parts_of(record.bytes) + 1) if self.part(record.id, number) is None]
        if lacking:
            shown = ", ".join(map(str, lacking[:20])) + ("" if len(lacking) <= 20 else ", …")
            raise Refusal(409, "parts-lacking", f"Send these parts first: {shown}.")
        with trees.folder(self.root, self.incoming(record.id)) as folder:
            sha256 = self._hash(record, folder)
        return record.model_copy(update={"sha256": sha256, "completed_time": now})

    @contextmanager
    def content(self, record: Record) -> Iterator[BinaryIO]:
        """All of one whose parts are there, to read."""
        with trees.folder(self.root, self.incoming(record.id)) as folder:
            descriptor = _open_whole(folder, record)
        with os.fdopen(descriptor, "rb") as file:
            yield file

    def _hash(self, record: Record, folder: int) -> str:
        """The sha256 of all parts. Raises a 422; a part that is not what came is to be sent again."""
        whole, broken = hashlib.sha256(), []
        with os.fdopen(_open_whole(folder, record), "rb", buffering=0) as file:
            head = file.read(HEAD_BYTES)
            check_content(record.media_type, head)
            file.seek(0)
            if os.fstat(file.fileno()).st_size > record.bytes:
                raise Refusal(422, "upload-larger", "The upload is larger than was told.")
            for number in range(1, parts_of(record.bytes) + 1):
                part = hashlib.sha256() if record.wanted_sha256 is None else None
                left = part_size(record.bytes, number)
                while left and (piece := file.read(min(left, _READ_BYTES))):
                    whole.update(piece)
                    if part is not None:
                        part.update(piece)
                    left -= len(piece)
                if left or (part is not None and part.hexdigest() != self.part(record.id, number)):
                    broken.append(number)
            os.fsync(file.fileno())
        for number in broken:  # the node stopped before they were on the disk
            os.unlink(_marker(number), dir_fd=folder)
        if broken:
            raise Refusal(409, "parts-lacking", f"Send these parts again: {', '.join(map(str, broken[:20]))}.")
        if record.wanted_sha256 not in (None, whole.hexdigest()):
            detail = f"sha256: the upload has {whole.hexdigest()}, not what was told. Its parts are kept."
            raise Refusal(422, "checksum-mismatch", detail)
        return whole.hexdigest()

    # ---------------------------------------------------------------- what nobody completed

    def remove_unfinished(self, now: datetime, age: timedelta) -> int:
        """Remove those to which nothing was added for so long; how many."""
        removed = 0
        for upload in trees.subfolders(self.root, f"{self.namespace}/{INCOMING_FOLDER}"):
            written = [entry.status.st_mtime for entry in trees.walk(self.root, self.incoming(upload))]
            newest = max(written, default=0.0)
            if now - datetime.fromtimestamp(max(newest, 0.0), UTC) > age:
                trees.remove_tree(self.root, self.incoming(upload))
                removed += 1
        return removed

    def is_open(self, upload: str) -> bool:
        """Whether it has a place where parts come in."""
        return self._read(f"{self.incoming(upload)}/{RECORD}") is not None

    def _open(self) -> list[tuple[Record, int]]:
        """Those that are not complete, with the bytes that they take already."""
        found = []
        for upload in trees.subfolders(self.root, f"{self.namespace}/{INCOMING_FOLDER}"):
            record = self._read(f"{self.incoming(upload)}/{RECORD}")
            if record is not None:
                status = trees.lookup(self.root, f"{self.incoming(upload)}/{_DATA}")
                found.append((record, min(record.bytes, status.st_blocks * 512) if status is not None else 0))
        return found

    def _read(self, key: str) -> Record | None:
        try:
            with os.fdopen(trees.open_file(self.root, key), "rb") as file:
                return Record.read(file.read(MAX_RECORD_BYTES))
        except (FileNotFoundError, ValidationError):
            return None
        except OSError as error:
            if error.errno in trees.NO_FILE:
                return None
            raise

    def shown(self, record: Record, *, complete: bool = False) -> UploadState:
        """As a client is told of it."""
        parts = range(1, parts_of(record.bytes) + 1)
        there = tuple(parts) if complete else tuple(each for each in parts if self.part(record.id, each) is not None)
        return UploadState(
            id=record.id,
            name=record.name,
            bytes=record.bytes,
            media_type=record.media_type,
            part_bytes=PART_BYTES,
            parts=there,
            complete=complete,
            sha256=record.sha256,
            key=f"{record.id}/{record.file}" if complete else None,
        )


def _open_whole(folder: int, record: Record) -> int:
    """The file with all parts: one that a crash left half-way to its place is there already."""
    try:
        return trees.open_in(folder, _DATA)
    except FileNotFoundError:
        inside = os.open(_WHOLE, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            return trees.open_in(inside, record.file)
        finally:
            os.close(inside)


def _gather(folder: int, record: Record) -> None:
    """A folder with the file under its name, and the record, all on the disk."""
    with suppress(FileExistsError):
        os.mkdir(_WHOLE, dir_fd=folder)
    inside = os.open(_WHOLE, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        with suppress(FileNotFoundError):
            os.rename(_DATA, record.file, src_dir_fd=folder, dst_dir_fd=inside)
        descriptor = os.open(DONE_RECORD, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644, dir_fd=inside)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encoded(record))
            file.flush()
            os.fsync(file.fileno())
        os.fsync(inside)
    finally:
        os.close(inside)


def encoded(record: Record) -> bytes:
    return record.model_dump_json(by_alias=True, exclude_none=True).encode()


def _marker(number: int) -> str:
    return f"{_PART}{number:05}"
