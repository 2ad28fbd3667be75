"""What plain HTTP and yt-dlp downloads share: limits, results, and which names and types are media. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Event
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.egress.addresses import is_allowed_port
from audiojob_runner.fetch.egress.refusals import Refusal, RefusedError
from audiojob_runner.fetch.secrets import NO_SECRETS, FetchSecrets
from audiojob_runner.task import PartialFolders
from audiojob_types.contract import HOST_PATTERN, ExitCode
from audiojob_types.outside.redaction import SECRETS
from audiojob_types.reasons import Reason

MAX_URL_CHARACTERS: Final = 2_048
# The only extensions that a stored source may have, with their types. Any other file is stored as `.bin`.
MEDIA_TYPES: Final[dict[str, str]] = {
    "aac": "audio/aac",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
    "au": "audio/basic",
    "caf": "audio/x-caf",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "m4b": "audio/mp4",
    "m4v": "video/mp4",
    "mka": "audio/x-matroska",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpga": "audio/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "ts": "video/mp2t",
    "w64": "audio/x-w64",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
}
_EXTENSIONS: Final[dict[str, str]] = {
    "application/ogg": "ogg",
    "audio/aac": "aac",
    "audio/aiff": "aiff",
    "audio/flac": "flac",
    "audio/m4a": "m4a",
    "audio/mp3": "mp3",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/vnd.wave": "wav",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/webm": "weba",
    "audio/x-aiff": "aiff",
    "audio/x-flac": "flac",
    "audio/x-m4a": "m4a",
    "audio/x-matroska": "mka",
    "audio/x-wav": "wav",
    "video/mp2t": "ts",
    "video/mp4": "mp4",
    "video/ogg": "ogv",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
}
_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
# Playlists call themselves audio; they list other addresses, which is yt-dlp's work.
_PLAYLISTS: Final = ("mpegurl", "dash+xml", "x-scpls", "xspf")
UNKNOWN_EXTENSION: Final = "bin"
UNKNOWN_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Upper bounds of one download. ``max_seconds`` is time by the clock, the duration that of what is played."""

    max_bytes: int
    max_duration_seconds: int
    max_seconds: int


@dataclass(frozen=True, slots=True)
class FetchTools:
    """What fetching needs from outside. ``refusals`` are the proxy's, newest last.

    ``finish_share`` (0-1) of the percentage is left for what is done with a file after it was fetched.
    """

    folder: Path
    proxy_url: str
    refusals: list[RefusedError]
    limits: FetchLimits
    progress: Callable[[float, str], None]
    cancelled: Event
    secrets: FetchSecrets = NO_SECRETS
    finish_share: float = 0.0
    job_uid: str = ""
    keeping: PartialFolders | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """One downloaded file. ``metadata`` is what its tags say, and what was done to it."""

    path: Path
    extension: str
    media_type: str
    metadata: dict[str, Any]


