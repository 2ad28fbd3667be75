"""Programs that tests fork from a process that has imported them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support import forks

PROGRAM = forks.Program("audiojob_runner")


class OutOfTime:
    def readline(self) -> bytes:
        raise TimeoutError


def test_a_question_that_is_cut_short_leaves_no_answer_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tasks() -> forks.Fork:
        return forks.start(PROGRAM, os.environ, tmp_path / "log", ["tasks"])

    source = forks._source(PROGRAM)
    with monkeypatch.context() as patched:
        patched.setattr(source._process, "stdout", OutOfTime())
        with pytest.raises(TimeoutError):
            tasks()
    assert source._process.wait(60) == 0, "with what it had started"
    assert tasks().wait(60) == 0
