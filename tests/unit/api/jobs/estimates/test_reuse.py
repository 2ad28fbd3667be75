"""Which phases another job has done already, as far as that shows before a job is made."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.fakes import MemoryPipelines

from audiojob_api.jobs.estimates.reuse import DOWNLOAD_MS, finished_before, reused_phases

NOW = 1_767_225_600_000  # 2026-01-01
URL = {"url": "https://example.org/a"}
UPLOAD = {"object": {"key": f"up-{'0' * 32}/a.flac"}}
PIPELINE = MemoryPipelines().put(
    "p", {"name": "fetch", "task": "Download"}, {"name": "normal", "task": "Normalize"},
    {"name": "split", "task": "Separate"},
)  # fmt: skip


def record(name: str, **changes: Any) -> dict[str, Any]:
    known = {"name": name, "state": "Succeeded", "reuseKey": "k", "manifest": {"key": "m"}}
    return {**known, "completionTime": "2025-12-31T23:00:00Z", **changes}


def job(*phases: dict[str, Any], **spec: Any) -> dict[str, Any]:
    found = phases or (record("fetch"), record("normal"), record("split"))
    return {"metadata": {"name": "old"}, "spec": {"source": URL, **spec}, "status": {"phases": list(found)}}


PARAMETERS = {"separate": {"model": "x"}}
ALL = ["fetch", "normal", "split"]


@pytest.mark.parametrize(
    ("wanted", "other", "phases"),
    [
        pytest.param({}, job(), ALL, id="the same"),
        pytest.param({"reuse": "Never"}, job(), [], id="all work is to be done again"),
        pytest.param({"source": {"url": "https://example.org/b"}}, job(), [], id="another address"),
        pytest.param(
            {"source": {"object": {"key": "a"}}}, job(source={"object": {"key": "a"}}), [], id="a file's name"
        ),
        pytest.param({"source": UPLOAD}, job(source=UPLOAD), ALL, id="an upload"),
        pytest.param({"parameters": PARAMETERS}, job(), ALL[:2], id="another model"),
        pytest.param({"parameters": PARAMETERS}, job(parameters=PARAMETERS), ALL, id="the same model"),
        pytest.param(
            {"parameters": {"normalize": {"sampleRate": 1}}}, job(), ALL[:1], id="what comes after differs too"
        ),
        pytest.param({"inputs": [{"name": "l", "text": "a"}]}, job(), [], id="another input"),
        pytest.param({}, job(record("fetch", completionTime="2025-12-30T23:00:00Z")), [], id="an old download"),
        pytest.param({}, job(record("fetch"), record("normal", reuseKey=None)), ALL[:1], id="work without a key"),
        pytest.param({}, job(record("fetch", manifest=None)), [], id="nothing was published"),
        pytest.param({}, job(record("fetch", expiresTime="2025-12-31T23:59:59Z")), [], id="files that may be swept"),
        pytest.param({}, job(record("fetch", state="Failed")), [], id="a phase that failed"),
    ],
)
def test_what_would_be_taken_over(wanted: dict[str, Any], other: dict[str, Any], phases: list[str]) -> None:
    found = reused_phases({"source": URL, **wanted}, PIPELINE, [job(record("x")), other], NOW)
    assert list(found) == phases
    assert set(found.values()) <= {"old"}


def test_the_first_one_that_did_the_work_is_named() -> None:
    found = reused_phases({"source": URL}, PIPELINE, [job(record("fetch", reusedFrom="first"))], NOW)
    assert found == {"fetch": "first"}
    assert DOWNLOAD_MS == 86_400_000


def test_a_retry_repeats_nothing_that_is_finished() -> None:
    failed = job(record("fetch"), record("normal", state="Failed"))
    assert finished_before(failed, NOW) == {"fetch": "old"}
