"""Installs the published files of the models that an administrator names in the models volume.

It may be killed at any line and run again: files are put in place whole, partial downloads are resumed, and installed
files are only verified. A model's ``<name>.yaml`` is written last, so that a model is installed whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from audiojob_runner import logs
from audiojob_runner.errors import PhaseError, as_phase_error
from audiojob_runner.fetch.egress.addresses import parse_networks
from audiojob_runner.fetch.egress.proxy import EgressProxy, ProxyRules
from audiojob_runner.fetch.partial.transfer import open_session
from audiojob_runner.models.fetch import MAX_FILE_BYTES, Tools, Wanted, fetch_file
from audiojob_runner.models.volume import contradiction, listing, read_lock, sha256_of, write_lock, write_whole
from audiojob_runner.phase.watchdog import Interruption, Watchdog, block_stop_signals
from audiojob_runner.prefetch.report import ModelReporter, find_configmap
from audiojob_runner.settings import Paths
from audiojob_types.contract import ExitCode, FailureClass, PhaseLimits, classify_exit_code
from audiojob_types.models import KNOWN_MODELS, KnownModel, ModelRecord, ModelState, file_name
from audiojob_types.reasons import Reason

BUSY_NAME: Final = ".prefetch.lock"
BUSY_SECONDS: Final = 1.0
REPORT_SECONDS: Final = 10.0
_STEP_PERCENT: Final = 10

Report: TypeAlias = Callable[[str, ModelRecord], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Which models, from where, into which folder. ``base_url`` is what the paths in ``table`` are below."""

    models: tuple[str, ...]
    base_url: str
    root: Path
    allowed_cidrs: tuple[str, ...] = ()
    table: Mapping[str, KnownModel] = field(default_factory=lambda: KNOWN_MODELS)


def run_prefetch(order: Prefetch, environ: Mapping[str, str], paths: Paths) -> int:
    """Fetch all models; the exit code. One that fails does not keep the others from being fetched."""
    block_stop_signals()
    logs.configure(_print)
    target = find_configmap(environ, paths)
    reporter = ModelReporter(target) if target else None
    interruption = Interruption()
    with Watchdog(PhaseLimits(), interruption, _give_up).watching():
        try:
            failures = fill(order, interruption, reporter.set if reporter else _nobody)
        except Exception as failed:  # noqa: BLE001 - a person gets a sentence
            failures = [as_phase_error(failed, "Prefetch")]
        for error in failures:
            sys.stderr.write(f"{error.reason.value}: {error.message}\n{error.suggestion}\n")
        code = exit_code_of(failures)
        if reporter is not None and not reporter.close(REPORT_SECONDS) and not code:
            # Jobs wait until the record says that the model is installed.
            sys.stderr.write("The models are installed, but the API server refused the record of it.\n")
            code = int(ExitCode.TEMPORARY)
    return code


def exit_code_of(failures: Sequence[PhaseError]) -> int:
    """What the process ends with. The Job is over with what trying again cannot mend, so what it can comes first."""
    codes = [error.exit_code for error in failures]
    again = [code for code in codes if classify_exit_code(code)[0] is not FailureClass.PERMANENT]
    return next(iter(again or codes), int(ExitCode.OK))


def fill(order: Prefetch, interruption: Interruption, report: Report) -> list[PhaseError]:
    """Fetch what is missing and verify the rest, telling ``report`` of it; what went wrong, by model.

    Raises :class:`PhaseError` for what concerns all models.
    """
    return _Volume(order, interruption, report).fill()


