"""Whether an answer continues a partly received file: validators, ranges and lengths. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from audiojob_types.outside.headers import http_date

PARTIAL_CONTENT: Final = 206
OUT_OF_RANGE: Final = 416
# A validator is sent back in a header: printable, and no longer than any server makes it.
_VALIDATOR: Final = re.compile(r"[ -~]{1,256}")
_NO_RANGE: Final = re.compile(r"bytes \*/(\d{1,18})")
_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
# A date names one content only if nothing can have changed within its second (RFC 9110, 8.8.2.2).
_DATE_STEP: Final = timedelta(seconds=1)


class Verdict(StrEnum):
    """What to do with an answer's body."""

    CONTINUES = "Continues"  # append it to what was received
    WHOLE = "Whole"  # it is the file from its start
    COMPLETE = "Complete"  # ignore it: all of the file was received before
    UNFIT = "Unfit"  # ignore it, and request the file again without a range


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of an address from a later one. ``length`` is in bytes, None where unknown.

    ``validator`` is a strong ETag, or a date; a date counts only together with a length. It is None for a file that is
    verified against a published checksum once it is complete: then parts of another content are found out anyway.
    """

    validator: str | None
    length: int | None

    @property
    def is_date(self) -> bool:
        """Whether the validator is a date."""
        return self.validator is not None and not self.validator.startswith('"')


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of a file in an answer: from ``start`` to before ``end``; ``total`` is None where unknown."""

    start: int
    end: int
    total: int | None


def part_of(headers: Mapping[str, str]) -> Part | None:
    """The part that ``Content-Range`` names; None where it is not a part of a plain file."""
    match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if match is None or is_coded(headers):
        return None
    part = Part(int(match[1]), int(match[2]) + 1, int(match[3]) if match[3] != "*" else None)
    within = part.total is None or part.end <= part.total
    return part if part.start < part.end and within else None


def version_of(headers: Mapping[str, str], length: int | None) -> Version | None:
    """The version that an answer's head names; None where nothing promises the same bytes next time."""
    if is_coded(headers):  # ranges count bytes of the coded form, and the plain one is saved
        return None
    tag = headers.get("ETag", "").strip()
    if tag.startswith('"') and _VALIDATOR.fullmatch(tag):  # weak ones do not promise the same bytes
        return Version(tag, length)
    date = headers.get("Last-Modified", "").strip()
    if length is None or not _VALIDATOR.fullmatch(date) or not _is_strong(date, headers):
        return None
    return Version(date, length)


def is_coded(headers: Mapping[str, str]) -> bool:
    """Whether the body is compressed: its length and its ranges are then not those of the file."""
    return headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def resume_headers(version: Version | None, received: int) -> dict[str, str]:
    """The headers that ask for the rest, and only of the same content; {} to get the whole file."""
    if version is None or received == 0:
        return {}
    headers = {"Range": f"bytes={received}-"}
    return headers if version.validator is None else headers | {"If-Range": version.validator}


def judge(
    version: Version | None, received: int, status: int, headers: Mapping[str, str], *, redirected: bool = False
) -> Verdict:
    """What an answer to :func:`resume_headers` is, after ``received`` bytes of ``version``.

    A server need not do what it is asked for. So the start, the size and the validator in its answer must fit, too.
    ``redirected``: it came from wherever a redirect leads this time.
    """
    if status not in (PARTIAL_CONTENT, OUT_OF_RANGE):
        return Verdict.WHOLE
    part = part_of(headers) if status == PARTIAL_CONTENT else None
    if version is None or received == 0:
        # No part was asked for; one that is all of the file does no harm.
        unnamed = status == PARTIAL_CONTENT and "Content-Range" not in headers
        return Verdict.WHOLE if unnamed or (part is not None and _is_all(part)) else Verdict.UNFIT
    if version.validator is None and status == OUT_OF_RANGE:
        match = _NO_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        return Verdict.COMPLETE if match and int(match[1]) == received else Verdict.UNFIT
    fits = part is not None and part.start == received and _same_length(version, part)
    return Verdict.CONTINUES if fits and _same_validator(version, headers, redirected) else Verdict.UNFIT


def _is_all(part: Part) -> bool:
    return part.start == 0 and part.end == part.total


def _same_length(version: Version, part: Part) -> bool:
    """Whether the part is of a file of that length. One of the two must be known: else the file's end is not."""
    if part.total is None:
        return not version.is_date and version.length is not None and part.end <= version.length
    return version.length is None or part.total == version.length


def _same_validator(version: Version, headers: Mapping[str, str], redirected: bool) -> bool:
    """A part must name the tag again (RFC 9110, 15.3.7). A date may be left out: its length has been compared. But not
    by another server, which may have another file of that length."""
    if version.validator is None:
        return True
    if not version.is_date:
        return headers.get("ETag", "").strip() == version.validator
    return headers.get("Last-Modified", "" if redirected else version.validator).strip() == version.validator


def _is_strong(date: str, headers: Mapping[str, str]) -> bool:
    changed, answered = http_date(date), http_date(headers.get("Date"))
    return changed is not None and answered is not None and answered - changed >= _DATE_STEP
