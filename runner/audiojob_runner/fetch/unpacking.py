"""A limit on how much a body may grow while it is unpacked, counted as it is read and not at its end. No I/O.

A megabyte of gzip makes a gigabyte of zeros. The byte limit of a download alone would let that be written to disk; the
limit of the network counts what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

# Media is packed already and text shrinks to a tenth; what grows more than this is made to.
MAX_GROWTH: Final = 100
# Up to here anything may be unpacked: a short silence as WAV shrinks well too.
FREE_BYTES: Final = 8 * 1024**2


# What can be unpacked. We ask for none of them; some servers do it all the same.
_KNOWN: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate", "br"})


# urllib3's mark of a gzip body behind whose end came something else, which it passes over as others do.
_PASSES_OVER: Final = 2


def check_coding(headers: Mapping[str, str]) -> None:
    """Raises :class:`PhaseError` for a body in a coding that nobody here unpacks: it would be stored as it is."""
    codings = {each.strip().lower() for each in headers.get("Content-Encoding", "").split(",")}
    if unknown := sorted(codings - _KNOWN):
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.NOT_MEDIA,
            f"The source's server sends the file packed as {unknown[0][:40]!r}, which was not asked for.",
            "Use an address that serves the file without Content-Encoding.",
        )


def unpacked_whole(body: object) -> bool:
    """Whether a body of urllib3 that was read to its end had the end that its coding marks.

    urllib3 does not ask: a song of which a cache kept one half would be taken for the whole.
    """
    return _has_ended(getattr(body, "_decoder", None))


def _has_ended(decoder: object) -> bool:
    chain = getattr(decoder, "_decoders", None)
    if chain is not None:
        return all(map(_has_ended, chain))
    if getattr(decoder, "_state", None) == _PASSES_OVER:
        return True
    unpacker = getattr(decoder, "_obj", None)
    is_finished = getattr(unpacker, "is_finished", None)  # of Brotli
    return bool(is_finished() if is_finished is not None else getattr(unpacker, "eof", True))


def undecodable(headers: Mapping[str, str]) -> PhaseError:
    """The error for a body that is not what its head says. It is the same body next time."""
    return PhaseError(
        ExitCode.NOT_MEDIA,
        Reason.CORRUPT_MEDIA,
        f"The source's server says that it sends the file packed as {headers.get('Content-Encoding', '')[:40]!r}, but "
        "what came cannot be unpacked.",
        "Use an address that serves the file without Content-Encoding.",
    )


class Unpacking:
    """Counts one body. ``packed`` tells how many bytes of it have arrived."""

    def __init__(self, packed: Callable[[], int]) -> None:
        self._packed = packed
        self._unpacked = 0

    def took(self, count: int) -> None:
        """So many bytes came out. Raises :class:`PhaseError`: TooLarge."""
        self._unpacked += count
        packed = self._packed()
        if self._unpacked > max(FREE_BYTES, packed * MAX_GROWTH):
            raise PhaseError(
                ExitCode.NOT_MEDIA,
                Reason.TOO_LARGE,
                f"The source's server sent {packed} bytes that unpack to more than {self._unpacked}: no audio or video "
                "is packed like that.",
                "Use an address that serves the file without Content-Encoding.",
            )
