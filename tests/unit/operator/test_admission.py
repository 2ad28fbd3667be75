"""Who may start."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.builders import NOW, World, audio_job, pipeline

from audiojob_operator.admission import admit, candidate
from audiojob_operator.model import AdmissionSnapshot, Candidate
from audiojob_types.base import format_time
from audiojob_types.job import AudioJob
from audiojob_types.pipeline import AudioPipeline

PIPELINE = AudioPipeline.model_validate(pipeline(priority=8)).spec


def waiting(name: str, priority: int = 5, age: int = 0, holds: bool = False) -> Candidate:
    return Candidate(key=("music", name), priority=priority, created=NOW - timedelta(seconds=age), holds_slot=holds)


def admitted(*candidates: Candidate, places: int | None) -> list[str]:
    answers = admit(AdmissionSnapshot(candidates=candidates, max_running=places))
    assert answers.keys() == {each.key for each in candidates}
    return sorted(key[1] for key, answer in answers.items() if answer.admitted)


def test_without_a_limit_all_start() -> None:
    assert admitted(waiting("a"), waiting("b"), places=None) == ["a", "b"]


def test_the_most_urgent_starts_first_then_the_oldest() -> None:
    jobs = (waiting("young", age=1), waiting("urgent", priority=9), waiting("old", age=9))
    assert admitted(*jobs, places=1) == ["urgent"]
    assert admitted(*jobs, places=2) == ["old", "urgent"]


def test_who_runs_keeps_its_place_even_when_the_pool_shrinks() -> None:
    jobs = (waiting("a", holds=True), waiting("b", holds=True), waiting("c", priority=10))
    assert admitted(*jobs, places=1) == ["a", "b"]


def test_who_waits_is_told_how_many_run() -> None:
    snapshot = AdmissionSnapshot((waiting("a", holds=True), waiting("b", age=1), waiting("c")), max_running=2)
    answer = admit(snapshot)["music", "c"]
    assert (answer.reason, answer.message) == ("QueueFull", "2 of 2 jobs are running; the job waits for a place.")


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(0, 5), st.booleans()), max_size=12), st.integers(0, 6))
def test_places_are_never_overbooked_and_never_left_empty(rows: list[tuple[int, int, bool]], places: int) -> None:
    jobs = [waiting(str(index), *row) for index, row in enumerate(rows)]
    held = sum(each.holds_slot for each in jobs)
    expected = max(held, min(places, len(jobs)))
    assert len(admitted(*jobs, places=places)) == expected


def job(**spec: Any) -> AudioJob:
    return AudioJob.model_validate(audio_job(**spec))


def test_a_jobs_priority_is_its_own_else_its_pipelines() -> None:
    assert [found.priority for each in (job(priority=3), job()) if (found := candidate(each, PIPELINE, NOW))] == [3, 8]


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(job(suspend=True), id="suspended"),
        pytest.param(job(cancel=True), id="cancelled"),
        pytest.param(job(startTime=format_time(NOW + timedelta(seconds=1))), id="its start lies ahead"),
    ],
)
def test_a_job_that_does_not_want_to_start_takes_no_place(made: AudioJob) -> None:
    assert candidate(made, PIPELINE, NOW) is None


def test_a_job_without_a_pipeline_takes_no_place() -> None:
    assert candidate(job(), None, NOW) is None


def test_a_job_holds_its_place_from_its_first_status_to_its_end() -> None:
    world = World()
    assert candidate(world.job, PIPELINE, NOW) == waiting("song", priority=8)
    assert candidate(world.job, PIPELINE, NOW, assumed=True) == waiting("song", priority=8, holds=True)
    world.turn()
    assert candidate(world.job, None, NOW) == waiting("song", holds=True)
    world.finish()
    assert candidate(world.job, PIPELINE, NOW) is None


def test_a_suspended_job_gives_its_place_up_and_asks_again_when_resumed() -> None:
    world = World()
    world.turn()
    world.edit(suspend=True)
    world.turn()
    assert candidate(world.job, PIPELINE, NOW) is None
    world.edit(suspend=False)
    again = candidate(world.job, PIPELINE, NOW)
    assert again is not None
    assert not again.holds_slot
