"""Uploads as the handlers see them, wherever they are kept. All of it blocks, and raises Refusal or OSError."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from audiojob_files.uploads.record import Record
from audiojob_store.ticket import Ticket, UploadState


class UploadStore(Protocol):
    """The uploads of one namespace."""

    def create(self, ticket: Ticket, now: datetime) -> UploadState:
        """A new one, if there is room. The caller lets one be made at a time."""

    def find(self, upload: str, owner: str | None) -> tuple[Record, bool]:
        """The record, and whether the upload is complete. Raises a 404 for somebody else's."""

    def state(self, upload: str, owner: str | None) -> UploadState:
        """The upload, with the parts that are there."""

    def use(self, upload: str, owner: str | None) -> UploadState:
        """The complete upload, which is kept for as long as if it came now. Raises a 409 where it is not complete."""

    def delete(self, upload: str, owner: str | None) -> None:
        """Remove it."""

    def forget(self, upload: str) -> None:
        """Remove what came of one that is not complete."""

    def part(self, upload: str, number: int) -> str | None:
        """The sha256 of a part that is there."""

    def writing(self, upload: str) -> AbstractContextManager[int]:
        """A descriptor to write parts into. Raises a 409 once the upload takes none."""

    def keep(self, upload: str, number: int, sha256: str) -> None:
        """A part is there."""

    def shrink(self, upload: str, owner: str | None, size: int) -> None:
        """All of it came, and it is smaller than the most that it might have been."""

    def complete(self, upload: str, owner: str | None, now: datetime) -> UploadState:
        """Make the parts an upload. Raises a 409 for parts that lack, a 422 for other bytes than were told."""

    def remove_unfinished(self, now: datetime, age: timedelta) -> int:
        """Remove those to which nothing was added for so long; how many."""