def check_url(url: str) -> SplitResult:
    """The parts of an address that may be fetched. Raises :class:`PhaseError` (InvalidSpec, BlockedAddress)."""
    SECRETS.learn_url(url)
    if len(url) > MAX_URL_CHARACTERS:
        raise _bad_url(f"is longer than {MAX_URL_CHARACTERS} characters")
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise _bad_url("has spaces or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad_url("is not a valid URL") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise _bad_url("does not start with http:// or https://")
    if not parts.hostname:
        raise _bad_url("has no host")
    if parts.username is not None or parts.password is not None:
        raise _bad_url("holds a user name or password")
    if port is not None and not is_allowed_port(port):
        raise PhaseError(ExitCode.BLOCKED_ADDRESS, Reason.BLOCKED_ADDRESS, f"Port {port} may not be fetched from.")
    return parts


def path_extension(path: str) -> str | None:
    """The media extension of a URL's path or of a file name, in lower case, or None."""
    suffix = PurePosixPath(unquote(path)).suffix.lower().removeprefix(".")
    return suffix if suffix in MEDIA_TYPES else None


def is_media(content_type: str, extension: str | None) -> bool:
    """Whether an answer is the file itself, and not a page about it."""
    if content_type in _PAGES or any(word in content_type for word in _PLAYLISTS):
        return False
    return content_type.startswith(("audio/", "video/")) or content_type in _EXTENSIONS or extension is not None


def file_kind(content_type: str, extension: str | None) -> tuple[str, str]:
    """Extension and media type to store a file under. The server's Content-Type wins over the name."""
    kind = _EXTENSIONS.get(content_type)
    if kind is None:
        kind = extension or UNKNOWN_EXTENSION
    elif extension is not None and MEDIA_TYPES[extension].partition("/")[2] == MEDIA_TYPES[kind].partition("/")[2]:
        kind = extension  # the same kind by another name: .oga for ogg, .m4b for m4a
    return kind, MEDIA_TYPES.get(kind, UNKNOWN_TYPE)


def host_of(address: str | None) -> str | None:
    """The host of an address as operators compare it: in lower case, without a final dot; None where there is none."""
    try:
        host = (urlsplit(address or "").hostname or "").rstrip(".").lower()
    except ValueError:
        return None
    return host if re.fullmatch(HOST_PATTERN, host) and len(host) <= 253 else None


# What each refusal of the proxy means, the gravest first.
_REFUSALS: Final[tuple[tuple[Refusal, ExitCode, Reason], ...]] = (
    (Refusal.BLOCKED, ExitCode.BLOCKED_ADDRESS, Reason.BLOCKED_ADDRESS),
    (Refusal.TOO_MUCH, ExitCode.NOT_MEDIA, Reason.TOO_LARGE),
    (Refusal.TOO_LONG, ExitCode.TEMPORARY, Reason.TOO_SLOW),
    (Refusal.TOO_SLOW, ExitCode.TEMPORARY, Reason.TOO_SLOW),
    (Refusal.UPSTREAM, ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE),
    (Refusal.NO_SUCH_HOST, ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE),
    (Refusal.UNRESOLVED, ExitCode.TEMPORARY, Reason.DNS_ERROR),
    (Refusal.UNREACHABLE, ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE),
)


# For a typing mistake and for a host inside a network: the answer must not tell which of the two it is.
_CHECK_HOST: Final = (
    "Check the spelling of the host. One inside a network can be used only where the administrator allows its address "
    "and port in fetch.allowedCIDRs."
)
_ENDINGS: Final = frozenset({Refusal.TOO_MUCH, Refusal.TOO_LONG, Refusal.TOO_SLOW})


def refused_error(refusals: list[RefusedError], limits: FetchLimits) -> PhaseError | None:
    """What the proxy's refusals mean for the download, the gravest first; None where it refused nothing."""
    kinds = {refused.refusal: refused.detail for refused in list(refusals)}
    for kind, code, reason in _REFUSALS:
        if kind is Refusal.TOO_MUCH and kind in kinds:
            return too_large(limits.max_bytes)
        if kind is Refusal.TOO_LONG and kind in kinds:
            return too_slow(limits.max_seconds)
        if kind in kinds:
            return PhaseError(code, reason, f"{kinds[kind]}.", _CHECK_HOST if kind is Refusal.NO_SUCH_HOST else "")
    return None


def check_whole(tools: FetchTools) -> None:
    """Raises :class:`PhaseError` when the proxy closed a connection in its middle: without a known length, the end of a
    connection looks like the end of a file."""
    ended = [each for each in list(tools.refusals) if each.refusal in _ENDINGS]
    error = refused_error(ended, tools.limits)
    if error is not None:
        raise error


def too_slow(seconds: int) -> PhaseError:
    """The error for a download that is not done in time."""
    return PhaseError(
        ExitCode.TEMPORARY,
        Reason.TOO_SLOW,
        f"The download did not finish within {seconds} seconds.",
        "Use another source, or raise timeoutSeconds.",
    )


def too_large(max_bytes: int) -> PhaseError:
    """The error for a source above the byte limit."""
    return PhaseError(
        ExitCode.NOT_MEDIA,
        Reason.TOO_LARGE,
        f"The source is larger than {max_bytes} bytes.",
        "Use a smaller file, or raise parameters.download.maxBytes.",
    )


def describe_bytes(number: float) -> str:
    """A size for people: ``12.3 MB``."""
    return f"{number / 1e6:.1f} MB"


def _bad_url(what: str) -> PhaseError:
    return PhaseError(
        ExitCode.USAGE,
        Reason.INVALID_SPEC,
        f"The source's address {what}.",
        "Give the public http or https address of an audio or video file, or of a page with one.",
    )
