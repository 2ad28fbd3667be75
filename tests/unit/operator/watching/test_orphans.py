"""Which Jobs work for nobody, and that they are told once."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.unit.operator.deciding.pools.played import worker_job
from tests.unit.operator.listening import Heard

from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.settings_groups import Sweep
from audiojob_operator.state.caches import Caches
from audiojob_operator.watching.orphans import orphans
from audiojob_operator.watching.sweep import Sweeper

NAMESPACE = "team"
LABELS = {"audiojobs.dev/uid": "u", "audiojobs.dev/job": "song"}
OWNER = {"kind": "AudioJob", "name": "song", "uid": "u", "controller": True}


def job(name: str = "song-separate-1", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": NAMESPACE, "name": name, "labels": LABELS, **metadata}, "status": {}}


OVER = {**job(), "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
CASES = {
    "one without an owner is an orphan": (job(), True),
    "one whose owner is something else is an orphan": (job(ownerReferences=[{**OWNER, "kind": "CronJob"}]), True),
    "one with its owner is none": (job(ownerReferences=[OWNER]), False),
    "one that has ended is none": (OVER, False),
    "one that is being deleted is none": (job(deletionTimestamp="2026-11-25T00:00:00Z"), False),
    "one that was never made for an AudioJob is none": (job(labels={}), False),
    "a worker's is its pool's": (worker_job(), False),
    "so it is when its pool has gone": (
        {**worker_job(), "metadata": {**worker_job()["metadata"], "ownerReferences": []}},
        False,
    ),
}


@pytest.mark.parametrize(("obj", "expected"), CASES.values(), ids=CASES)
def test_orphans(obj: dict[str, Any], expected: bool) -> None:
    assert orphans([obj]) == ({(NAMESPACE, "song-separate-1"): "song"} if expected else {})


def test_an_orphan_is_logged_once_and_counted_as_long_as_it_works(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics()
    caches = Caches(None, (NAMESPACE,), Heard())  # type: ignore[arg-type]  # nothing is called
    sweep = Sweeper(None, caches, lambda key: None, metrics, Sweep())  # type: ignore[arg-type]  # nothing is called
    present = [job()]
    monkeypatch.setattr(caches.namespaces[NAMESPACE].jobs, "values", lambda: iter(present))

    def counted() -> float | None:
        sweep._tell_orphans()
        return metrics.registry.get_sample_value("audiojob_operator_orphan_jobs", {"job_namespace": NAMESPACE})

    with caplog.at_level(logging.WARNING):
        assert counted() == 1
        assert counted() == 1
        present.append(job("another"))
        assert counted() == 2
        present.clear()
        assert counted() == 0
    assert [record.message for record in caplog.records] == [
        "Job team/song-separate-1 was made for AudioJob song, and no AudioJob owns it",
        "Job team/another was made for AudioJob song, and no AudioJob owns it",
    ]
