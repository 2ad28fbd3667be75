"""The ticket: what the API allows the files service to do for one request, and nothing else.

The API signs it (EdDSA, a JWT) and the service checks it; neither the API's callers nor the service can make one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from audiojob_types.base import Key, Sha256, WireModel

HEADER: Final = "Audiojob-Ticket"
ISSUER: Final = "audiojob-api"
ALGORITHM: Final = "EdDSA"
MAX_SECONDS: Final = 600
PART_BYTES: Final = 16 * 1024 * 1024
MAX_UPLOAD_BYTES: Final = 10_000 * PART_BYTES  # as many parts as a bucket takes
MAX_LIST_BYTES: Final = 8 * 1024 * 1024  # the list of a zip
NEXT_PIECE: Final = "Audiojob-Next-Piece"
UPLOAD_PATTERN: Final = r"^up-[0-9a-f]{32}$"

Crc32 = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
UploadId = Annotated[str, Field(pattern=UPLOAD_PATTERN)]
Owner = Annotated[str, Field(min_length=1, max_length=64)]
"""Who made an upload, in a form that tells nobody who that is."""


class Verb(StrEnum):
    """What a ticket allows."""

    READ = "read"
    LINK = "link"
    ZIP = "zip"
    LOG = "log"
    CREATE = "create"
    WHOLE = "whole"
    PART = "part"
    COMPLETE = "complete"
    STATUS = "status"
    USE = "use"
    DELETE = "delete"


WRITES: Final = frozenset({Verb.CREATE, Verb.WHOLE, Verb.PART, Verb.COMPLETE, Verb.USE, Verb.DELETE})
"""A ticket for one of these serves once."""


class Ticket(WireModel):
    """One request. ``key``: of a file, of a phase's folder for its log, or an upload's id.

    ``body`` is the sha256 of the list that a zip is made of. ``name`` is what people call the file. ``size`` is the
    file's; of an upload that comes whole it is the most that the file may have.
    """

    verb: Verb
    key: Key
    size: Annotated[int, Field(ge=0, le=2**53)] | None = None
    name: Annotated[str, Field(max_length=1_024)] | None = None
    type: Annotated[str, Field(max_length=100)] | None = None
    sha256: Sha256 | None = None
    owner: Owner | None = None
    part: Annotated[int, Field(ge=1, le=10_000)] | None = None
    body: Sha256 | None = None
    jti: Annotated[str, Field(min_length=16, max_length=64)]
    iat: int
    exp: int


class ZipEntry(WireModel):
    """A file of a zip. Without ``crc32``, which earlier runners did not write, the file is read twice."""

    key: Key
    name: Annotated[str, Field(max_length=1_024)]
    bytes: Annotated[int, Field(ge=0, le=2**53)]
    sha256: Sha256
    crc32: Crc32 | None = None


class ZipList(WireModel):
    """The files of a zip, in their order."""

    entries: Annotated[tuple[ZipEntry, ...], Field(min_length=1, max_length=10_000)]


class Link(WireModel):
    """Where a client takes a file out of the bucket itself; nothing where that is not possible."""

    url: str | None = None


class UploadState(WireModel):
    """An upload as the service shows it. ``key`` is the file's, below the uploads folder, once it is complete.

    With ``put_url`` a client may put the whole file into the bucket itself, instead of sending parts.
    """

    id: UploadId
    name: str
    bytes: int
    media_type: str
    part_bytes: int = PART_BYTES
    parts: tuple[int, ...] = ()
    complete: bool = False
    sha256: Sha256 | None = None
    key: str | None = None
    put_url: Annotated[str, Field(description="putUrl takes the whole file by one PUT, for a few minutes.")] | None = (
        None
    )
    put_headers: (
        Annotated[dict[str, str], Field(description="putHeaders must be sent with it, as they are.")] | None
    ) = None


def audience(namespace: str) -> str:
    """Whom a ticket is for: the service of one namespace."""
    return f"audiojob-files/{namespace}"


def parts_of(size: int) -> int:
    """How many parts a file of that size has; an empty one has none."""
    return -(-size // PART_BYTES)


def part_size(size: int, number: int) -> int:
    """Bytes of part ``number``, from 1; 0 where there is no such part."""
    return max(0, min(PART_BYTES, size - (number - 1) * PART_BYTES)) if number >= 1 else 0
