"""Whether an answer continues a file of which a part is there: validators, ranges and lengths. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from audiojob_runner.fetch.common import http_date

PARTIAL_CONTENT: Final = 206
OUT_OF_RANGE: Final = 416
# What is sent back in a header: printable, and no longer than any server makes it.
_VALIDATOR: Final = re.compile(r"[ -~]{1,256}")
_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
# A date names one content only if nothing can have changed within its second (RFC 9110, 8.8.2.2).
_DATE_STEP: Final = timedelta(seconds=1)


class Verdict(StrEnum):
    """What to do with an answer's body."""

    CONTINUES = "Continues"  # it belongs behind what is there
    WHOLE = "Whole"  # it is the file from its start
    UNFIT = "Unfit"  # neither: the file is to be asked for again, without a range


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of an address from a later one. ``length`` is in bytes, None where untold.

    ``validator`` is a strong ETag, or a date; a date stands only together with a length.
    """

    validator: str
    length: int | None

    @property
    def is_tag(self) -> bool:
        """Whether the validator is an ETag."""
        return self.validator.startswith('"')


@dataclass(frozen=True, slots=True)
class Part:
    """Which bytes of a file an answer holds: from ``start`` up to, without, ``end``; ``total`` is None where untold."""

    start: int
    end: int
    total: int | None


def part_of(headers: Mapping[str, str]) -> Part | None:
    """What ``Content-Range`` tells; None where that is no part of a plain file."""
    told = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if told is None or is_coded(headers):
        return None
    part = Part(int(told[1]), int(told[2]) + 1, int(told[3]) if told[3] != "*" else None)
    within = part.total is None or part.end <= part.total
    return part if part.start < part.end and within else None


def version_of(headers: Mapping[str, str], length: int | None) -> Version | None:
    """The version that an answer's head names; None where nothing there promises the same bytes next time."""
    if is_coded(headers):  # ranges count bytes of the coded form, and what is saved is the plain one
        return None
    tag = headers.get("ETag", "").strip()
    if tag.startswith('"') and _VALIDATOR.fullmatch(tag):  # weak ones do not promise the same bytes
        return Version(tag, length)
    date = headers.get("Last-Modified", "").strip()
    if length is None or not _VALIDATOR.fullmatch(date) or not _is_strong(date, headers):
        return None
    return Version(date, length)


def is_coded(headers: Mapping[str, str]) -> bool:
    """Whether the body is packed: its length and its ranges are then not those of the file."""
    return headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def resume_headers(version: Version | None, received: int) -> dict[str, str]:
    """What to ask with, so that only the rest is sent, and only of the same content; {} for the whole file."""
    if version is None or received == 0:
        return {}
    return {"Range": f"bytes={received}-", "If-Range": version.validator}


def judge(version: Version | None, received: int, status: int, headers: Mapping[str, str]) -> Verdict:
    """What an answer to :func:`resume_headers` is. ``received`` bytes of ``version`` are there.

    A server need not do what it is asked for. So the place, the size and the validator that it tells must fit, too.
    """
    if status not in (PARTIAL_CONTENT, OUT_OF_RANGE):
        return Verdict.WHOLE
    part = part_of(headers) if status == PARTIAL_CONTENT else None
    if version is None or not resume_headers(version, received):
        # Nobody asked for a part; one that is all of the file does no harm.
        unnamed = status == PARTIAL_CONTENT and "Content-Range" not in headers
        return Verdict.WHOLE if unnamed or (part is not None and _is_all(part)) else Verdict.UNFIT
    fits = part is not None and part.start == received and _same_length(version, part)
    return Verdict.CONTINUES if fits and _same_validator(version, headers) else Verdict.UNFIT


def _is_all(part: Part) -> bool:
    return part.start == 0 and part.end == part.total


def _same_length(version: Version, part: Part) -> bool:
    """Whether the part is of a file of that length. One length must be known: else nobody knows where the file ends."""
    if part.total is None:
        return version.is_tag and version.length is not None and part.end <= version.length
    return version.length is None or part.total == version.length


def _same_validator(version: Version, headers: Mapping[str, str]) -> bool:
    """A part must name the tag again (RFC 9110, 15.3.7). A date may be left out: its length has been compared."""
    if version.is_tag:
        return headers.get("ETag", "").strip() == version.validator
    return headers.get("Last-Modified", "").strip() in ("", version.validator)


def _is_strong(date: str, headers: Mapping[str, str]) -> bool:
    changed, answered = http_date(date), http_date(headers.get("Date"))
    return changed is not None and answered is not None and answered - changed >= _DATE_STEP
