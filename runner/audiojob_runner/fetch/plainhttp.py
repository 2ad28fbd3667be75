"""Downloads one file over http or https, through the egress proxy, as a stream and within limits."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError as TransferError

from audiojob_runner.errors import PhaseError, stopped
from audiojob_runner.fetch.common import (
    Fetched,
    FetchTools,
    check_whole,
    describe_bytes,
    file_kind,
    host_of,
    is_media,
    path_extension,
    refused_error,
    too_large,
)
from audiojob_runner.fetch.partial.folder import PartialDownload
from audiojob_runner.fetch.partial.format import address_digest, describe
from audiojob_runner.fetch.partial.resumption import OUT_OF_RANGE, Verdict
from audiojob_runner.fetch.partial.transfer import (
    CONNECT_SECONDS,
    MAX_REDIRECTS,
    READ_SECONDS,
    BrokenOffError,
    StartOverError,
    Transfer,
    body_length,
    open_session,
    resuming,
)
from audiojob_runner.fetch.secrets import load_cookies
from audiojob_types.contract import ExitCode
from audiojob_types.outside.headers import http_date, retry_after_seconds
from audiojob_types.reasons import Reason

REPORT_SECONDS: Final = 0.5
# The pause before a download is resumed doubles with each break in a row.
RESUME_SECONDS: Final = 0.5

# Statuses that mean "later" although they are not 5xx.
_LATER: Final = frozenset({408, 421, 425})

_log = logging.getLogger(__name__)


def fetch(parts: SplitResult, tools: FetchTools, *, pages: bool) -> Fetched | None:
    """Download the file at an address; None when that is a page and ``pages`` allows for it.

    After a break, the download is resumed where it stopped if the server supports that; so is the one that an earlier
    attempt of the phase has left in ``tools.keeping``. Raises :class:`PhaseError`.
    """
    url = parts.geturl()

    def pause(breaks: int, error: BrokenOffError) -> None:
        if not (download.settled or isinstance(error, StartOverError)):
            raise error
        if tools.cancelled.wait(RESUME_SECONDS * 2 ** (breaks - 1)):
            raise stopped() from None

    with closing(_Download(url, tools)) as download:
        download.resume_earlier()
        whole = resuming(download, lambda: _fetch_once(url, tools, download, pages=pages), pause)
        return download.result() if whole else None


def _fetch_once(url: str, tools: FetchTools, download: _Download, *, pages: bool) -> bool:
    """One request; whether the file was received, and False for a page. Raises :class:`PhaseError`."""
    with translated(tools), get(url, tools, download.request_headers()) as response:
        verdict = download.judge(response)
        head = FileHead.read(response)
        first = pages and verdict is Verdict.WHOLE and not download.settled
        if first and not is_media(head.content_type, head.extension):
            download.forget()
            return False
        download.settle(verdict)
        download.receive(response, verdict)
        check_whole(tools)
        return True


@contextmanager
def translated(tools: FetchTools) -> Iterator[None]:
    """Every failure of a request as :class:`PhaseError`."""
    try:
        yield
    except StartOverError:
        raise
    except BrokenOffError as error:
        refused = refused_error(tools.refusals, tools.limits)
        if refused is None:
            raise
        raise refused from error
    except requests.exceptions.SSLError as error:
        bad = "certificate is not valid" if "CERTIFICATE_VERIFY_FAILED" in str(error) else "server speaks no valid TLS"
        raise _unavailable(f"The source's {bad}.") from error
    except requests.exceptions.TooManyRedirects as error:
        raise PhaseError(
            ExitCode.SOURCE_UNAVAILABLE,
            Reason.TOO_MANY_REDIRECTS,
            f"The source redirects more than {MAX_REDIRECTS} times.",
        ) from error
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidProxyURL,
    ) as error:
        raise _unavailable("The source leads to an address that is not http or https.") from error
    except (requests.exceptions.RequestException, TransferError) as error:
        raise refused_error(tools.refusals, tools.limits) or BrokenOffError(
            f"The download broke off: {type(error).__name__}."
        ) from error


@dataclass(frozen=True, slots=True)
class FileHead:
    """What the head of an answer says about its file. ``length`` is in bytes, None where unknown."""

    content_type: str
    extension: str | None
    length: int | None

    @classmethod
    def read(cls, response: requests.Response) -> FileHead:
        """From the final answer, after redirects."""
        headers = response.headers
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        extension = path_extension(urlsplit(response.url).path) or _named_extension(headers)
        return cls(content_type, extension, body_length(headers))


def status_error(status: int, retry_after: int | None = None, answered_by: str | None = None) -> PhaseError | None:
    """The error for an HTTP status; None for success.

    ``retry_after`` is the server's Retry-After, in seconds; ``answered_by`` the address that answered, after redirects.
    """
    if 200 <= status < 300:
        return None
    if status == 429:
        limited = PhaseError(
            ExitCode.TEMPORARY,
            Reason.RATE_LIMITED,
            "The source's server is rate-limiting this cluster: too many requests (status 429).",
        )
        limited.retry_after_seconds = retry_after
        limited.refused_by = host_of(answered_by)
        return limited
    if status >= 500 or status in _LATER:
        return PhaseError(
            ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, f"The source's server failed with status {status}."
        )
    if status == 407:
        return PhaseError(
            ExitCode.CREDENTIALS,
            Reason.CREDENTIALS_REFUSED,
            "The administrator's proxy refuses its credentials (status 407).",
        )
    if status in (401, 403):
        return PhaseError(
            ExitCode.SOURCE_UNAVAILABLE,
            Reason.LOGIN_REQUIRED if status == 401 else Reason.SOURCE_FORBIDDEN,
            f"The source's server refuses access (status {status}).",
        )
    if status == 451:
        return PhaseError(
            ExitCode.SOURCE_UNAVAILABLE,
            Reason.GEO_BLOCKED,
            "The source's server may not show it here for legal reasons (status 451).",
        )
    if status in (404, 410):
        return _unavailable(f"The source does not exist (status {status}).")
    return _unavailable(f"The source's server answers with status {status}.")


def asked_to_wait(headers: Mapping[str, str]) -> int | None:
    """Seconds to wait that an answer's headers ask for. A date counts from the server's own clock where it is given."""
    now = http_date(headers.get("Date")) or datetime.now(UTC)
    return retry_after_seconds(headers.get("Retry-After"), now)


@contextmanager
def get(url: str, tools: FetchTools, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """The answer after redirects, its body not yet read. Raises what requests raises, and :class:`PhaseError` for a
    status that is neither success nor 416 to a request with a range."""
    with open_session(tools.proxy_url) as session:
        if tools.secrets.cookies.strip():
            session.cookies = load_cookies(tools.secrets)
        with session.get(url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS), headers=headers) as response:
            # The proxy's own answer to http:// looks like the server's.
            refused = refused_error(tools.refusals, tools.limits)
            error = status_error(response.status_code, asked_to_wait(response.headers), response.url)
            # We asked for a range that does not exist: that says nothing about the file.
            if error is not None and not (response.status_code == OUT_OF_RANGE and "Range" in headers):
                raise refused or error
            yield response


class _Download(Transfer):
    """A file of the work folder, kept for the next attempt where the store can do that."""

    def __init__(self, url: str, tools: FetchTools) -> None:
        super().__init__(tools.limits.max_bytes)
        self._tools = tools
        self._address = address_digest(tools.job_uid, url)
        self._partial = PartialDownload(tools.keeping)
        self._kind: tuple[str, str | None] = ("", None)  # the content type and the extension
        self._reported = time.monotonic()
        self.settled = False  # an answer has shown that this is a file, and whether what was kept is of it

    def resume_earlier(self) -> None:
        """Begin with what an earlier attempt has received of this address, if anything."""
        about = self._partial.find(self._address, self.max_bytes)
        if about is None:
            return
        path = self._file(about.content_type, about.extension)
        with path.open("wb") as file:
            while block := self._partial.next_block():
                if self._tools.cancelled.is_set():
                    raise stopped()
                file.write(block)
                self.received += len(block)
                checked = describe_bytes(self.received)
                self._tools.progress(0, f"Verified {checked} that an earlier attempt received")
        self.path, self.version, self.length = path, about.version, about.length

    def settle(self, verdict: Verdict) -> None:
        """The answer is one of a file."""
        if verdict is Verdict.CONTINUES:
            if not self.settled:
                _log.info("Resuming after the %d bytes that an earlier attempt received", self.received)
            self._report()
        self.settled = True

    def begin(self, response: requests.Response) -> Path:
        head = FileHead.read(response)
        self._partial.begin(describe(self._address, self.version, head.content_type, head.extension))
        self._report()
        return self._file(head.content_type, head.extension)

    def took(self, piece: bytes) -> None:
        if self._tools.cancelled.is_set():
            raise stopped()
        self._partial.add(piece)
        if time.monotonic() - self._reported >= REPORT_SECONDS:
            self._report()

    def too_large(self) -> PhaseError:
        return too_large(self.max_bytes)

    def forget(self) -> None:
        self._partial.discard()
        super().forget()

    def result(self) -> Fetched:
        """The whole file."""
        assert self.path is not None
        self._report(done=True)
        extension, media_type = file_kind(*self._kind)
        return Fetched(self.path, extension, media_type, {})

    def close(self) -> None:
        """Leave what is kept to the next attempt."""
        self._partial.close()

    def _file(self, content_type: str, extension: str | None) -> Path:
        self._kind = content_type, extension
        return self._tools.folder / f"source.{file_kind(content_type, extension)[0]}"

    def _report(self, *, done: bool = False) -> None:
        self._reported = time.monotonic()
        percent = min(99.0, 100 * self.received / self.length) if self.length else 0.0
        share = 1 - self._tools.finish_share
        self._tools.progress((100 if done else percent) * share, f"Downloaded {describe_bytes(self.received)}")


def _named_extension(headers: CaseInsensitiveDict[str]) -> str | None:
    """The extension of the file name in ``Content-Disposition``. The name itself is not used."""
    _, found, rest = headers.get("Content-Disposition", "").partition("filename")
    name = rest.partition("=")[2].partition(";")[0].strip().strip('"')
    return path_extension(name) if found and name else None


def _unavailable(message: str, suggestion: str = "") -> PhaseError:
    return PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, message, suggestion)
