"""Uploads in a bucket. Parts wait in a folder of this pod, and go into the bucket together once all are there.

Below ``<namespace>/uploads/`` the bucket has ``.incoming/<id>/upload.json`` of each that is not complete, so that it
outlives the pod, whose folder does not: its parts are then sent again. ``<id>/<name>`` is the file of a complete one,
and ``<id>/.upload.json`` its record, which is written last: without it there is no upload.

Where clients reach the bucket, they may put a file into ``.incoming/<id>/put`` by a link. What they can write as long
as the link lasts is never the upload itself: that is a copy, which is hashed after it was made.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ValidationError

from audiojob_files.bucket import Bucket
from audiojob_files.links import Links
from audiojob_files.refusals import Refusal
from audiojob_files.uploads.folder import Uploads, encoded
from audiojob_files.uploads.record import DONE_RECORD, HEAD_BYTES, MAX_RECORD_BYTES, RECORD, Record, check_content
from audiojob_store.ticket import Ticket, UploadState

_PUT: Final = "put"


@dataclass(frozen=True, slots=True)
class BucketUploads:
    """The uploads of one namespace. ``local`` is where parts wait; with ``links`` clients may put whole files."""

    local: Uploads
    bucket: Bucket
    links: Links | None = None

    # ---------------------------------------------------------------- records

    def create(self, ticket: Ticket, now: datetime) -> UploadState:
        """As `UploadStore` has it."""
        made = self.local.create(ticket, now)
        record, _ = self.local.find(made.id, ticket.owner)
        self.bucket.write(self._incoming(record.id, RECORD), encoded(record))
        return self._shown(record)

    def find(self, upload: str, owner: str | None) -> tuple[Record, bool]:
        """As `UploadStore` has it. What only the bucket knows of, since this pod is new, gets its place here again."""
        try:
            return self.local.find(upload, owner)
        except Refusal as refusal:
            absent = refusal
        for key, complete in ((self._done(upload, DONE_RECORD), True), (self._incoming(upload, RECORD), False)):
            record = self._read(key)
            if record is not None and record.id == upload and record.owner == owner:
                if not complete:
                    self.local.begin(record)
                return record, complete
        raise absent

    def state(self, upload: str, owner: str | None) -> UploadState:
        """As `UploadStore` has it."""
        record, complete = self.find(upload, owner)
        return self._shown(record, complete=complete)

    def use(self, upload: str, owner: str | None) -> UploadState:
        """As `UploadStore` has it."""
        record, complete = self.find(upload, owner)
        if not complete:
            raise Refusal(409, "upload-not-complete", "The upload is not complete; send all parts and complete it.")
        self.bucket.write(self._done(upload, DONE_RECORD), encoded(record))
        return self._shown(record, complete=True)

    def delete(self, upload: str, owner: str | None) -> None:
        """As `UploadStore` has it. The record goes last, so that what a crash leaves can be removed again."""
        record, _ = self.find(upload, owner)
        self.forget(upload)
        self.bucket.delete(self._done(upload, record.file))
        self.bucket.delete(self._done(upload, DONE_RECORD))

    def forget(self, upload: str) -> None:
        """As `UploadStore` has it."""
        self.local.forget(upload)
        self.bucket.delete(self._incoming(upload, _PUT))
        self.bucket.delete(self._incoming(upload, RECORD))

    # ---------------------------------------------------------------- parts, which wait here

    def part(self, upload: str, number: int) -> str | None:
        """As `UploadStore` has it."""
        return self.local.part(upload, number)

    def writing(self, upload: str) -> AbstractContextManager[int]:
        """As `UploadStore` has it."""
        return self.local.writing(upload)

    def keep(self, upload: str, number: int, sha256: str) -> None:
        """As `UploadStore` has it."""
        self.local.keep(upload, number, sha256)

    def shrink(self, upload: str, owner: str | None, size: int) -> None:
        """As `UploadStore` has it."""
        self.local.shrink(upload, owner, size)

    # ---------------------------------------------------------------- the end

    def complete(self, upload: str, owner: str | None, now: datetime) -> UploadState:
        """As `UploadStore` has it. Parts that were sent count before a file that was put."""
        record, complete = self.find(upload, owner)
        if complete:
            return self._shown(record, complete=True)
        put = None if self.links is None or self.local.shown(record).parts else self._put_size(upload)
        made = self._from_parts(record, now) if put is None else self._from_put(record, put, now)
        self.bucket.write(self._done(upload, DONE_RECORD), encoded(made))
        self.forget(upload)
        return self._shown(made, complete=True)

    def _from_parts(self, record: Record, now: datetime) -> Record:
        made = self.local.checked(record, now)
        with self.local.content(made) as file:
            self.bucket.write_file(self._done(made.id, made.file), file, made.media_type)
        return made

    def _put_size(self, upload: str) -> int | None:
        found = self.bucket.head(self._incoming(upload, _PUT))
        return None if found is None else found["size"]

    def _from_put(self, record: Record, size: int, now: datetime) -> Record:
        """Of a file that was put. Raises a 422 for one that is not as it was told; it may be put again."""
        if size != record.bytes:
            raise Refusal(422, "checksum-mismatch", f"The file that was put has {size} bytes, not {record.bytes}.")
        target = self._done(record.id, record.file)
        self.bucket.copy(self._incoming(record.id, _PUT), target)
        try:
            sha256 = self._hash(record, target)
        except Refusal:
            self.bucket.delete(target)
            raise
        return record.model_copy(update={"sha256": sha256, "completed_time": now})

    def _hash(self, record: Record, key: str) -> str:
        found = self.bucket.head(key)
        if found is None or found["size"] != record.bytes:
            raise Refusal(422, "checksum-mismatch", "The file was changed while it was completed; put it again.")
        whole, first = hashlib.sha256(), True
        for block in self.bucket.stream(key, record.bytes):
            if first:
                check_content(record.media_type, block[:HEAD_BYTES])
                first = False
            whole.update(block)
        if record.wanted_sha256 not in (None, whole.hexdigest()):
            detail = f"sha256: the upload has {whole.hexdigest()}, not what was told; put it again."
            raise Refusal(422, "checksum-mismatch", detail)
        return whole.hexdigest()

    # ---------------------------------------------------------------- what nobody completed

    def remove_unfinished(self, now: datetime, age: timedelta) -> int:
        """As `UploadStore` has it. Parts that wait here keep their record in the bucket."""
        removed = self.local.remove_unfinished(now, age)
        newest: dict[str, datetime] = {}
        known: set[str] = set()
        above = self._incoming("", "")
        for found in self.bucket.below(above.rstrip("/")):
            upload, _, name = found["path"].removeprefix(above).partition("/")
            newest[upload] = max(found["last_modified"], newest.get(upload, datetime.min.replace(tzinfo=UTC)))
            known |= {upload} if name == RECORD else set()
        for upload, written in newest.items():
            # Without its record there is no upload: somebody put a file by the link of one that is gone.
            if (upload not in known or now - written > age) and not self.local.is_open(upload):
                self.forget(upload)
                removed += 1
        return removed

    # ---------------------------------------------------------------- shared

    def _shown(self, record: Record, *, complete: bool = False) -> UploadState:
        shown = self.local.shown(record, complete=complete)
        if complete or self.links is None:
            return shown
        put = self.links.to_put(self._incoming(record.id, _PUT), record.bytes, record.wanted_sha256)
        return shown if put is None else shown.model_copy(update={"put_url": put.url, "put_headers": put.headers})

    def _read(self, key: str) -> Record | None:
        content = self.bucket.read(key, MAX_RECORD_BYTES)
        try:
            return None if content is None else Record.read(content)
        except ValidationError:
            return None

    def _incoming(self, upload: str, name: str) -> str:
        return f"{self.local.incoming(upload)}/{name}" if upload else self.local.incoming("")

    def _done(self, upload: str, name: str) -> str:
        return f"{self.local.done(upload)}/{name}"
