"""The format of a partial download: its files, and how much of them is valid. No I/O.

It is a folder with three files: ``data`` has the first whole blocks of the file, ``sums`` the sha256 of each of them in
a row, and ``about.json`` describes the file. A block counts only if its sum matches. So nothing needs an fsync: a block
that a kill or a lost node left incomplete does not match, and is cut off.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

from pydantic import Field, ValidationError, field_validator

from audiojob_runner.fetch.common import MEDIA_TYPES
from audiojob_runner.fetch.partial.resumption import Version
from audiojob_types.base import Sha256, WireModel

DATA_NAME: Final = "data"
SUMS_NAME: Final = "sums"
ABOUT_NAME: Final = "about.json"
BLOCK_BYTES: Final = 1024 * 1024
SUM_BYTES: Final = 32
MAX_ABOUT_BYTES: Final = 4_096
# What stays free for all others that write to the volume is a tenth of it. Of a large one that would be more than
# anybody needs, and nothing would ever be kept there.
MAX_RESERVE_BYTES: Final = 4 * 1024**3
# Part of every digest: runners with another format do not find partial downloads of this one, nor the reverse.
_FORM: Final = "audiojob-remnant-1"


class About(WireModel):
    """``about.json``. It has a digest instead of the address, which may contain a token, and no cookies."""

    address: Sha256
    validator: Annotated[str, Field(pattern=r"^[ -~]+$", max_length=256)]
    length: Annotated[int, Field(ge=0, le=2**53)] | None = None
    content_type: Annotated[str, Field(pattern=r"^[!-~]*$", max_length=127)]
    extension: str | None = None

    @field_validator("extension")
    @classmethod
    def _is_one_of_ours(cls, extension: str | None) -> str | None:
        if extension is not None and extension not in MEDIA_TYPES:
            raise ValueError("is not an extension of media")
        return extension

    @property
    def version(self) -> Version:
        """The content that the blocks are of."""
        return Version(self.validator, self.length)


def address_digest(job_uid: str, url: str) -> str:
    """The key of a partial download. It contains the uid, so that digests of two jobs cannot be compared."""
    return hashlib.sha256(f"{_FORM}\n{job_uid}\n{url}".encode()).hexdigest()


def describe(address: str, version: Version | None, content_type: str, extension: str | None) -> About | None:
    """The description of a file; None for one that cannot be resumed, or whose server sends odd headers."""
    if version is None or version.validator is None:
        return None
    try:
        return About(
            address=address,
            validator=version.validator,
            length=version.length,
            content_type=content_type,
            extension=extension,
        )
    except ValidationError:
        return None


def parse_about(content: bytes) -> About | None:
    """What ``about.json`` says; None where it is not what this runner writes."""
    try:
        about = About.read(content)
    except ValidationError:
        return None
    # A date without a length does not distinguish two contents.
    return about if not about.version.is_date or about.length is not None else None


def may_continue(about: About, address: str, max_bytes: int) -> bool:
    """Whether this is the wanted file, and one that may be fetched."""
    return about.address == address and (about.length is None or about.length <= max_bytes)


def count_blocks(about: About, data_bytes: int, sums_bytes: int, max_bytes: int) -> int:
    """How many blocks may count, if their sums fit. At least one byte is always left to ask the server for: its answer
    tells whether the file is still the same."""
    blocks = min(data_bytes // BLOCK_BYTES, sums_bytes // SUM_BYTES, max_bytes // BLOCK_BYTES)
    return blocks if about.length is None else min(blocks, max(0, about.length - 1) // BLOCK_BYTES)


def fits_sum(block: bytes, index: int, sums: bytes) -> bool:
    """Whether this is the whole block of that place."""
    return len(block) == BLOCK_BYTES and block_sum(block) == sums[index * SUM_BYTES : (index + 1) * SUM_BYTES]


def block_sum(block: bytes) -> bytes:
    """The sha256 of a block, ``SUM_BYTES`` long."""
    return hashlib.sha256(block).digest()


def has_room(volume_bytes: int, free_bytes: int, received: int, length: int | None) -> bool:
    """Whether a volume has room to keep one more block: the file itself, which is published there, and a reserve for
    everybody else come first."""
    reserve = min(volume_bytes // 10, MAX_RESERVE_BYTES)
    return free_bytes >= BLOCK_BYTES + max(received, length or 0) + reserve
