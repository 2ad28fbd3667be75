"""Whether an answer continues a file of which a part is there: validators, ranges and lengths. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from audiojob_runner.fetching import http_date

PARTIAL_CONTENT: Final = 206
OUT_OF_RANGE: Final = 416
# What is sent back in a header: printable, and no longer than any server makes it.
_VALIDATOR: Final = re.compile(r"[ -~]{1,256}")
_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
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
    if not resume_headers(version, received) or status not in (PARTIAL_CONTENT, OUT_OF_RANGE):
        return Verdict.WHOLE
    assert version is not None
    told = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if status == OUT_OF_RANGE or told is None or int(told[1]) != received or is_coded(headers):
        return Verdict.UNFIT
    total = int(told[2]) if told[2] != "*" else None
    if not _same_length(version, total):
        return Verdict.UNFIT
    named = headers.get("ETag" if version.is_tag else "Last-Modified", "").strip()
    return Verdict.CONTINUES if named in ("", version.validator) else Verdict.UNFIT


def _same_length(version: Version, total: int | None) -> bool:
    if total is None:
        return version.is_tag
    return version.length is None or total == version.length


def _is_strong(date: str, headers: Mapping[str, str]) -> bool:
    changed, answered = http_date(date), http_date(headers.get("Date"))
    return changed is not None and answered is not None and answered - changed >= _DATE_STEP
