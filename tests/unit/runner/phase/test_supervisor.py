"""The end of a phase: first its result is written, then what it kept is removed. The rest: tests/integration/runner."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import supervisor as module
from audiojob_runner.phase.process import Worker
from audiojob_runner.phase.supervisor import _Phase
from audiojob_runner.phase.usage import Meter
from audiojob_runner.phase.watchdog import Interruption
from audiojob_runner.phase.worker import Order
from audiojob_runner.settings import Paths, PodIdentity, read_parameters
from audiojob_runner.task import PartialFolders, TaskResult
from audiojob_types.contract import ExitCode, FolderStore, PhaseInput, PhaseInputFile, PhaseResult
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

GONE = PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, "The source does not exist.")


class FailingWorker(Worker):
    """A worker without a process: it keeps a part of its download, and then its source is gone."""

    def __init__(self) -> None:
        """It has no process."""

    def follow_output(self, write_line: Callable[[str], None]) -> None:
        """It prints nothing."""

    def order(self, order: Order, held: Sequence[int] = ()) -> None:
        assert order.keeping is not None
        order.keeping.own.mkdir(parents=True)
        (order.keeping.own / "data").write_bytes(b"a part")

    def wait(self, interruption: Interruption, on_progress: Callable[[float, str], None], meter: Meter) -> TaskResult:
        raise GONE

    def end(self) -> None:
        """It has ended."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths.under(tmp_path)
    for folder in (paths.termination_file.parent, paths.scratch):
        folder.mkdir(parents=True)
    return paths


@pytest.fixture
def _signals_and_logs_stay() -> Iterator[None]:
    """A phase takes both over, and ends with its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the phase keeps its download."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store" / "demo/u/work/1-0a1b2c3d/partial"


@pytest.fixture
def run(paths: Paths, tmp_path: Path, kept: Path, _signals_and_logs_stay: None) -> Callable[[], int]:
    """A phase that keeps a part of its download and fails for good; the exit code."""
    phase_input = PhaseInput(
        job="a", namespace="demo", uid="u", phase="work", attempt=1, task=Task.DOWNLOAD, output_prefix="demo/u/work",
        store=FolderStore(root=str(tmp_path / "store")),
        inputs=(PhaseInputFile(name="source", url="https://example.com/a.mp3"),),
    )  # fmt: skip
    phase = _Phase({}, paths, PodIdentity("pod", "0a1b2c3d"), phase_input, read_parameters(phase_input))
    return lambda: phase.run(FailingWorker())


def test_a_phase_that_failed_for_good_keeps_nothing(run: Callable[[], int], paths: Paths, kept: Path) -> None:
    assert run() == ExitCode.SOURCE_UNAVAILABLE
    assert told(paths).reason == Reason.SOURCE_UNAVAILABLE.value
    assert kept.parent.exists(), "its log stays"
    assert not kept.exists()


def told(paths: Paths) -> PhaseResult:
    return PhaseResult.model_validate_json(paths.termination_file.read_bytes())


def test_the_end_is_told_before_anything_is_removed(
    run: Callable[[], int], paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_before: list[str | None] = []
    monkeypatch.setattr(module, "clear", lambda _keeping: told_before.append(told(paths).reason))
    assert run() == ExitCode.SOURCE_UNAVAILABLE
    assert told_before == [Reason.SOURCE_UNAVAILABLE.value]


def test_a_volume_that_does_not_answer_holds_up_no_end(
    run: Callable[[], int], paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, answered = threading.Event(), threading.Event()

    def hang(_keeping: PartialFolders) -> None:
        answers.wait(60)
        answered.set()

    monkeypatch.setattr(module, "clear", hang)
    monkeypatch.setattr(module, "TIDY_SECONDS", 0.01)
    assert run() == ExitCode.SOURCE_UNAVAILABLE
    assert told(paths).reason == Reason.SOURCE_UNAVAILABLE.value
    assert not answered.is_set()
    answers.set()
    assert answered.wait(60)
