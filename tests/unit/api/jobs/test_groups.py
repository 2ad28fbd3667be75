"""Statistics by pipeline and by phase: means, tails, GPU hours, reuse and errors of each, from sums of jobs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from audiojob_api.jobs.listing.rows import row_of
from audiojob_api.jobs.statistics.groups import By, fold
from audiojob_api.jobs.statistics.sums import WHOLE, sums_of

PIPELINES = ("separate", "transcode")


def job(pipeline: str, minutes: int, *, failed: bool = False) -> dict[str, Any]:
    """It waits a minute; its first phase is another job's, its second works so long on a GPU or not."""
    end = f"2026-11-29T12:{minutes + 1:02d}:00Z"
    times = {"startTime": "2026-11-29T12:01:00Z", "completionTime": end}
    device = "GPU" if pipeline == "separate" else "CPU"
    state = "Failed" if failed else "Succeeded"
    phases = [
        {"name": "fetch", "state": "Succeeded", "reusedFrom": "x", "completionTime": end},
        {"name": "work", "state": state, "device": device, "reason": "NotMedia" if failed else "", **times},
    ]
    error = {"error": {"reason": "NotMedia"}} if failed else {}
    return {
        "metadata": {"name": "song", "namespace": "team", "creationTimestamp": "2026-11-29T12:00:00Z"},
        "spec": {"pipeline": pipeline},
        "status": {"state": state, "phases": phases, **times, **error},
    }


def groups(by: By) -> dict[str, dict[str, Any]]:
    jobs = [job("separate", minutes) for minutes in (10, 20, 30)] + [job("separate", 30, failed=True)]
    jobs += [job("transcode", 2)]
    names = {By.PIPELINE: "pipeline", By.PHASE: "phase"}
    rows = [
        SimpleNamespace(name=getattr(key, names[by]), whole=key.phase == WHOLE, **key._asdict(), **sum_.columns())
        for key, sum_ in sums_of((row_of(each), each) for each in jobs).items()
    ]
    return {name: group.to_wire() for name, group in fold(rows, by).items()}


def test_each_pipeline_has_its_mean_tail_rate_errors_reuse_and_gpu_hours() -> None:
    found = groups(By.PIPELINE)
    assert set(found) == set(PIPELINES)
    separate, transcode = found["separate"], found["transcode"]
    assert (separate["created"], separate["ended"], separate["successRate"]) == (4, 4, 0.75)
    assert (separate["errors"], separate["reused"], separate["meanWaitSeconds"]) == ({"NotMedia": 1}, 4, 60)
    assert (separate["meanSeconds"], separate["gpuHours"]) == (1_200, 1.5), "a failed one held a GPU too"
    assert 1 / 1.7 < separate["p95Seconds"] / 1_800 < 1.7, "of few it is as wrong as a bucket is wide"
    assert (transcode["meanSeconds"], transcode["gpuHours"], transcode["errors"]) == (120, 0, {})


def test_each_phase_has_its_own() -> None:
    found = groups(By.PHASE)
    assert set(found) == {"fetch", "work"}
    fetch, work = found["fetch"], found["work"]
    assert (fetch["reused"], fetch["ended"], "meanSeconds" in fetch) == (5, 0, False)
    assert (work["states"], work["errors"]) == ({"Succeeded": 4, "Failed": 1}, {"NotMedia": 1})
    assert (work["meanSeconds"], work["gpuHours"]) == (930, 1.5)
