"""Fetches one published file of weights: goes on where it broke off, and puts it in place whole and verified."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests
from urllib3.exceptions import HTTPError as TransferError

from audiojob_runner.errors import PhaseError, is_disk_full
from audiojob_runner.fetch.common import describe_bytes
from audiojob_runner.fetch.egress.proxy import Refusal, RefusedError
from audiojob_runner.fetch.plainhttp import (
    CONNECT_SECONDS,
    MAX_REDIRECTS,
    PIECE_BYTES,
    READ_SECONDS,
    USER_AGENT,
)
from audiojob_runner.models.volume import PART_SUFFIX, Lock, contradiction, sha256_of, sync_folder
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

# The largest published file is a tenth of that.
MAX_FILE_BYTES: Final = 4 * 1024**3
# In a row, without a byte more than before; and in all, for servers that send a little each time.
MAX_FAILURES: Final = 5
MAX_TRIES: Final = 100
LONGEST_PAUSE_SECONDS: Final = 60.0
_LATER: Final = frozenset({408, 421, 425, 429})
_RANGE: Final = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)")
_CHECK_BASE: Final = "Check models.prefetch.baseURL of the chart; it needs the layout of demucs' own server."


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch. ``path`` is where it goes; ``lock`` holds what it was when it was first fetched."""

    url: str
    path: Path
    lock: Lock

    @property
    def part(self) -> Path:
        """What has arrived so far."""
        return self.path.with_name(self.path.name + PART_SUFFIX)


