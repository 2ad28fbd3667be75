"""A network that was loaded before its inputs were there makes the same stems, also in a process forked after that."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.separate.test_separate import UNTRAINED, music, tiny_model

from audiojob_runner.prepare import prepare
from audiojob_runner.task import TaskResult
from audiojob_types.parameters import resolve_parameters
from audiojob_types.tasks import Task


def digests(result: TaskResult) -> list[str]:
    return [hashlib.sha256(output.path.read_bytes()).hexdigest() for output in result.outputs]


@pytest.mark.parametrize("model", [UNTRAINED, "mdx"], ids=["with random weights", "with weights of a file"])
def test_it_makes_the_same_stems(bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture, model: str) -> None:
    caplog.set_level("INFO")
    tiny_model(bench.models, "mdx")
    mix = music(tmp_path / "mix.wav", 100_000)
    usual = digests(bench.run(Task.SEPARATE, mix, model=model, seed=4))
    assert "loaded ahead" not in caplog.text
    bench.prepared = prepare(
        Task.SEPARATE, resolve_parameters(Task.SEPARATE, {"model": model, "seed": 4}), bench.models
    )
    assert digests(bench.run(Task.SEPARATE, mix, model=model, seed=4)) == usual
    assert "loaded ahead" in caplog.text


def test_one_that_does_not_fit_is_not_used(bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    mix = music(tmp_path / "mix.wav", 20_000)
    usual = digests(bench.run(Task.SEPARATE, mix, model=UNTRAINED, seed=2))
    other = resolve_parameters(Task.SEPARATE, {"model": UNTRAINED, "seed": 1})
    bench.prepared = prepare(Task.SEPARATE, other, bench.models)
    assert digests(bench.run(Task.SEPARATE, mix, model=UNTRAINED, seed=2)) == usual
    assert "loaded ahead" not in caplog.text


FORKS = """
import os, sys
from pathlib import Path
import torch
from audiojob_runner.prepare import prepare
from audiojob_runner.tasks import separate
from audiojob_types.parameters import resolve_parameters
from audiojob_types.tasks import Task
before = os.listdir("/proc/self/task")
parameters = resolve_parameters(Task.SEPARATE, {"model": "demucs_unittest"})
loaded = prepare(Task.SEPARATE, parameters, Path("/"))
assert loaded is not None
assert not torch.cuda.is_initialized()
assert os.listdir("/proc/self/task") == before, "a thread would not survive the fork"
if os.fork() == 0:
    torch.set_num_threads(2)
    network = loaded.model
    with torch.inference_mode():
        network(torch.zeros(1, 2, 44_100))
    os._exit(0)
_, status = os.wait()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_process_forked_after_it_works_with_several_threads() -> None:
    code = subprocess.run([sys.executable, "-c", FORKS], timeout=60, check=False, env=dict(os.environ)).returncode
    assert code == 0
