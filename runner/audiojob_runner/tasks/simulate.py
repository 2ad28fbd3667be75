"""Simulate: uses time, memory and space, reports progress, and fails on request. For tests and benchmarks."""

from __future__ import annotations

import hashlib
import mmap
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode, classify_exit_code
from audiojob_types.reasons import Reason
from audiojob_types.tasks.simulate import SimulateParameters

OUTPUT_NAME: Final = "output"
_CHUNK_BYTES: Final = 1024 * 1024
_POLL_SECONDS: Final = 0.5


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Do what :class:`SimulateParameters` says. The output's bytes depend on the job's uid alone."""
    assert isinstance(parameters, SimulateParameters)
    held = _allocate(parameters.memory_mebibytes)
    context.used.gpu_peak_bytes = (parameters.gpu_memory_mebibytes or 0) * 1024 * 1024
    context.used.media_seconds = (parameters.media_milliseconds or 0) / 1_000
    _work(parameters, context)
    if fails(parameters, context.job_uid, context.attempt):
        raise _failure(parameters.exit_code, context.attempt)
    path = context.work_dir / "output.bin"
    _write(path, parameters.output_bytes, context.job_uid)
    if held is not None:
        held.close()
    return TaskResult(
        outputs=[TaskOutput(OUTPUT_NAME, path, "application/octet-stream", metadata=_told(parameters))],
        metadata={"simulated": True, "inputs": sorted(inputs)},
        crash_after_publishing=parameters.exit_after_publishing and context.attempt == 1,
        review_asked=parameters.review_asked,
    )


def _told(parameters: SimulateParameters) -> dict[str, float]:
    """How long the output plays, as tasks tell it that make sound; nothing where no length was given."""
    length = parameters.media_milliseconds
    return {"durationSeconds": length / 1_000} if length else {}


def fails(parameters: SimulateParameters, job_uid: str, attempt: int) -> bool:
    """Whether this attempt is one of those that fail.

    ``exit_code`` fails the first ``fail_attempts`` attempts (0: all), ``fail_percent`` a share of all attempts.
    With both, an attempt fails that either names; ``fail_percent`` without an exit code fails with 75.
    """
    if parameters.fail_percent:
        digest = hashlib.sha256(f"{job_uid}/{attempt}".encode()).digest()
        if int.from_bytes(digest[:4]) % 100 < parameters.fail_percent:
            return True
        if not parameters.fail_attempts:
            return False
    return parameters.exit_code != 0 and (not parameters.fail_attempts or attempt <= parameters.fail_attempts)


def _failure(exit_code: int, attempt: int) -> PhaseError:
    code = exit_code or int(ExitCode.TEMPORARY)
    _, reason = classify_exit_code(code)
    return PhaseError(code, reason, f"Attempt {attempt} failed with exit code {code}, as its parameters say.")


def _work(parameters: SimulateParameters, context: TaskContext) -> None:
    steps = parameters.progress_steps
    seconds = parameters.duration_milliseconds / 1000
    began = time.monotonic()
    for step in range(steps):
        percent = 100 * step / steps
        if percent >= parameters.stall_after_percent:
            _sleep(float("inf"), context)
        context.progress(percent, f"Step {step + 1} of {steps}")
        # Against the start, so that the steps' own cost does not add up.
        _sleep(began + seconds * (step + 1) / steps - time.monotonic(), context)
    context.progress(100, "Done")


def _sleep(seconds: float, context: TaskContext) -> None:
    """Sleep so long, but not when the task is cancelled."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if context.cancelled.wait(min(left, _POLL_SECONDS)):
            raise PhaseError(ExitCode.STOPPED, Reason.STOPPED, "The simulated work was stopped.")


def _allocate(mebibytes: int) -> mmap.mmap | None:
    """Memory that is really there: every page is written."""
    if not mebibytes:
        return None
    block = mmap.mmap(-1, mebibytes * 1024 * 1024)
    for offset in range(0, len(block), mmap.PAGESIZE):
        block[offset] = 1
    return block


def _write(path: Path, size: int, seed: str) -> None:
    with path.open("wb") as file:
        for chunk in _bytes(size, seed):
            file.write(chunk)


def _bytes(size: int, seed: str) -> Iterator[bytes]:
    """``size`` bytes that look random and are the same for the same ``seed``."""
    chunk = hashlib.shake_128(seed.encode()).digest(min(size, _CHUNK_BYTES))
    while size > 0:
        yield chunk[:size]
        size -= len(chunk)
