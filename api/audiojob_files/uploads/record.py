"""What is stored beside an upload, and which uploads are taken. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from audiojob_files.refusals import Refusal
from audiojob_store.filenames import clean
from audiojob_store.ticket import Owner, UploadId
from audiojob_types.base import Sha256, StatusModel, Time

RECORD: Final = "upload.json"  # while parts come in
DONE_RECORD: Final = ".upload.json"  # beside the file; the sweeper removes only what has one
MAX_RECORD_BYTES: Final = 16 * 1024
MAX_NAME_BYTES: Final = 1_024
_DIGEST: Final = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_ENDING: Final = 16


class Record(StatusModel):
    """An upload. ``name`` is what its maker calls it, ``file`` what it is called in the store."""

    id: UploadId
    name: Annotated[str, Field(max_length=MAX_NAME_BYTES)]
    file: Annotated[str, Field(max_length=255)]
    bytes: Annotated[int, Field(ge=1, le=2**53)]
    media_type: str
    owner: Owner
    created_time: Time
    wanted_sha256: Sha256 | None = None
    sha256: Sha256 | None = None
    completed_time: Time | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken. ``media_types`` may end in ``/*``."""

    max_bytes: int
    max_open: int
    min_free_bytes: int
    media_types: tuple[str, ...]
    max_open_each: int | None = None
    """The most of one owner that are not complete."""
    together: int | None = None
    """The most that those which are not complete may take together, where they wait apart from the store."""

    def check(self, size: int, media_type: str) -> None:
        """Raises a 413 or 415 :class:`Refusal`."""
        if size < 1:
            raise Refusal(422, "empty-upload", "bytes: an upload has at least one byte.")
        if size > self.max_bytes:
            raise Refusal(413, "upload-too-large", f"bytes: an upload has at most {self.max_bytes} bytes.")
        family = media_type.partition("/")[0] + "/*"
        if media_type not in self.media_types and family not in self.media_types:
            known = ", ".join(self.media_types)
            raise Refusal(415, "media-type-not-taken", f"mediaType: {media_type!r} is not taken; these are: {known}.")

    def check_open(self, opened: int, own: int) -> None:
        """Raises a 429 :class:`Refusal` where all of them together, or the owner's, are as many as may be open."""
        if self.max_open_each is not None and own >= self.max_open_each:
            detail = f"{own} uploads of yours are not complete, which is the most; complete or remove one."
            raise Refusal(429, "too-many-uploads", detail, {"Retry-After": "60"})
        if opened >= self.max_open:
            raise Refusal(429, "too-many-uploads", "Too many uploads are not complete.", {"Retry-After": "60"})

    def check_waiting_room(self, size: int, promised: int) -> None:
        """Raises a 503 :class:`Refusal` where uploads that are not complete take what there is for them."""
        if self.together is not None and size + promised > self.together:
            detail = "Uploads that are not complete take all the room that there is for them; try again later."
            raise Refusal(503, "uploads-waiting", detail, {"Retry-After": "60"})

    def check_room(self, size: int, free: int, promised: int) -> None:
        """Raises a 507 :class:`Refusal` where what is free, and not promised to others, does not hold it."""
        if size > free - promised - self.min_free_bytes:
            raise Refusal(507, "store-full", "The store has no room for this upload; remove files or ask for room.")


def stored_name(name: str) -> str:
    """A file name that is harmless everywhere; it keeps a short ending, by which people know the format."""
    stem, dot, ending = name.replace("\\", "/").rsplit("/", 1)[-1].rpartition(".")
    if not dot or not stem:
        return clean(ending or stem, "file")
    return f"{clean(stem, 'file')}.{clean(ending, 'bin', _ENDING)}"


def digest_of(header: str | None) -> str | None:
    """The sha256 of a Content-Digest (RFC 9530) in hex; None without one. Raises a 400 :class:`Refusal`."""
    if header is None:
        return None
    match = _DIGEST.fullmatch(header.strip())
    try:
        if match:
            return base64.b64decode(match[1], validate=True).hex()
    except binascii.Error:
        pass
    raise Refusal(400, "bad-digest", "Content-Digest: write it as sha-256=:<base64 of the part's sha256>:")


# How files begin that are surely neither sound nor picture nor film.
_OTHERS: Final = {
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"#!": "a script",
    b"PK\x03\x04": "a zip",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<?xml": "XML",
}
HEAD_BYTES: Final = 4_096


def check_content(media_type: str, head: bytes) -> None:
    """Raises a 422 :class:`Refusal` for what is surely not what it is said to be; the job's decoder says the rest."""
    if media_type.startswith("text/"):
        if b"\0" in head:
            raise Refusal(422, "not-media", "The upload is said to be text and has bytes that are none.")
        return
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for begin, what in _OTHERS.items():
        if head.startswith(begin) or start.startswith(begin):
            raise Refusal(422, "not-media", f"The upload is said to be {media_type} and begins like {what}.")
