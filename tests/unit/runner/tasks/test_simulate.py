from __future__ import annotations

import hashlib
import logging
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.tasks import TaskContext, load
from audiojob_runner.tasks.simulate import fails, run
from audiojob_types.contract import Device, PhaseLimits, PhaseNetwork
from audiojob_types.tasks import Task
from audiojob_types.tasks.simulate import SimulateParameters


def context(folder: Path, seen: list[float], attempt: int = 1, job_uid: str = "u") -> TaskContext:
    return TaskContext(
        work_dir=folder,
        models_root=folder,
        device=Device.CPU,
        limits=PhaseLimits(),
        network=PhaseNetwork(),
        progress=lambda percent, _message: seen.append(percent),
        log=logging.getLogger("test"),
        attempt=attempt,
        job_uid=job_uid,
        cancelled=threading.Event(),
    )


@pytest.mark.parametrize(
    ("fields", "attempt", "failing"),
    [
        pytest.param({}, 1, False, id="by default none fails"),
        pytest.param({"exit_code": 75}, 9, True, id="with an exit code all fail"),
        pytest.param({"exit_code": 75, "fail_attempts": 2}, 2, True, id="of the first two the second fails"),
        pytest.param({"exit_code": 75, "fail_attempts": 2}, 3, False, id="of the first two the third does not"),
        pytest.param({"fail_attempts": 2}, 1, False, id="without an exit code none fails"),
        pytest.param({"fail_percent": 100}, 1, True, id="all of a hundred percent fail"),
    ],
)
def test_which_attempts_fail(fields: dict[str, Any], attempt: int, failing: bool) -> None:
    assert fails(SimulateParameters(**fields), "u", attempt) is failing


def test_a_share_of_attempts_fails_and_always_the_same_ones() -> None:
    parameters = SimulateParameters(fail_percent=30, exit_code=75)

    first = [fails(parameters, f"job-{number}", 1) for number in range(2_000)]

    assert 0.25 < sum(first) / len(first) < 0.35
    assert first == [fails(parameters, f"job-{number}", 1) for number in range(2_000)]


def test_it_asks_people_what_its_parameters_say(tmp_path: Path) -> None:
    asked = run({}, SimulateParameters(review_asked="Look at line 3."), context(tmp_path, []))
    assert asked.review_asked == "Look at line 3."
    assert run({}, SimulateParameters(), context(tmp_path, [])).review_asked is None


def test_the_output_has_its_size_and_depends_on_the_job_alone(tmp_path: Path) -> None:
    digests = []
    for folder, job_uid in (("a", "u"), ("b", "u"), ("c", "v")):
        (tmp_path / folder).mkdir()
        result = run({}, SimulateParameters(output_bytes=2_500_000), context(tmp_path / folder, [], job_uid=job_uid))
        content = result.outputs[0].path.read_bytes()
        assert len(content) == 2_500_000
        digests.append(hashlib.sha256(content).hexdigest())

    assert digests[0] == digests[1] != digests[2]


def test_progress_rises_in_the_steps_that_were_asked_for(tmp_path: Path) -> None:
    seen: list[float] = []

    run({}, SimulateParameters(progress_steps=4, memory_mebibytes=3), context(tmp_path, seen))

    assert seen == [0, 25, 50, 75, 100]


def test_a_stalled_task_makes_no_progress_until_it_is_cancelled(tmp_path: Path) -> None:
    seen: list[float] = []
    made = context(tmp_path, seen)
    threading.Timer(0.2, made.cancelled.set).start()

    with pytest.raises(PhaseError) as caught:
        run({}, SimulateParameters(progress_steps=4, stall_after_percent=50), made)

    assert (seen, caught.value.exit_code) == ([0, 25], 143)


def test_the_crash_after_publishing_is_asked_for_once_only(tmp_path: Path) -> None:
    parameters = SimulateParameters(exit_after_publishing=True)

    crashes = [run({}, parameters, context(tmp_path, [], attempt)).crash_after_publishing for attempt in (1, 2)]

    assert crashes == [True, False]


@pytest.mark.parametrize("task", Task)
def test_every_task_has_a_module_of_its_name(task: Task) -> None:
    assert find_spec(f"audiojob_runner.tasks.{task.descriptor.module}") is not None


def test_a_package_that_the_image_lacks_is_named_with_the_image_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(Task.SIMULATE) is run
    monkeypatch.delitem(sys.modules, "audiojob_runner.tasks.separate", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(PhaseError, match="package torch is not in it") as caught:
        load(Task.SEPARATE)
    assert caught.value.exit_code == 64
    assert "images.runnerTorch" in caught.value.suggestion
