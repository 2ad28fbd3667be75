"""Which bytes a request wants. Pure."""

from __future__ import annotations

import re
from typing import Final

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class UnsatisfiableError(Exception):
    """416: a range that is no range, begins beyond the end, or is one of several."""


def wanted(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and length; None for all of it. Raises :class:`UnsatisfiableError`.

    Several ranges are refused, where RFC 9110 would let us send all of the file: nobody who asks for 10,000 pieces
    shall be sent 10 GB.
    """
    if header is None:
        return None
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[1] == match[2] == "":
        raise UnsatisfiableError
    if match[1] == "":
        length = min(int(match[2]), size)
        if length == 0:
            raise UnsatisfiableError
        return size - length, length
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if first >= size or last < first:
        raise UnsatisfiableError
    return first, last - first + 1


def is_unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has this very content."""
    if if_none_match is None:
        return False
    known = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return etag in known or known == ["*"]


def range_counts(if_range: str | None, etag: str) -> bool:
    """Whether a range is meant of this content. A date never is: what we serve has no dates."""
    return if_range is None or if_range.strip() == etag
