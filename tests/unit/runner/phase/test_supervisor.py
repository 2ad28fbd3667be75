"""The end of a phase: what is told, and what is removed after that. All the rest: tests/integration/runner."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner import logs
from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import supervisor as module
from audiojob_runner.phase.supervisor import _Phase
from audiojob_runner.phase.watchdog import Watchdog
from audiojob_runner.settings import Paths, PodIdentity, read_parameters
from audiojob_runner.task import Keeping
from audiojob_types.contract import ExitCode, PhaseInput, PhaseResult
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

GONE = PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, "The source does not exist.")


class NoWorker:
    """Stands where a phase has its worker, and does nothing: the work fails before it is needed."""

    def follow_output(self, _on_line: Callable[[str], None]) -> None:
        """It prints nothing."""

    def end(self) -> None:
        """It never began."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths.under(tmp_path)
    paths.termination_file.parent.mkdir(parents=True)
    return paths


@pytest.fixture
def run(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A phase that keeps something and fails for good; the exit code. Signals and logs of this process stay."""

    def fail(_phase: _Phase, _worker: Any) -> None:
        raise GONE

    monkeypatch.setattr(_Phase, "_work", fail)
    monkeypatch.setattr(Watchdog, "watching", _unwatched)
    monkeypatch.setattr(module, "block_stop_signals", lambda: None)
    monkeypatch.setattr(logs, "configure", lambda _write_line: None)
    phase_input = PhaseInput(
        job="a", namespace="demo", uid="u", phase="work", attempt=1, task=Task.DOWNLOAD, output_prefix="demo/u/work"
    )
    phase = _Phase({}, paths, PodIdentity("pod", "0a1b2c3d"), phase_input, read_parameters(phase_input))
    phase._keeping = Keeping(tmp_path / "partial")
    return lambda: phase.run(NoWorker())  # type: ignore[arg-type]


@contextmanager
def _unwatched(watchdog: Watchdog) -> Iterator[None]:
    yield
    watchdog._signals.close()
    watchdog._signals_in.close()


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

    def hang(_keeping: Keeping) -> None:
        answers.wait(60)
        answered.set()

    monkeypatch.setattr(module, "clear", hang)
    monkeypatch.setattr(module, "TIDY_SECONDS", 0.01)
    assert run() == ExitCode.SOURCE_UNAVAILABLE
    assert told(paths).reason == Reason.SOURCE_UNAVAILABLE.value
    assert not answered.is_set()
    answers.set()
    assert answered.wait(10)
