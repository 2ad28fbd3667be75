"""The store of AudioJobs: the newest version wins, whoever brings it, and only news wakes anybody."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from tests.unit.operator.builders import NAMESPACE, UID, audio_job
from tests.unit.operator.listening import Heard

from audiojob_operator.records.objects import Key
from audiojob_operator.state import jobstore
from audiojob_operator.state.jobstore import JobStore
from audiojob_types.constants import LABEL_USER

Object = dict[str, Any]

KEY = (NAMESPACE, "song")
OTHER_UID = "ffffffff-6f0b-4a52-9f1e-0d1f6f9c1a10"


def version(number: int, *, uid: str = UID, state: str = "Running", **status: Any) -> Object:
    """The job at a resourceVersion."""
    job = audio_job(uid=uid)
    job["metadata"]["resourceVersion"] = str(number)
    job["status"] = {"state": state, **status}
    return job


class Woken(list[Key]):
    """Who was woken, and a store that wakes."""

    def __init__(self) -> None:
        super().__init__()
        self.store = JobStore(Heard(woken=self))


@pytest.fixture
def woken() -> Woken:
    return Woken()


def stored_version(woken: Woken) -> int | None:
    known = woken.store.get(KEY)
    return known.version if known else None


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        pytest.param(5, 6, 6, id="a newer version replaces"),
        pytest.param(6, 5, 6, id="an older version is dropped"),
        pytest.param(9, 10, 10, id="versions are numbers and not text"),
    ],
)
def test_the_newest_version_wins(woken: Woken, first: int, second: int, kept: int) -> None:
    assert woken.store.put(version(first))
    assert woken.store.put(version(second)) == (second > first)
    assert stored_version(woken) == kept


def test_the_same_version_again_is_no_news(woken: Woken) -> None:
    woken.store.put(version(5))
    assert not woken.store.put(version(5))
    assert woken == [KEY]


def change_spec(job: Object) -> None:
    job["spec"]["cancel"] = True


def change_state(job: Object) -> None:
    job["status"]["state"] = "Succeeded"


def change_deletion(job: Object) -> None:
    job["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"


def change_labels(job: Object) -> None:
    job["metadata"]["labels"] = {LABEL_USER: "ada"}


def change_other_labels(job: Object) -> None:
    job["metadata"]["labels"] = {"a": "b"}
    job["metadata"]["annotations"] = {"a": "b"}


def change_progress(job: Object) -> None:
    job["status"]["progress"] = {"percent": 40}


def change_begun(job: Object) -> None:
    job["status"]["progress"] = {"cut": {"attempt": 1, "percent": 0, "begun": True}}


def change_result(job: Object) -> None:
    job["status"]["progress"] = {"cut": {"attempt": 1, "percent": 0, "begun": True, "result": "{}"}}


def change_percent(job: Object) -> None:
    job["status"]["percent"] = 40


def change_nothing(_job: Object) -> None:
    """Only the version moves."""


@pytest.mark.parametrize(
    ("change", "wakes"),
    [
        pytest.param(change_spec, True, id="a changed spec wakes"),
        pytest.param(change_state, True, id="a changed state wakes"),
        pytest.param(change_deletion, True, id="a deletion under way wakes"),
        pytest.param(change_labels, True, id="a changed user wakes"),
        pytest.param(change_other_labels, True, id="other labels wake: a job that was given up may be written now"),
        pytest.param(change_progress, False, id="a progress report wakes nobody"),
        pytest.param(change_begun, False, id="that a worker has begun wakes nobody"),
        pytest.param(change_result, True, id="how a worker's phase ended wakes"),
        pytest.param(change_percent, False, id="a percent wakes nobody"),
        pytest.param(change_nothing, False, id="a new version of the same wakes nobody"),
    ],
)
def test_only_what_a_decision_depends_on_wakes(woken: Woken, change: Any, wakes: bool) -> None:
    before = version(5)
    woken.store.put(deepcopy(before))
    woken.clear()
    after = deepcopy(before)
    after["metadata"]["resourceVersion"] = "6"
    change(after)
    assert woken.store.put(after)
    assert bool(woken) == wakes
    assert stored_version(woken) == 6


def test_that_a_worker_has_begun_what_it_was_told_ahead_wakes(woken: Woken) -> None:
    told = version(5)
    record = {"name": "cut", "state": "Waiting", "reason": "ToldToWorker", "podUID": "pod", "attempt": 1}
    told["status"]["phases"] = [record]
    woken.store.put(deepcopy(told))
    woken.clear()
    told["metadata"]["resourceVersion"] = "6"
    change_begun(told)
    woken.store.put(told)
    assert woken == [KEY]


def test_the_answer_to_our_own_write_wakes_nobody_and_its_echo_neither(woken: Woken) -> None:
    woken.store.put(version(5))
    woken.clear()
    woken.store.put(version(6, phase="one"), ours=True)
    woken.store.put(version(6, phase="one"))
    assert woken == []
    assert stored_version(woken) == 6


def change_cancel(job: Object) -> None:
    job["spec"] = {**job.get("spec", {}), "cancel": True}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change_cancel, id="somebody cancelled it"),
        pytest.param(change_result, id="a worker reported its phase's end"),
    ],
)
def test_what_others_wrote_just_before_our_own_write_is_news_in_its_answer(woken: Woken, change: Any) -> None:
    woken.store.put(version(5))
    woken.clear()
    answer = version(7, phase="one")
    change(answer)
    woken.store.put(answer, ours=True)
    assert woken == [KEY], "the watch brings the older version of the others' write, which is no news any more"
    woken.clear()
    taken_out = version(8, phase="two")
    taken_out["spec"] = answer["spec"]
    woken.store.put(taken_out, ours=True)
    assert woken == [], "what we took out of it ourselves is none"


def test_a_finished_job_is_not_active_and_can_still_be_asked_for(woken: Woken) -> None:
    woken.store.put(version(5))
    woken.store.put(version(6, state="Succeeded"))
    assert len(woken.store) == 0
    assert list(woken.store.active()) == []
    known = woken.store.get(KEY)
    assert known is not None
    assert known.finished


def test_a_lagging_watch_does_not_bring_a_finished_job_back(woken: Woken) -> None:
    woken.store.put(version(7, state="Succeeded"), ours=True)
    assert not woken.store.put(version(6))
    assert len(woken.store) == 0


def test_only_the_last_finished_jobs_are_remembered(woken: Woken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobstore, "_REMEMBERED", 3)
    for number in range(5):
        job = version(number + 1, state="Failed")
        job["metadata"]["name"] = f"song-{number}"
        woken.store.put(job)
    kept = [number for number in range(5) if woken.store.get((NAMESPACE, f"song-{number}")) is not None]
    assert kept == [2, 3, 4]


@pytest.mark.parametrize(
    ("known", "left_at", "forgotten"),
    [
        pytest.param(version(5), 6, True, id="an active job that left is forgotten, and a read must tell"),
        pytest.param(version(7), 6, False, id="an older departure than what is known is dropped"),
        pytest.param(version(6, state="Succeeded"), 6, False, id="a job that we finished has only finished"),
    ],
)
def test_leaving_the_active_set(woken: Woken, known: Object, left_at: int, forgotten: bool) -> None:
    woken.store.put(deepcopy(known), ours=True)
    woken.store.left(version(left_at))
    assert (woken.store.get(KEY) is None) == forgotten
    assert woken == ([KEY] if forgotten else [])


def test_late_events_do_not_bring_a_deleted_job_back(woken: Woken) -> None:
    woken.store.put(version(5))
    woken.store.gone(KEY, UID)
    assert woken.store.get(KEY) is None
    assert not woken.store.put(version(5))
    assert woken.store.get(KEY) is None


def test_a_successor_of_the_same_name_is_taken_up(woken: Woken) -> None:
    woken.store.put(version(5))
    woken.store.gone(KEY, UID, version=6)
    woken.clear()
    assert woken.store.put(version(7, uid=OTHER_UID))
    assert woken == [KEY]


def test_the_end_of_a_predecessor_does_not_touch_its_successor(woken: Woken) -> None:
    woken.store.put(version(7, uid=OTHER_UID))
    woken.store.gone(KEY, UID)
    assert stored_version(woken) == 7


def test_managed_fields_are_not_kept(woken: Woken) -> None:
    job = version(5)
    job["metadata"]["managedFields"] = [{"manager": "somebody"}]
    woken.store.put(job)
    known = woken.store.get(KEY)
    assert known is not None
    assert "managedFields" not in known.raw["metadata"]
