"""Receives one file over as many requests as it takes: after a break, the next request asks for the rest only.

An answer is appended only if :func:`resumption.judge` says that it continues the same content; otherwise the file is
requested from its start. What is kept between attempts, limits and messages are the matter of the subclasses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import requests
from urllib3.exceptions import DecodeError

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.partial.resumption import (
    PARTIAL_CONTENT,
    Verdict,
    Version,
    is_coded,
    judge,
    part_of,
    resume_headers,
    version_of,
)
from audiojob_runner.fetch.unpacking import Unpacking, check_coding, undecodable, unpacked_whole
from audiojob_types.contract import ExitCode
from audiojob_types.outside.redaction import SECRETS
from audiojob_types.reasons import Reason

USER_AGENT: Final = "audiojob-runner"
MAX_REDIRECTS: Final = 10
CONNECT_SECONDS: Final = 20.0
READ_SECONDS: Final = 60.0
PIECE_BYTES: Final = 256 * 1024
# So many requests in a row may break off without a new byte; then the download is given up.
MAX_BREAKS: Final = 4

T = TypeVar("T")


class BrokenOffError(PhaseError):
    """The connection ended before the file did."""

    def __init__(self, message: str) -> None:
        super().__init__(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, message)


class StartOverError(BrokenOffError):
    """The answer does not continue what was received: the file has to be requested from its start."""

    def __init__(self) -> None:
        super().__init__("The source's server sends another part of the file than the requested one.")


def open_session(proxy_url: str) -> requests.Session:
    """A session that uses the egress proxy only."""
    session = requests.Session()
    # No proxy, no credentials and no certificates from the environment.
    session.trust_env = False
    session.max_redirects = MAX_REDIRECTS
    session.hooks["response"] += [_learn, drop_redirect_body]
    session.proxies = {"http": proxy_url, "https": proxy_url}
    session.headers.update({"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"})
    return session


def _learn(response: requests.Response, *_: object, **__: object) -> None:
    """What redirects lead to holds secrets as the first address does."""
    SECRETS.learn_url(response.url)
    SECRETS.learn_url(response.headers.get("Location", ""))


def drop_redirect_body(response: requests.Response, *_: object, **__: object) -> None:
    """A hook: nobody needs the body of a redirect, and requests would read all of it into memory, unpacked."""
    if response.is_redirect:
        response.raw.close()


def body_length(headers: Mapping[str, str]) -> int | None:
    """The length of the file in an answer's body; None where the answer does not give it."""
    value = headers.get("Content-Length", "")
    # With a content coding, the length is that of the coded form.
    return int(value) if value.isdecimal() and len(value) < 19 and not is_coded(headers) else None


class Transfer(ABC):
    """One file, as far as it has been received. ``length`` is None as long as no answer has given it."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.path: Path | None = None
        self.version: Version | None = None
        self.length: int | None = None
        self.received = 0

    @abstractmethod
    def begin(self, response: requests.Response) -> Path:
        """The file comes from its start: the path to write it to."""

    def check_length(self, length: int) -> None:  # noqa: B027 - most have nothing to check but the limit
        """The length is now known. Raises :class:`PhaseError` for a file that is not to be received."""

    @abstractmethod
    def took(self, piece: bytes) -> None:
        """A piece was written. Raises :class:`PhaseError` where the work has to end."""

    @abstractmethod
    def too_large(self) -> PhaseError:
        """The error for a file above ``max_bytes``."""

    def version_of(self, headers: Mapping[str, str]) -> Version | None:
        """What names the content that an answer begins; None where it cannot be resumed."""
        return version_of(headers, self.length)

    def request_headers(self) -> dict[str, str]:
        """The headers that ask for the rest, and only of the same content."""
        return resume_headers(self.version, self.received)

    def judge(self, response: requests.Response) -> Verdict:
        """What the answer is. Raises :class:`StartOverError` where it does not fit."""
        verdict = judge(
            self.version, self.received, response.status_code, response.headers, redirected=bool(response.history)
        )
        if verdict is Verdict.UNFIT:
            self.forget()
            raise StartOverError
        return verdict

    def forget(self) -> None:
        """Delete what was received: it is of another content."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self.path = self.version = self.length = None
        self.received = 0

    def receive(self, response: requests.Response, verdict: Verdict) -> None:
        """Write the body, behind what was received or from the start. Raises :class:`PhaseError`."""
        if verdict is Verdict.COMPLETE:
            return
        check_coding(response.headers)
        part = part_of(response.headers) if response.status_code == PARTIAL_CONTENT else None
        if verdict is Verdict.WHOLE:
            self.forget()
            self._learn_length(body_length(response.headers))
            self.version = self.version_of(response.headers)
            self.path = self.begin(response)
        if part is not None:
            # Where the first answer did not give the length, the range of a later one does.
            self._learn_length(part.total)
        assert self.path is not None
        with self.path.open("r+b" if self.received else "wb") as file:
            file.seek(self.received)
            self._append(file, response)
        if part is not None and self.received > part.end:
            self.forget()
            raise StartOverError
        # A part may be less than what was asked for: then the rest is requested again.
        ends = {self.length, part.end if part else None}
        if ends - {self.received, None}:
            raise BrokenOffError(f"The download broke off after {self.received} of {self.length} bytes.")

    def _append(self, file: BinaryIO, response: requests.Response) -> None:
        """Write what comes. Every piece counts, however small: a server that breaks off early still makes progress."""
        unpacking = Unpacking(response.raw.tell) if is_coded(response.headers) else None
        try:
            while piece := response.raw.read1(PIECE_BYTES, decode_content=True):
                if unpacking is not None:
                    unpacking.took(len(piece))
                file.write(piece)
                self.received += len(piece)
                self.took(piece)
                if self.received > self.max_bytes:
                    raise self.too_large()
        except DecodeError as error:
            raise undecodable(response.headers) from error
        if unpacking is not None and self.received and not unpacked_whole(response.raw):
            raise BrokenOffError("The download broke off: the packed file that came has no end.")

    def _learn_length(self, length: int | None) -> None:
        if length is None or self.length is not None:
            return
        if length > self.max_bytes:
            raise self.too_large()
        self.check_length(length)
        self.length = length
        if self.version is not None:
            self.version = replace(self.version, length=length)


def resuming(transfer: Transfer, attempt: Callable[[], T], pause: Callable[[int, BrokenOffError], None]) -> T:
    """The result of ``attempt``, which is called again after each break until too many bring no new byte.

    ``pause`` gets the number of breaks in a row and the last one; it waits, or raises to give up.
    """
    breaks = 0
    while True:
        before = transfer.received
        try:
            return attempt()
        except BrokenOffError as error:
            breaks = 1 if transfer.received > before else breaks + 1
            if breaks > MAX_BREAKS:
                raise
            pause(breaks, error)
