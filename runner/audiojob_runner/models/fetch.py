"""Downloads one published file of weights: resumes it after a break, verifies it, and puts it in place whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests
from urllib3.exceptions import HTTPError as TransferError

from audiojob_runner.errors import PhaseError, is_disk_full
from audiojob_runner.fetch.common import describe_bytes
from audiojob_runner.fetch.egress.refusals import Refusal, RefusedError
from audiojob_runner.fetch.partial.resumption import OUT_OF_RANGE, Version
from audiojob_runner.fetch.partial.transfer import (
    CONNECT_SECONDS,
    READ_SECONDS,
    BrokenOffError,
    StartOverError,
    Transfer,
    resuming,
)
from audiojob_runner.models.volume import PART_SUFFIX, Lock, contradiction, is_plain, sha256_of, sync_folder
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

# The largest published file is a tenth of that.
MAX_FILE_BYTES: Final = 4 * 1024**3
# For servers that send a little each time.
MAX_REQUESTS: Final = 100
LONGEST_PAUSE_SECONDS: Final = 60.0
_LATER: Final = frozenset({408, 421, 425, 429})
_CHECK_BASE: Final = "Check models.prefetch.baseURL of the chart; it needs the layout of demucs' own server."


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to download to ``path``. ``lock`` has the sha256 that it had when it was first downloaded."""

    url: str
    path: Path
    lock: Lock

    @property
    def part(self) -> Path:
        """What was received so far."""
        return self.path.with_name(self.path.name + PART_SUFFIX)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a download needs from outside.

    ``progress`` gets the bytes received and the bytes in all, None where unknown. ``check`` raises when the work has to
    end; ``pause`` waits, and raises too. ``refusals`` are the proxy's, newest last.
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


def fetch_file(wanted: Wanted, tools: Tools) -> Fetched:
    """Download a file and put it in place. One that does not match its checksum is downloaded once more from the start.

    Raises :class:`PhaseError`. What was received is kept for the next try, unless it was damaged or the disk is full.
    """
    mismatch = ""
    for _ in range(2):
        _download(wanted, tools)
        digest = sha256_of(wanted.part, lambda _number: tools.check())
        mismatch = contradiction(wanted.path.name, digest, wanted.lock)
        if not mismatch:
            return _put_in_place(wanted, digest)
        wanted.part.unlink()
    raise PhaseError(
        ExitCode.USAGE,
        Reason.CHECKSUM_MISMATCH,
        f"The file at {wanted.url} is not the published file, twice in a row: {mismatch}.",
        "Check models.prefetch.baseURL, and any mirror or proxy in between that changes or replaces files.",
    )


def _put_in_place(wanted: Wanted, digest: str) -> Fetched:
    with wanted.part.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    wanted.part.rename(wanted.path)
    sync_folder(wanted.path.parent)
    return Fetched(size, digest)


def _download(wanted: Wanted, tools: Tools) -> None:
    """Receive the part file up to its end, in as many requests as it takes as long as it grows."""
    requests_left = MAX_REQUESTS

    def pause(breaks: int, error: BrokenOffError) -> None:
        nonlocal requests_left
        requests_left -= 1
        if not requests_left:
            raise error
        tools.pause(min(LONGEST_PAUSE_SECONDS, 2.0**breaks))

    try:
        transfer = _Weights(wanted, tools)
        resuming(transfer, lambda: _request(wanted, transfer, tools), pause)
    except OSError as error:
        raise _disk_error(wanted, error) from error
    except BrokenOffError as error:
        raise PhaseError(
            ExitCode.TEMPORARY,
            Reason.TEMPORARY_FAILURE,
            f"{wanted.path.name} cannot be downloaded now: {error.message}",
            "The prefetch is retried automatically and resumes the download.",
        ) from error


def _request(wanted: Wanted, transfer: _Weights, tools: Tools) -> None:
    tools.check()
    refused_before = len(tools.refusals)
    headers, timeout = transfer.request_headers(), (CONNECT_SECONDS, READ_SECONDS)
    try:
        with tools.session.get(wanted.url, headers=headers, stream=True, timeout=timeout) as response:
            _check_refusals(tools.refusals[refused_before:])
            _check_status(response.status_code, wanted)
            transfer.receive(response, transfer.judge(response))
    except StartOverError:
        raise
    except (BrokenOffError, requests.exceptions.RequestException, TransferError) as error:
        _check_refusals(tools.refusals[refused_before:])
        raise error if isinstance(error, BrokenOffError) else _broken_off(error) from error


def _check_status(status: int, wanted: Wanted) -> None:
    """Raises :class:`BrokenOffError` for a failure that may pass, and another :class:`PhaseError` for any other."""
    if status in (200, 206, OUT_OF_RANGE):
        return
    if status >= 500 or status in _LATER:
        raise BrokenOffError(f"The server answers with status {status}.")
    raise PhaseError(
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.SOURCE_UNAVAILABLE,
        f"There is no {wanted.path.name} at {wanted.url} (status {status}).",
        _CHECK_BASE,
    )


class _Weights(Transfer):
    """A part file of the models volume, which may have been there before."""

    def __init__(self, wanted: Wanted, tools: Tools) -> None:
        super().__init__(MAX_FILE_BYTES)
        self._wanted = wanted
        self._tools = tools
        if not is_plain(wanted.part):
            wanted.part.unlink(missing_ok=True)  # a link or a pipe would be written into
        else:
            self.path, self.received = wanted.part, wanted.part.stat().st_size
            self.version = self.version_of({})

    def version_of(self, headers: Mapping[str, str]) -> Version:
        """Weights need no validator: their checksum is published."""
        return Version(None, self.length)

    def begin(self, response: requests.Response) -> Path:
        return self._wanted.part

    def check_length(self, length: int) -> None:
        """A file for which there is no room is not begun."""
        needed, free = length - self.received, shutil.disk_usage(self._wanted.path.parent).free
        if needed > free:
            name = self._wanted.path.name
            raise _no_room(f"{name} needs {describe_bytes(needed)}, and {describe_bytes(free)} are free")

    def took(self, piece: bytes) -> None:
        self._tools.check()
        self._tools.progress(self.received, self.length)

    def too_large(self) -> PhaseError:
        """Nothing of such a file is kept."""
        self.forget()
        return PhaseError(
            ExitCode.SOURCE_UNAVAILABLE,
            Reason.TOO_LARGE,
            f"The file at {self._wanted.url} is larger than {MAX_FILE_BYTES // 1024**3} GiB, which no model is.",
            _CHECK_BASE,
        )


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


def _check_refusals(refusals: list[RefusedError]) -> None:
    """Raises :class:`PhaseError` for what the proxy refused for good, and :class:`BrokenOffError` for what may pass."""
    for refused in refusals:
        if refused.refusal is Refusal.BLOCKED:
            raise PhaseError(
                ExitCode.BLOCKED_ADDRESS,
                Reason.BLOCKED_ADDRESS,
                f"{refused.detail}.",
                "Allow the mirror's network in models.prefetch.allowedCIDRs of the chart.",
            )
        if refused.refusal is Refusal.NO_SUCH_HOST:
            suggestion = f"{_CHECK_BASE} A mirror inside a network needs models.prefetch.allowedCIDRs."
            raise PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, f"{refused.detail}.", suggestion)
        raise BrokenOffError(f"{refused.detail}.")


def _broken_off(error: Exception) -> BrokenOffError:
    if isinstance(error, requests.exceptions.SSLError):
        return BrokenOffError("The server's certificate is not valid.")
    return BrokenOffError(f"The download broke off ({type(error).__name__}).")
