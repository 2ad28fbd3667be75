"""Classifies yt-dlp's errors by a table. Sites give their reasons only as text, so rows match types or words.

Rows are tried from the top; the first that matches decides. Matching is on lower-case text with straight quotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError

from audiojob_runner.errors import PhaseError, is_disk_full
from audiojob_runner.fetch.common import host_of
from audiojob_runner.fetch.kinds import first_words
from audiojob_runner.fetch.plainhttp import asked_to_wait, status_error
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import EXPLANATIONS, Reason

_GONE: Final = (ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE)
_LATER: Final = (ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE)
_LIMITED: Final = (ExitCode.TEMPORARY, Reason.RATE_LIMITED)
_PRIVATE: Final = (ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_PRIVATE)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of failure: any of the exception type names, or any of the words, in the error or its causes."""

    types: tuple[str, ...]
    words: tuple[str, ...]
    exit_code: ExitCode
    reason: Reason
    message: str
    suggestion: str = ""


TABLE: Final[tuple[Row, ...]] = (
    Row(
        (),
        ("rate-limited", "rate limit", "exceeded the rate-limit", "too many requests"),
        *_LIMITED,
        "The site is rate-limiting us.",
        "Download less at once, or from another network.",
    ),
    Row(
        (),
        ("confirm you're not a bot", "captcha"),
        ExitCode.TEMPORARY,
        Reason.BOT_CHECK,
        "The site takes the downloader for a robot.",
    ),
    Row(
        (),
        ("confirm your age", "age-restricted", "age restricted", "inappropriate for some users"),
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.AGE_RESTRICTED,
        "The source is age-restricted and needs a login.",
    ),
    Row(
        (),
        ("drm protected", "drm-protected", "uses drm", "known to use drm"),
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.DRM_PROTECTED,
        "The source is protected against copying (DRM).",
    ),
    Row(
        (),
        ("private video", "this video is private", "video is private"),
        *_PRIVATE,
        "The source is private.",
    ),
    Row(
        (),
        ("members-only", "join this channel", "requires payment", "premium members", "only available for subscribers"),
        *_PRIVATE,
        "The source is for paying members only.",
        "Use a source that needs no login.",
    ),
    Row(
        ("GeoRestrictedError",),
        ("not available in your country", "not available from your location", "geo restriction", "geo-restrict"),
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.GEO_BLOCKED,
        "The source is not available in this country.",
    ),
    Row(
        (),
        ("no supported javascript runtime", "no javascript runtime"),
        ExitCode.TEMPORARY,
        Reason.EXTRACTOR_OUTDATED,
        "The site needs a JavaScript runtime, which this runner image lacks.",
    ),
    Row(
        ("UserNotLive",),
        ("premieres in", "this live event will begin", "is not currently live",
         "live stream recording is not available"),
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.LIVE_NOT_ALLOWED,
        "The source has not been broadcast yet.",
        "Create the job again when it is over.",
    ),
    Row(
        (),
        ("login required", "registered users", "sign in", "log in", "requires authentication", "use --cookies"),
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.LOGIN_REQUIRED,
        "The source needs a login.",
    ),
    Row(
        (),
        ("looks truncated", "incomplete youtube id"),
        ExitCode.USAGE,
        Reason.INVALID_SPEC,
        "The source's address is not whole: its end is missing.",
        "Copy the whole address, and put it in quotes where a shell reads it.",
    ),
    Row(
        ("UnsupportedError",),
        ("unsupported url", "is not a valid url"),
        *_GONE,
        "There is no audio or video at this address that can be downloaded.",
        "Give the address of one audio or video file, or of a page with one.",
    ),
    Row(
        (),
        ("video unavailable", "has been removed", "no longer available", "account has been terminated",
         "does not exist", "this video isn't available", "content isn't available"),
        *_GONE,
        "The source is gone.",
    ),
    Row(
        (),
        ("requested format is not available", "no video formats found", "only images are available"),
        ExitCode.TEMPORARY,
        Reason.EXTRACTOR_OUTDATED,
        "The site offers nothing that this version of yt-dlp can download.",
    ),
    Row(
        ("UnsafeExtensionError",),
        ("unusual and will be skipped",),
        ExitCode.NOT_MEDIA,
        Reason.NOT_MEDIA,
        "The source is not an audio or video file.",
    ),
    Row(
        (),
        ("did not get any data blocks", "the downloaded file is empty"),
        ExitCode.NOT_MEDIA,
        Reason.NOT_MEDIA,
        "The source is empty.",
    ),
    Row(
        ("CertificateVerifyError",),
        ("certificate verify failed",),
        *_GONE,
        "The source's certificate is not valid.",
    ),
    Row(
        (),
        ("temporary failure in name resolution", "name or service not known", "failed to resolve"),
        ExitCode.TEMPORARY,
        Reason.DNS_ERROR,
        "The name of a host of the source cannot be resolved now.",
    ),
    Row(
        ("PostProcessingError",),
        ("postprocessing:",),
        ExitCode.NOT_MEDIA,
        Reason.CORRUPT_MEDIA,
        "The source cannot be converted.",
    ),
    Row(
        ("CookieLoadError",),
        ("does not look like a netscape format cookies file",),
        ExitCode.CREDENTIALS,
        Reason.CREDENTIALS_REFUSED,
        "The administrator's cookies cannot be read.",
    ),
    Row(
        ("TransportError", "IncompleteRead", "ProxyError", "SSLError", "ContentTooShortError", "TimeoutError",
         "ConnectionError"),
        ("timed out", "connection reset", "bytes read", "giving up after"),
        *_LATER,
        "The connection to the source broke off.",
    ),
)  # fmt: skip


