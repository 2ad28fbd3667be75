"""What a worker loads ahead, and models that come into their volume after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_runner.worker.working import hold
from audiojob_types.base import WireModel
from audiojob_types.tasks import Task
from audiojob_types.workers.order import WorkTerms

TERMS = WorkTerms(pool="gpu", tasks=(Task.SEPARATE,), preload=("htdemucs", "mdx"))


def test_a_model_that_comes_after_the_worker_is_loaded_before_a_phase_and_then_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there, tried, now = {"mdx"}, list[str](), [100.0]

    def prepare(_task: Task, parameters: WireModel, _root: Path) -> str | None:
        name: str = parameters.to_wire()["model"]
        tried.append(name)
        return name if name in there else None

    monkeypatch.setattr(hold, "prepare", prepare)
    monkeypatch.setattr(hold, "_import", lambda _task: True)
    monkeypatch.setattr(hold, "wait_without_spinning", lambda _environ: None)
    held = hold.Held(Path("/models"), lambda: now[0])
    held.load(TERMS)
    assert tried == ["htdemucs", "mdx"]
    held.load_missing()
    assert tried == ["htdemucs", "mdx"], "not before each of many short phases"
    now[0] += 10
    held.load_missing()
    there.add("htdemucs")
    now[0] += 10
    held.load_missing()
    assert tried[2:] == ["htdemucs", "htdemucs"]
    assert held._made == {Task.SEPARATE: ["mdx", "htdemucs"]}
    now[0] += 10
    held.load_missing()
    assert len(tried) == 4, "nothing is missing any more"
