"""Fetches one file over http or https, through the proxy, as a stream and within limits."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError as TransferError

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import (
    Fetched,
    FetchTools,
    check_whole,
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
from audiojob_runner.fetch.partial.keeper import Keeper
from audiojob_runner.fetch.partial.remnant import address_digest, describe
from audiojob_runner.fetch.partial.resumption import (
    OUT_OF_RANGE,
    PARTIAL_CONTENT,
    Verdict,
    Version,
    is_coded,
    judge,
    part_of,
    resume_headers,
    version_of,
)
from audiojob_runner.fetch.secrets import load_cookies
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

USER_AGENT: Final = "audiojob-runner"
MAX_REDIRECTS: Final = 10
CONNECT_SECONDS: Final = 20.0
READ_SECONDS: Final = 60.0
PIECE_BYTES: Final = 256 * 1024
REPORT_SECONDS: Final = 0.5
# A download that breaks off goes on after a pause that doubles; so often in a row without a new byte it is given up.
MAX_BREAKS: Final = 4
RESUME_SECONDS: Final = 0.5

# Answers that say "later" although they are not 5xx.
_LATER: Final = frozenset({408, 421, 425})

_log = logging.getLogger(__name__)


def fetch(parts: SplitResult, tools: FetchTools, *, pages: bool) -> Fetched | None:
    """Download what the address answers; None when that is a page and ``pages`` allows for it.

    What breaks off goes on where it stopped, if the server can do that; so does what an earlier attempt of the phase
    has left in ``tools.keeping``. Raises :class:`PhaseError`.
    """
    url = parts.geturl()
    with closing(_Saving(url, tools)) as saving:
        saving.take_over()
        breaks = 0
        while True:
            before = saving.received
            try:
                return saving.result() if _fetch_once(url, tools, saving, pages=pages) else None
            except BrokenOffError as error:
                breaks = 1 if saving.received > before else breaks + 1
                if breaks > MAX_BREAKS or not (saving.settled or isinstance(error, _UnfitError)):
                    raise
                if tools.cancelled.wait(RESUME_SECONDS * 2 ** (breaks - 1)):
                    raise stopped() from None


def _fetch_once(url: str, tools: FetchTools, saving: _Saving, *, pages: bool) -> bool:
    """One request; whether the file is there, and False for a page. Raises :class:`PhaseError`."""
    with translated(tools), get(url, tools, saving.resume_headers()) as response:
        verdict = saving.judge(response)
        if verdict is Verdict.UNFIT:
            saving.forget()
            raise _UnfitError
        where = Where.read(response)
        asked = pages and verdict is Verdict.WHOLE and not saving.settled
        if asked and not is_media(where.content_type, where.extension):
            saving.forget()
            return False
        saving.take(response, where, verdict)
        return True


class BrokenOffError(PhaseError):
    """The connection ended before the file did."""

    def __init__(self, message: str) -> None:
        super().__init__(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, message)


class _UnfitError(BrokenOffError):
    """The answer belongs to no file that is there: all of it is to be asked for."""

    def __init__(self) -> None:
        super().__init__("The source's server sends another part than it was asked for.")


@contextmanager
def translated(tools: FetchTools) -> Iterator[None]:
    """Every failure of a request as :class:`PhaseError`."""
    try:
        yield
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
        known = told.isdecimal() and len(told) < 19 and not is_coded(headers)
        return cls(content_type, extension, int(told) if known else None)


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
    """Seconds to wait that an answer's headers ask for. A date counts from the server's own clock if it tells that."""
    now = http_date(headers.get("Date")) or datetime.now(UTC)
    return retry_after_seconds(headers.get("Retry-After"), now)


@contextmanager
def get(url: str, tools: FetchTools, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """The head of the answer, after redirects, with its body still to be read. Raises what requests raises, and
    :class:`PhaseError` for a status that is none of success, or 416 to a request with a range."""
    with requests.Session() as session:
        # No proxy, no credentials and no certificates from the environment.
        session.trust_env = False
        session.max_redirects = MAX_REDIRECTS
        session.proxies = {"http": tools.proxy_url, "https": tools.proxy_url}
        session.headers.update({"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"})
        if tools.secrets.cookies.strip():
            session.cookies = load_cookies(tools.secrets)
        with session.get(url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS), headers=headers) as response:
            # The proxy's own answer to http:// looks like the server's.
            refused = refused_error(tools.refusals, tools.limits)
            error = status_error(response.status_code, asked_to_wait(response.headers))
            # A part that is not there was our own idea, and says nothing about the file.
            if error is not None and not (response.status_code == OUT_OF_RANGE and "Range" in headers):
                raise refused or error
            yield response


class _Saving:
    """The file as far as it is there, over one or more requests, and perhaps attempts."""

    def __init__(self, url: str, tools: FetchTools) -> None:
        self._tools = tools
        self._address = address_digest(tools.job_uid, url)
        self._keeper = Keeper(tools.keeping)
        self._meter = Meter(None, tools)
        self._version: Version | None = None
        self._path: Path | None = None
        self._where: Where | None = None
        self.settled = False  # an answer has shown that this is a file, and whether what was kept is of it

    @property
    def received(self) -> int:
        """Bytes that are there."""
        return self._meter.received

    def take_over(self) -> None:
        """Begin with what an earlier attempt has left, if it has left anything of this address."""
        about = self._keeper.find(self._address, self._tools.limits.max_bytes)
        if about is None:
            return
        path = self._file(about.content_type, about.extension)
        received = 0
        with path.open("wb") as file:
            while block := self._keeper.next_block():
                if self._tools.cancelled.is_set():
                    raise stopped()
                file.write(block)
                received += len(block)
                self._tools.progress(0, f"Checked {describe_bytes(received)} that an earlier attempt received")
        self._path = path
        self._where = Where(about.content_type, about.extension, about.length)
        self._version = about.version
        self._meter = Meter(about.length, self._tools, received)

    def resume_headers(self) -> dict[str, str]:
        """What to ask for, so that only the rest is sent, and only of the same file."""
        return resume_headers(self._version, self.received)

    def judge(self, response: requests.Response) -> Verdict:
        """Whether the answer is that rest."""
        return judge(self._version, self.received, response.status_code, response.headers)

    def forget(self) -> None:
        """What is there is of another file, or of none."""
        self._keeper.discard()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._path = self._where = self._version = None
        self._meter = Meter(None, self._tools)

    def take(self, response: requests.Response, where: Where, verdict: Verdict) -> None:
        """Write the body, behind what is there or from the start. Raises :class:`PhaseError`."""
        limit = self._tools.limits.max_bytes
        part = part_of(response.headers) if response.status_code == PARTIAL_CONTENT else None
        if verdict is Verdict.WHOLE:
            self._begin(response, where)
        elif not self.settled:
            _log.info("Going on behind the %d bytes that an earlier attempt received", self.received)
        if part is not None and part.total is not None:
            self._learn_length(part.total)
        self.settled = True
        self._meter.tell()
        assert self._where is not None
        assert self._path is not None
        with self._path.open("r+b" if self.received else "wb") as file:
            file.seek(self.received)
            # What has come is kept, however small: a server that breaks off early still gets on.
            while piece := response.raw.read1(PIECE_BYTES, decode_content=True):
                if self._tools.cancelled.is_set():
                    raise stopped()
                file.write(piece)
                self._keeper.add(piece)
                self._meter.add(len(piece))
                if self.received > limit:
                    raise too_large(limit)
        check_whole(self._tools)
        if part is not None and self.received > part.end:
            self.forget()
            raise _UnfitError
        length = self._where.length
        # A part may be less than was asked for: then the rest is asked for again.
        if (part is not None and self.received != part.end) or (length is not None and self.received != length):
            raise refused_error(self._tools.refusals, self._tools.limits) or BrokenOffError(
                f"The download broke off after {self.received} of {length} bytes."
            )

    def result(self) -> Fetched:
        """The whole file."""
        assert self._where is not None
        assert self._path is not None
        self._meter.done()
        extension, media_type = file_kind(self._where.content_type, self._where.extension)
        return Fetched(self._path, extension, media_type, {})

    def close(self) -> None:
        """Leave what is kept to whoever comes next."""
        self._keeper.close()

    def _learn_length(self, length: int) -> None:
        """The first answer may have told none; then it is the range of a later one that tells where the file ends."""
        assert self._where is not None
        if self._where.length is not None:
            return
        if length > self._tools.limits.max_bytes:
            raise too_large(self._tools.limits.max_bytes)
        self._where = replace(self._where, length=length)
        if self._version is not None:
            self._version = replace(self._version, length=length)
        self._meter = Meter(length, self._tools, self.received)

    def _begin(self, response: requests.Response, where: Where) -> None:
        limit = self._tools.limits.max_bytes
        if where.length is not None and where.length > limit:
            raise too_large(limit)
        self.forget()
        self._where = where
        self._version = version_of(response.headers, where.length)
        self._path = self._file(where.content_type, where.extension)
        self._meter = Meter(where.length, self._tools)
        self._keeper.begin(describe(self._address, self._version, where.content_type, where.extension))

    def _file(self, content_type: str, extension: str | None) -> Path:
        return self._tools.folder / f"source.{file_kind(content_type, extension)[0]}"


class Meter:
    """Counts bytes of one file and reports progress. ``received`` bytes are there at the start."""

    def __init__(self, length: int | None, tools: FetchTools, received: int = 0) -> None:
        self._length = length
        self._tools = tools
        self._reported = time.monotonic()
        self.received = received

    def add(self, number: int) -> None:
        """Take note of a piece."""
        self.received += number
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self.tell()

    def tell(self) -> None:
        """Report how much is there."""
        self._report(min(99.0, 100 * self.received / self._length) if self._length else 0.0)

    def done(self) -> None:
        """All of it is there."""
        self._report(100)

    def _report(self, percent: float) -> None:
        share = 1 - self._tools.finish_share
        self._tools.progress(percent * share, f"Downloaded {describe_bytes(self.received)}")


def _named_extension(headers: CaseInsensitiveDict[str]) -> str | None:
    """The extension of the file name that ``Content-Disposition`` gives. The name itself is not used."""
    _, found, rest = headers.get("Content-Disposition", "").partition("filename")
    name = rest.partition("=")[2].partition(";")[0].strip().strip('"')
    return path_extension(name) if found and name else None


def _unavailable(message: str, suggestion: str = "") -> PhaseError:
    return PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, message, suggestion)
