"""Fetches one file over http or https, through the proxy, as a stream and within limits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError as TransferError

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetching import (
    Fetched,
    FetchTools,
    describe_bytes,
    file_kind,
    http_date,
    is_media,
    path_extension,
    refused_error,
    retry_after_seconds,
    stopped,
    too_large,
)
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

USER_AGENT: Final = "audiojob-runner"
MAX_REDIRECTS: Final = 10
CONNECT_SECONDS: Final = 20.0
READ_SECONDS: Final = 60.0
PIECE_BYTES: Final = 256 * 1024
# A server that sends less than this in a minute never gets done.
SLOW_WINDOW_SECONDS: Final = 60.0
SLOW_BYTES: Final = 64 * 1024
REPORT_SECONDS: Final = 0.5

# Answers that say "later" although they are not 5xx.
_LATER: Final = frozenset({408, 421, 425})


def fetch(parts: SplitResult, tools: FetchTools, *, pages: bool) -> Fetched | None:
    """Download what the address answers; None when that is a page and ``pages`` allows for it.

    Raises :class:`PhaseError`.
    """
    try:
        with _get(parts.geturl(), tools) as response:
            where = Where.read(response)
            if pages and not is_media(where.content_type, where.extension):
                return None
            return _save(response, where, tools)
    except requests.exceptions.SSLError as error:
        bad = "certificate is not valid" if "CERTIFICATE_VERIFY_FAILED" in str(error) else "server speaks no valid TLS"
        raise _unavailable(f"The source's {bad}.") from error
    except requests.exceptions.TooManyRedirects as error:
        raise _unavailable(f"The source redirects more than {MAX_REDIRECTS} times.") from error
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidProxyURL,
    ) as error:
        raise _unavailable("The source leads to an address that is not http or https.") from error
    except (requests.exceptions.RequestException, TransferError) as error:
        raise refused_error(tools.refusals, tools.limits) or PhaseError(
            ExitCode.TEMPORARY,
            Reason.TEMPORARY_FAILURE,
            f"The download broke off: {type(error).__name__}.",
        ) from error


@dataclass(frozen=True, slots=True)
class Where:
    """What the head of an answer says about its body. ``length`` is in bytes, None where untold."""

    content_type: str
    extension: str | None
    length: int | None

    @classmethod
    def read(cls, response: requests.Response) -> Where:
        """From the final answer, after redirects."""
        headers = response.headers
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        extension = path_extension(urlsplit(response.url).path) or _named_extension(headers)
        told = headers.get("Content-Length", "")
        # With a content coding, the length is that of the coded form.
        plain = headers.get("Content-Encoding", "identity").strip().lower() in ("", "identity")
        return cls(content_type, extension, int(told) if told.isdecimal() and plain else None)


def status_error(status: int, retry_after: int | None = None) -> PhaseError | None:
    """The error for an HTTP status; None for success. ``retry_after`` is what the server asked for, in seconds."""
    if 200 <= status < 300:
        return None
    if status == 429:
        limited = PhaseError(
            ExitCode.TEMPORARY,
            Reason.RATE_LIMITED,
            "The source's server limits how much is downloaded from here: too many requests (429).",
        )
        limited.retry_after_seconds = retry_after
        return limited
    if status >= 500 or status in _LATER:
        return PhaseError(
            ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, f"The source's server failed with status {status}."
        )
    if status in (401, 403, 407):
        return _unavailable(
            f"The source's server refuses access (status {status}).", "Use an address that needs no login."
        )
    if status in (404, 410):
        return _unavailable(f"The source does not exist (status {status}).")
    return _unavailable(f"The source's server answers with status {status}.")


def asked_to_wait(headers: Mapping[str, str]) -> int | None:
    """Seconds to wait that an answer's headers ask for. A date counts from the server's own clock if it tells that."""
    now = http_date(headers.get("Date")) or datetime.now(UTC)
    return retry_after_seconds(headers.get("Retry-After"), now)


@contextmanager
def _get(url: str, tools: FetchTools) -> Iterator[requests.Response]:
    with requests.Session() as session:
        # No proxy, no credentials and no certificates from the environment.
        session.trust_env = False
        session.max_redirects = MAX_REDIRECTS
        session.proxies = {"http": tools.proxy_url, "https": tools.proxy_url}
        session.headers.update({"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"})
        with session.get(url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as response:
            # The proxy's own answer to http:// looks like the server's.
            refused = refused_error(tools.refusals, tools.limits)
            error = status_error(response.status_code, asked_to_wait(response.headers))
            if error is not None:
                raise refused or error
            yield response


def _save(response: requests.Response, where: Where, tools: FetchTools) -> Fetched:
    limit = tools.limits.max_bytes
    if where.length is not None and where.length > limit:
        raise too_large(limit)
    extension, media_type = file_kind(where.content_type, where.extension)
    path = tools.folder / f"source.{extension}"
    meter = Meter(where.length, tools)
    with path.open("wb") as file:
        for piece in response.raw.stream(PIECE_BYTES, decode_content=True):
            if tools.cancelled.is_set():
                raise stopped()
            file.write(piece)
            meter.add(len(piece))
            if meter.received > limit:
                raise too_large(limit)
    if where.length is not None and meter.received != where.length:
        raise PhaseError(
            ExitCode.TEMPORARY,
            Reason.TEMPORARY_FAILURE,
            f"The download broke off after {meter.received} of {where.length} bytes.",
        )
    tools.progress(100, f"Downloaded {describe_bytes(meter.received)}")
    return Fetched(path, extension, media_type, {})


class Meter:
    """Counts bytes, reports progress, and gives up on a server that is endlessly slow."""

    def __init__(self, length: int | None, tools: FetchTools) -> None:
        self._length = length
        self._tools = tools
        self._window_start = self._reported = time.monotonic()
        self._window_bytes = 0
        self.received = 0

    def add(self, number: int) -> None:
        """Take note of a piece. Raises :class:`PhaseError` when the source is too slow."""
        now = time.monotonic()
        self.received += number
        self._window_bytes += number
        if now - self._window_start >= SLOW_WINDOW_SECONDS:
            if self._window_bytes < SLOW_BYTES:
                raise PhaseError(
                    ExitCode.TEMPORARY,
                    Reason.TEMPORARY_FAILURE,
                    f"The source sends less than {SLOW_BYTES // 1024} KiB a minute.",
                )
            self._window_start, self._window_bytes = now, 0
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            percent = min(99.0, 100 * self.received / self._length) if self._length else 0.0
            self._tools.progress(percent, f"Downloaded {describe_bytes(self.received)}")


def _named_extension(headers: CaseInsensitiveDict[str]) -> str | None:
    """The extension of the file name that ``Content-Disposition`` gives. The name itself is not used."""
    _, found, rest = headers.get("Content-Disposition", "").partition("filename")
    name = rest.partition("=")[2].partition(";")[0].strip().strip('"')
    return path_extension(name) if found and name else None


def _unavailable(message: str, suggestion: str = "") -> PhaseError:
    return PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, message, suggestion)
