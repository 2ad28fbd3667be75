"""That each invariant's check finds what it is for: a check that cannot fail shows nothing."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from typing import Any, cast

import pytest
from tests.integration.operator.conftest import Space
from tests.support.faults import invariants
from tests.support.faults.soak import Ground, ends_of

Object = dict[str, Any]

ERROR = {"reason": "NotMedia", "message": "This is no audio."}


def job(state: str = "Succeeded", **status: Any) -> Object:
    kind = "Complete" if state == "Succeeded" else "Failed"
    ended = {
        "state": state,
        "conditions": [{"type": kind, "status": "True"}],
        "completionTime": "2026-01-01T00:00:00Z",
        "percent": 100,
        "phases": [{"name": "one", "attempt": 2, "jobName": "song-one-2-0123abcd", "manifest": {"key": "a"}}],
        **status,
    }
    metadata = {"name": "song", "namespace": "music", "uid": "11112222-3333-4444-5555-666677778888"}
    return {"metadata": metadata, "status": ended}


def child(name: str, **status: Any) -> Object:
    labels = {"audiojobs.dev/uid": "u", "audiojobs.dev/phase": "one"}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


def pod(of: str, phase: str) -> Object:
    return {"metadata": {"name": f"{of}-x", "labels": {"batch.kubernetes.io/job-name": of}}, "status": {"phase": phase}}


COMPLETE = [{"type": "Complete", "status": "True"}]
DONE = job()
FAILED = job("Failed", error=ERROR)
EVENT = {"involvedObject": {"uid": DONE["metadata"]["uid"]}, "reason": "NotMedia"}
REFERENCE = {"song": invariants.masked_end(DONE)}


@pytest.mark.parametrize(
    "breaches",
    [
        pytest.param(invariants.unfinished([job("Running")]), id="I1: a job that runs on"),
        pytest.param(invariants.unfinished([job(conditions=[])]), id="I1: an end without a condition"),
        pytest.param(invariants.doubled([child("a"), child("b")], [pod("a", "Running")]), id="I2: two live Jobs"),
        pytest.param(invariants.repeated(Counter(a=2), Counter()), id="I2: a Job created twice"),
        pytest.param(invariants.repeated(Counter(), Counter({("song", "one", 1): 2})), id="I2: two pods of an attempt"),
        pytest.param(
            invariants.strange_ends(ends_of([job(percent=99)], ground=Ground.PLAIN), REFERENCE), id="I5: another end"
        ),
        pytest.param(invariants.storms(81, 2), id="I6: too many writes"),
        pytest.param(invariants.leftovers([child("a")], []), id="I7: a Job left behind"),
        pytest.param(invariants.leftovers([], [pod("a", "Running")]), id="I7: a pod left behind"),
        pytest.param(invariants.unexplained([job("Failed")], None), id="I8: no reason"),
        pytest.param(
            invariants.unexplained([job("Failed", error={**ERROR, "reason": "Odd"})], None), id="I8: unknown reason"
        ),
        pytest.param(
            invariants.unexplained([job("Failed", error={**ERROR, "message": "x" * 1025})], None), id="I8: too long"
        ),
        pytest.param(invariants.unexplained([FAILED], []), id="I8: no event"),
    ],
)
def test_a_breach_is_found(breaches: list[str]) -> None:
    assert len(breaches) == 1


@pytest.mark.parametrize(
    "breaches",
    [
        pytest.param(invariants.unfinished([DONE, FAILED]), id="I1"),
        pytest.param(
            invariants.doubled([child("a"), child("b", conditions=COMPLETE), child("c")], [pod("a", "Failed")]), id="I2"
        ),
        pytest.param(invariants.repeated(Counter(a=1), Counter({("song", "one", 1): 1})), id="I2: created once"),
        pytest.param(invariants.strange_ends(ends_of([DONE], ground=Ground.PLAIN), REFERENCE), id="I5"),
        pytest.param(invariants.storms(80, 2), id="I6"),
        pytest.param(invariants.leftovers([], []), id="I7"),
        pytest.param(invariants.unexplained([DONE, FAILED], [EVENT]), id="I8"),
    ],
)
def test_a_good_run_has_no_breach(breaches: list[str]) -> None:
    assert breaches == []


@pytest.mark.parametrize(
    "later",
    [
        pytest.param({"state": "Running"}, id="I4: a final state changes"),
        pytest.param({"percent": 99}, id="I4: percent falls"),
        pytest.param({"phases": [{**DONE["status"]["phases"][0], "attempt": 1}]}, id="I4: an attempt goes back"),
        pytest.param(
            {"phases": [{**DONE["status"]["phases"][0], "manifest": {"key": "b"}}]}, id="I3: a manifest changes"
        ),
    ],
)
def test_what_changes_between_two_looks_is_found(later: Object) -> None:
    history = invariants.History(cast("Space", None))
    assert history.look(deepcopy(DONE)) == []
    assert history.look(deepcopy(DONE)) == []
    assert len(history.look(job(**later))) == 1
