# ruff: noqa: E501 - one case a line
"""Each row of the table is held by at least one real wording; words alone do not tell whether a row is reached."""

from __future__ import annotations

import errno
import io
from typing import Any

import pytest
from yt_dlp.cookies import CookieLoadError
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    PostProcessingError,
    UnsupportedError,
    UserNotLive,
)

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.ytdlp.errors import TABLE, Row, explain, find_row
from audiojob_types.reasons import Reason


def as_yt_dlp_raises(cause: Exception) -> DownloadError:
    """yt-dlp reports an exception by raising a DownloadError that holds it."""
    return DownloadError(f"ERROR: {cause}", (type(cause), cause, None))


def http_error(status: int, **headers: str) -> HTTPError:
    """Header names are given with underscores."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPError(Response(io.BytesIO(b""), "https://example.com/", given, status=status))


def extractor(text: str, **more: Any) -> ExtractorError:
    return ExtractorError(text, expected=True, **more)


CASES = [
    ("a bot check with a curly apostrophe", extractor("Sign in to confirm you’re not a bot. Use --cookies"), 75, Reason.BOT_CHECK, "robot"),
    ("a captcha", extractor("The page asks for a CAPTCHA challenge"), 75, Reason.BOT_CHECK, "robot"),
    ("a rate limit in words", extractor("The current session has been rate-limited by YouTube for up to an hour"), 75, Reason.RATE_LIMITED, "rate-limiting"),
    ("a rate limit for strangers", extractor("You have exceeded the rate-limit for accessing posts anonymously"), 75, Reason.RATE_LIMITED, "rate-limiting"),
    ("a rate limit as a status", http_error(429), 75, Reason.RATE_LIMITED, "429"),
    ("an age check", extractor("Sign in to confirm your age. This video may be inappropriate for some users."), 66, Reason.AGE_RESTRICTED, "age-restricted"),
    ("copy protection", extractor("This video is DRM protected"), 66, Reason.DRM_PROTECTED, "DRM"),
    ("a private video", extractor("Private video. Sign in if you've been granted access"), 66, Reason.SOURCE_PRIVATE, "private"),
    ("a members-only video", extractor("Join this channel to get access to members-only content"), 66, Reason.SOURCE_PRIVATE, "members"),
    ("a geo restriction by type", GeoRestrictedError("no", countries=["DE", "FR"]), 66, Reason.GEO_BLOCKED, "country"),
    ("a geo restriction in words", extractor("The uploader has not made this video not available in your country"), 66, Reason.GEO_BLOCKED, "country"),
    ("a user who is not live", UserNotLive(), 66, Reason.LIVE_NOT_ALLOWED, "broadcast"),
    ("a premiere", extractor("Premieres in 3 hours"), 66, Reason.LIVE_NOT_ALLOWED, "broadcast"),
    ("a login wall", extractor("This video is only available for registered users"), 66, Reason.LOGIN_REQUIRED, "login"),
    ("an address that no extractor takes", UnsupportedError("https://example.com/"), 66, Reason.SOURCE_UNAVAILABLE, "no audio or video"),
    ("a removed video", extractor("Video unavailable. This video has been removed by the uploader"), 66, Reason.SOURCE_UNAVAILABLE, "gone"),
    ("an old extractor", extractor("Requested format is not available"), 75, Reason.EXTRACTOR_OUTDATED, "version of yt-dlp"),
    ("a file of another kind", extractor("The extracted extension ('exe') is unusual and will be skipped for safety reasons"), 65, Reason.NOT_MEDIA, "not an audio"),
    ("a file without a byte", DownloadError("ERROR: Did not get any data blocks"), 65, Reason.NOT_MEDIA, "empty"),
    ("a bad certificate", CertificateVerifyError("certificate verify failed: expired"), 66, Reason.SOURCE_UNAVAILABLE, "certificate"),
    ("a lost connection", TransportError("Connection reset by peer"), 75, Reason.TEMPORARY_FAILURE, "broke off"),
    ("an answer that ends early", IncompleteRead(10, 100), 75, Reason.TEMPORARY_FAILURE, "broke off"),
    ("a file that ends early", ContentTooShortError(10, 100), 75, Reason.TEMPORARY_FAILURE, "broke off"),
    ("a page that is not there", extractor("Unable to download webpage", cause=http_error(404)), 66, Reason.SOURCE_UNAVAILABLE, "404"),
    ("a page that is forbidden", extractor("Unable to download webpage", cause=http_error(403)), 66, Reason.SOURCE_FORBIDDEN, "403"),
    ("a server that fails", extractor("Unable to download webpage", cause=http_error(503)), 75, Reason.TEMPORARY_FAILURE, "503"),
    ("a runtime that is missing", extractor("No supported JavaScript runtime could be found"), 75, Reason.EXTRACTOR_OUTDATED, "JavaScript"),
    ("a resolver that is down", TransportError("<urlopen error [Errno -3] Temporary failure in name resolution>"), 75, Reason.DNS_ERROR, "resolved"),
    ("a failed conversion", PostProcessingError("Conversion failed!"), 65, Reason.CORRUPT_MEDIA, "converted"),
    ("cookies in another form", CookieLoadError("failed to load cookies"), 77, Reason.CREDENTIALS_REFUSED, "cookies"),
    ("an address without its end", extractor("The YouTube ID is incomplete: it looks truncated"), 64, Reason.INVALID_SPEC, "not whole"),
    ("a full disk", OSError(errno.ENOSPC, "No space left on device"), 78, Reason.DISK_FULL, "disk"),
    ("a page that is not open to strangers", extractor("Unable to download webpage", cause=http_error(401)), 66, Reason.LOGIN_REQUIRED, "401"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cause", "code", "reason", "part"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_failure_has_its_meaning(cause: Exception, code: int, reason: Reason, part: str) -> None:
    error = explain(as_yt_dlp_raises(cause))
    assert (error.exit_code, error.reason) == (code, reason)
    assert part in error.message
    assert error.suggestion


LIMITED = extractor("The current session has been rate-limited by the site")
WAIT = {"Retry_After": "120"}


@pytest.mark.parametrize(
    ("cause", "reason", "seconds"),
    [
        pytest.param(http_error(429, **WAIT), Reason.RATE_LIMITED, 120, id="a status with a time to wait"),
        pytest.param(http_error(429), Reason.RATE_LIMITED, None, id="a status without one"),
        pytest.param(
            extractor("Unable to download JSON metadata", cause=http_error(429, **WAIT)),
            Reason.RATE_LIMITED, 120, id="a status beneath an extractor's error",
        ),
        pytest.param(LIMITED, Reason.RATE_LIMITED, None, id="words alone"),
        pytest.param(
            extractor("You are rate-limited. Try again later.", cause=http_error(403, **WAIT)),
            Reason.RATE_LIMITED, 120, id="words beside a status that says something else",
        ),
        pytest.param(
            extractor("Sign in to confirm you’re not a bot"), Reason.BOT_CHECK, None,
            id="a check for robots, which tells no time",
        ),
        pytest.param(http_error(503, **WAIT), Reason.TEMPORARY_FAILURE, None, id="a server that is overloaded"),
    ],
)  # fmt: skip
def test_how_long_a_site_asks_to_be_left_alone(cause: Exception, reason: Reason, seconds: int | None) -> None:
    error = explain(as_yt_dlp_raises(cause))
    assert (error.reason, error.retry_after_seconds) == (reason, seconds)


def test_every_row_of_the_table_is_reached_by_a_case() -> None:
    reached = set()
    for _, cause, *_ in CASES:
        error = explain(as_yt_dlp_raises(cause))
        reached.add(error.message)
    assert {row.message for row in TABLE} <= reached


@pytest.mark.parametrize(
    ("row", "words"),
    [(row, words) for row in TABLE for words in row.words],
    ids=[f"{words!r}" for row in TABLE for words in row.words],
)
def test_no_row_hides_another(row: Row, words: str) -> None:
    found = find_row(set(), f"ERROR: [site] id: {words.capitalize()}.")
    assert found is row


@pytest.mark.parametrize(
    ("row", "name"), [(row, name) for row in TABLE for name in row.types], ids=[n for r in TABLE for n in r.types]
)
def test_each_type_name_finds_its_row(row: Row, name: str) -> None:
    assert find_row({name}, "") is row


def test_countries_are_told() -> None:
    error = explain(as_yt_dlp_raises(GeoRestrictedError("no", countries=["DE", "FR"])))
    assert error.suggestion.startswith("It is available in: DE, FR.")


def test_a_full_disk_is_seen_through_yt_dlps_wrapping() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    error = explain(as_yt_dlp_raises(full))
    assert (error.exit_code, error.reason) == (78, Reason.DISK_FULL)


def test_our_own_errors_pass_through_yt_dlps_wrapping() -> None:
    ours = PhaseError(65, Reason.TOO_LARGE, "The source is larger than 5 bytes.")
    assert explain(as_yt_dlp_raises(ours)) is ours


def test_what_nobody_knows_is_temporary_and_names_the_type() -> None:
    error = explain(as_yt_dlp_raises(ZeroDivisionError("secret detail")))
    assert error.exit_code == 75
    assert "ZeroDivisionError" in error.message
    assert "secret" not in error.message