def explain(error: BaseException) -> PhaseError:
    """The :class:`PhaseError` for anything that yt-dlp raises; temporary where nothing is known."""
    chain = list(causes(error))
    for each in chain:
        if isinstance(each, PhaseError):
            return each
    if any(is_disk_full(each) for each in chain):
        return PhaseError(ExitCode.DISK_FULL, Reason.DISK_FULL, "The disk filled up during the download.")
    row = find_row({name for each in chain for name in _type_names(each)}, " ".join(map(str, chain)))
    if row is not None and row.exit_code is not ExitCode.TEMPORARY:
        return _from_row(row, chain)
    answer = next((each for each in chain if isinstance(each, HTTPError)), None)
    wait = asked_to_wait(answer.response.headers) if answer is not None else None
    status = status_error(answer.status, wait, answer.response.url) if answer is not None else None
    # Sites also say it in words beside another status, such as 403.
    limited = row is not None and row.reason is Reason.RATE_LIMITED
    if status is not None and (status.reason is Reason.RATE_LIMITED or not limited):
        return status
    if row is not None:
        found = _from_row(row, chain)
        found.retry_after_seconds = wait if limited else None
        found.refused_by = host_of(answer.response.url) if limited and answer is not None else None
        return found
    return PhaseError(*_LATER, _own_words(chain), "The log has the details.")


def find_row(types: set[str], text: str) -> Row | None:
    """The first row of the table that fits these exception type names or this text."""
    plain = text.lower().replace("’", "'")
    for row in TABLE:
        if types.intersection(row.types) or any(words in plain for words in row.words):
            return row
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was made from: yt-dlp keeps causes in ``exc_info`` and ``cause`` too."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        exc_info = getattr(current, "exc_info", None)
        if isinstance(current, DownloadError) and exc_info:
            waiting.append(exc_info[1])
        cause = getattr(current, "cause", None)
        if isinstance(cause, BaseException):
            waiting.append(cause)
        waiting.extend((current.__cause__, current.__context__))


def _own_words(chain: list[BaseException]) -> str:
    """What yt-dlp itself says, for want of a row."""
    said = next((each.orig_msg for each in chain if isinstance(each, ExtractorError)), "")
    words = first_words(str(said).partition("; please report")[0]).rstrip(".")
    return f"yt-dlp failed: {words or type(chain[-1]).__name__}."


def _from_row(row: Row, chain: list[BaseException]) -> PhaseError:
    suggestion = row.suggestion
    for each in chain:
        if isinstance(each, GeoRestrictedError) and each.countries:
            codes = ", ".join(code for code in list(each.countries)[:20] if len(code) == 2 and code.isalpha())
            suggestion = f"It is available in: {codes}. {EXPLANATIONS[row.reason].suggestion}"
    return PhaseError(row.exit_code, row.reason, row.message, suggestion)


def _type_names(error: BaseException) -> Iterator[str]:
    for kind in type(error).__mro__:
        yield kind.__name__.lstrip("_")