@dataclass(frozen=True, slots=True)
class Tools:
    """What fetching needs from outside.

    ``progress`` is told the bytes that are there and the bytes in all, None where untold. ``check`` raises when the
    work has to end; ``pause`` waits, and raises so too. ``refusals`` are the proxy's, newest last.
    """

    session: requests.Session
    refusals: list[RefusedError]
    progress: Callable[[int, int | None], None]
    check: Callable[[], None]
    pause: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is in place."""

    size: int
    sha256: str


class _BrokenOffError(Exception):
    """The transfer did not end as it should; another try may."""


def open_session(proxy_url: str) -> requests.Session:
    """A session that goes through the proxy and nowhere else."""
    session = requests.Session()
    # No proxy, no credentials and no certificates from the environment.
    session.trust_env = False
    session.max_redirects = MAX_REDIRECTS
    session.proxies = {"http": proxy_url, "https": proxy_url}
    session.headers.update({"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"})
    return session


def fetch_file(wanted: Wanted, tools: Tools) -> Fetched:
    """Fetch a file and put it in place. What does not fit its checksum is fetched once more, from the start.

    Raises :class:`PhaseError`. What had arrived stays beside for the next try, unless it was damaged or the disk full.
    """
    against = ""
    for _ in range(2):
        _download(wanted, tools)
        digest = sha256_of(wanted.part, lambda _number: tools.check())
        against = contradiction(wanted.path.name, digest, wanted.lock)
        if not against:
            size = wanted.part.stat().st_size
            wanted.part.rename(wanted.path)
            sync_folder(wanted.path.parent)
            return Fetched(size, digest)
        wanted.part.unlink()
    raise PhaseError(
        ExitCode.USAGE,
        Reason.CHECKSUM_MISMATCH,
        f"What is at {wanted.url} is not the published file, twice in a row: {against}.",
        "Check models.prefetch.baseURL, and what stands between: a mirror or a proxy that changes or replaces files.",
    )


def _download(wanted: Wanted, tools: Tools) -> None:
    """Fill the part file up to its end, in as many tries as it takes as long as it grows."""
    failures, problem = 0, ""
    for _ in range(MAX_TRIES):
        tools.check()
        before = _size(wanted.part)
        try:
            return _try(wanted, before, tools)
        except (_BrokenOffError, requests.exceptions.RequestException, TransferError) as error:
            problem = str(error) if isinstance(error, _BrokenOffError) else _describe(error)
        except OSError as error:
            raise _disk_error(wanted, error) from error
        failures = 1 if _size(wanted.part) > before else failures + 1
        if failures >= MAX_FAILURES:
            break
        tools.pause(min(LONGEST_PAUSE_SECONDS, 2.0**failures))
    raise PhaseError(
        ExitCode.TEMPORARY,
        Reason.TEMPORARY_FAILURE,
        f"{wanted.path.name} cannot be fetched now: {problem}.",
        "The prefetch is tried again by itself and goes on where it broke off.",
    )


def _try(wanted: Wanted, offset: int, tools: Tools) -> None:
    refused_before = len(tools.refusals)
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    try:
        with tools.session.get(
            wanted.url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
        ) as response:
            _check_refusals(tools.refusals[refused_before:])
            start, total = _place(response, wanted, offset)
            if start is None:
                return
            _check_room(wanted, start, total)
            _receive(response, wanted, start, total, tools)
    except (requests.exceptions.RequestException, TransferError):
        _check_refusals(tools.refusals[refused_before:])
        raise


def _place(response: requests.Response, wanted: Wanted, offset: int) -> tuple[int | None, int | None]:
    """Where the answer's body begins in the file, and the file's size if told. None: there is nothing left to fetch.

    Raises :class:`PhaseError` for a file that is not there, :class:`_BrokenOffError` for what may be better later.
    """
    status = response.status_code
    told = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    size = int(told[2]) if told and told[2] != "*" else None
    if status == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    if status == 206 and told and told[1] is not None and int(told[1]) == offset:
        return offset, size
    if status == 416 and offset and size == offset:
        return None, offset
    if status in (206, 416):
        # The part does not fit what is there now.
        wanted.part.unlink(missing_ok=True)
        raise _BrokenOffError(f"the server has no bytes from {offset} on (status {status})")
    if status >= 500 or status in _LATER:
        raise _BrokenOffError(f"the server answers with status {status}")
    raise PhaseError(
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.SOURCE_UNAVAILABLE,
        f"There is no {wanted.path.name} at {wanted.url} (status {status}).",
        _CHECK_BASE,
    )


def _receive(response: requests.Response, wanted: Wanted, start: int, total: int | None, tools: Tools) -> None:
    received = start
    with wanted.part.open("ab" if start else "wb") as file:
        for piece in response.raw.stream(PIECE_BYTES, decode_content=False):
            tools.check()
            file.write(piece)
            received += len(piece)
            if received > MAX_FILE_BYTES:
                file.close()
                wanted.part.unlink()
                raise _too_large(wanted)
            tools.progress(received, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and received != total:
        raise _BrokenOffError(f"the transfer broke off after {received} of {total} bytes")


def _check_room(wanted: Wanted, start: int, total: int | None) -> None:
    """A file that cannot fit is not begun: the volume is not filled for nothing."""
    if total is None:
        return
    if total > MAX_FILE_BYTES:
        raise _too_large(wanted)
    free = shutil.disk_usage(wanted.path.parent).free
    if total - start > free:
        raise _no_room(f"{wanted.path.name} needs {describe_bytes(total - start)}, and {describe_bytes(free)} are free")


def _disk_error(wanted: Wanted, error: OSError) -> PhaseError:
    if is_disk_full(error):
        wanted.part.unlink(missing_ok=True)
        return _no_room(f"there is no room for {wanted.path.name}")
    return PhaseError(
        ExitCode.USAGE,
        Reason.VOLUME_MISSING,
        f"The models volume cannot be written: {error.strerror or type(error).__name__}.",
        "The claim audiojob-models must be writable for the group 10001; see models.accessModes of the chart.",
    )


def _no_room(detail: str) -> PhaseError:
    return PhaseError(
        ExitCode.DISK_FULL,
        Reason.DISK_FULL,
        f"The models volume is full: {detail}.",
        "Enlarge the claim audiojob-models (models.size of the chart), or name fewer models.",
    )


def _too_large(wanted: Wanted) -> PhaseError:
    return PhaseError(
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.TOO_LARGE,
        f"What is at {wanted.url} is larger than {MAX_FILE_BYTES // 1024**3} GiB, which no model is.",
        _CHECK_BASE,
    )


def _check_refusals(refusals: list[RefusedError]) -> None:
    """Raise what the proxy refused for good; its other answers are as good as the server's."""
    for refused in refusals:
        if refused.refusal is Refusal.BLOCKED:
            raise PhaseError(
                ExitCode.BLOCKED_ADDRESS,
                Reason.BLOCKED_ADDRESS,
                f"{refused.detail}.",
                "Allow the mirror's network in models.prefetch.allowedCIDRs of the chart.",
            )
        if refused.refusal is Refusal.NO_SUCH_HOST:
            raise PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, f"{refused.detail}.", _CHECK_BASE)
        raise _BrokenOffError(refused.detail)


def _describe(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not valid"
    return f"the transfer broke off ({type(error).__name__})"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
