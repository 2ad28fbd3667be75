"""A worker measures by a clock that nobody sets: one that jumps neither ends it nor lets it wait."""

from __future__ import annotations

import ast
from pathlib import Path

import audiojob_runner.worker

SET = {"time", "time_ns", "localtime", "gmtime", "now", "utcnow", "today"}


def test_a_worker_reads_no_clock_that_can_be_set() -> None:
    files = sorted(Path(audiojob_runner.worker.__file__).parent.rglob("*.py"))
    read = {
        f"{file.name}: {ast.unparse(node)}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SET
    }
    assert len(files) > 10
    assert read == set()