class _Volume:
    """One run over the volume."""

    def __init__(self, order: Prefetch, interruption: Interruption, report: Callable[[str, ModelRecord], None]) -> None:
        self._order = order
        self._interruption = interruption
        self._report = report
        self._root = order.root
        self._shown: dict[str, int] = {}

    def fill(self) -> list[PhaseError]:
        """See :func:`fill`."""
        try:
            return self._open_and_fetch()
        except Exception as failed:
            error = as_phase_error(failed, "Prefetch")
            if error.reason is not Reason.STOPPED:
                self._fail(self._order.models, error)
            raise error from failed

    def _open_and_fetch(self) -> list[PhaseError]:
        try:
            networks = parse_networks(self._order.allowed_cidrs)
        except ValueError as error:
            raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, f"{error}.", "Correct --allow-cidr.") from None
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._alone())
            self._lock = read_lock(self._root)
            limit = MAX_FILE_BYTES * sum(len(self._order.table[name].files) for name in self._order.models)
            proxy = stack.enter_context(EgressProxy(ProxyRules(networks, limit), _log))
            session = stack.enter_context(open_session(proxy.url))
            self._tools = Tools(
                session=session,
                refusals=proxy.refusals,
                progress=lambda _received, _total: None,
                check=self._interruption.check,
                pause=self._pause,
            )
            return self._fetch_all()

    def _fetch_all(self) -> list[PhaseError]:
        failures = []
        for name in self._order.models:
            if not self._looks_complete(name):
                self._report(name, ModelRecord(state=ModelState.FETCHING, message="Waiting for the models before it."))
        for name in self._order.models:
            try:
                digests = self._fetch_model(name, self._order.table[name])
            except Exception as failed:  # noqa: BLE001 - the next model may be luckier
                error = as_phase_error(failed, f"fetching {name}")
                if error.reason is Reason.STOPPED:
                    return [error]  # the next pod goes on; what is recorded stays true enough
                self._fail([name], error)
                failures.append(error)
            else:
                message = f"{len(digests)} file{'' if len(digests) == 1 else 's'}, verified."
                self._say(name, ModelRecord(state=ModelState.READY, percent=100, message=message, files=digests))
        return failures

    def _fetch_model(self, name: str, known: KnownModel) -> dict[str, str]:
        """All files of a model, and its list last; their sha256 by name."""
        paths = list(dict.fromkeys(known.files))  # some models use a network twice
        digests = {}
        for index, path in enumerate(paths):
            self._interruption.check()
            target = self._root / file_name(path)
            self._refuse_another(target)
            found = self._verified(target)
            if found is None:
                found = self._fetch(name, path, partial(_overall, index, len(paths)))
            digests[target.name] = found
        text = listing(known).encode()
        target = self._root / f"{name}.yaml"
        if not target.is_file() or target.read_bytes() != text:
            write_whole(target, text)
        return digests

    def _verified(self, path: Path) -> str | None:
        """The sha256 of an installed file; None where it has to be downloaded. A damaged one is deleted."""
        if not path.is_file():
            return None
        digest = sha256_of(path, lambda _number: self._interruption.check())
        against = contradiction(path.name, digest, self._lock)
        if against:
            _log.warning("%s is damaged and is downloaded again: %s", path.name, against)
            path.unlink()
            return None
        self._record(path, path.stat().st_size, digest)
        return digest

    def _fetch(self, name: str, path: str, overall: Callable[[float], float]) -> str:
        def progress(received: int, total: int | None) -> None:
            percent = min(99, int(100 * overall(received / total if total else 0.0)))
            self._say(name, ModelRecord(state=ModelState.FETCHING, percent=percent, message=f"Fetching {path}."))

        target = self._root / file_name(path)
        wanted = Wanted(f"{self._order.base_url.rstrip('/')}/{path}", target, self._lock)
        progress(0, None)
        fetched = fetch_file(wanted, replace(self._tools, progress=progress))
        self._record(target, fetched.size, fetched.sha256)
        return fetched.sha256

    def _record(self, path: Path, size: int, digest: str) -> None:
        if path.name not in self._lock.files:
            self._lock = self._lock.with_file(path.name, size, digest, datetime.now(UTC))
            write_lock(self._root, self._lock)

    def _refuse_another(self, target: Path) -> None:
        """Two files of one signature: demucs refuses the whole folder."""
        signature = target.name.partition("-")[0]
        others = [path.name for path in self._root.glob(f"{signature}*.th") if path.name != target.name]
        if others:
            raise PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                f"The models volume already holds other weights of the network {signature}: {', '.join(others)}.",
                "Delete them, or remove the model from models.prefetch.models.",
            )

    def _looks_complete(self, name: str) -> bool:
        """Whether a model that was fetched before seems to be all there: jobs need not wait for it to be verified."""
        names = [file_name(path) for path in self._order.table[name].files]
        if not (self._root / f"{name}.yaml").is_file() or not all(each in self._lock.files for each in names):
            return False
        paths = [self._root / each for each in names]
        return all(path.is_file() and path.stat().st_size == self._lock.files[path.name].bytes for path in paths)

    def _say(self, name: str, record: ModelRecord) -> None:
        self._report(name, record)
        step = record.percent // _STEP_PERCENT
        if record.state is not ModelState.FETCHING or step > self._shown.get(name, -1):
            self._shown[name] = step
            _log.info("%s %s %d %%: %s", name, record.state, record.percent, record.message)

    def _fail(self, names: tuple[str, ...] | list[str], error: PhaseError) -> None:
        for name in names:
            self._report(name, ModelRecord(state=ModelState.FAILED, message=error.message, suggestion=error.suggestion))

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._interruption.check()
            time.sleep(min(left, 0.2))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two runs on one volume would write the same part files: the second waits for the first."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._root / BUSY_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise PhaseError(
                ExitCode.USAGE,
                Reason.VOLUME_MISSING,
                f"The models volume cannot be written: {error.strerror or type(error).__name__}.",
                "The claim audiojob-models must be writable for the group 10001; see models.accessModes of the chart.",
            ) from error
        try:
            logged = False
            while not _locked(descriptor):
                if not logged:
                    _log.info("Another prefetch is using the volume; waiting for it to end.")
                logged = True
                self._pause(BUSY_SECONDS)
            yield
        finally:
            os.close(descriptor)


def _overall(done: int, files: int, share: float) -> float:
    return (done + share) / files


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        _log.warning("The file system of the models volume has no locks; continuing without.")
    return True


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _nobody(_name: str, _record: ModelRecord) -> None:
    """Outside a cluster nothing is reported."""


def _give_up(error: PhaseError) -> None:
    """The main thread does not come back."""
    sys.stderr.write(f"{error.message}\n")
    sys.stderr.flush()
    os._exit(error.exit_code)
