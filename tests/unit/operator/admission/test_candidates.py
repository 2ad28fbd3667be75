"""AudioJobs as candidates for a slot: who asks for one, who holds one, and with which priority."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.admission.test_cycle import PIPELINE, waiting
from tests.unit.operator.builders import NOW, World, audio_job

from audiojob_operator.admission.candidates import candidate
from audiojob_types.base import format_time
from audiojob_types.resources.job import AudioJob

# ---------------------------------------------------------------- jobs as candidates


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
def test_a_job_that_does_not_want_to_start_takes_no_slot(made: AudioJob) -> None:
    assert candidate(made, PIPELINE, NOW) is None


def test_a_job_without_a_pipeline_takes_no_slot() -> None:
    assert candidate(job(), None, NOW) is None


def test_a_job_holds_its_slot_from_its_first_status_to_its_end() -> None:
    world = World()
    assert candidate(world.job, PIPELINE, NOW) == waiting("song", priority=8).candidate
    assert candidate(world.job, PIPELINE, NOW, live=True) == waiting("song", priority=8, holds=True).candidate
    world.turn()
    held = candidate(world.job, None, NOW)
    assert held is not None
    assert held.holds_slot
    world.finish()
    assert candidate(world.job, PIPELINE, NOW) is None


def test_a_suspended_job_gives_its_slot_up_and_asks_again_when_resumed() -> None:
    world = World()
    world.turn()
    world.edit(suspend=True)
    world.turn()
    assert candidate(world.job, PIPELINE, NOW) is None
    world.edit(suspend=False)
    again = candidate(world.job, PIPELINE, NOW)
    assert again is not None
    assert not again.holds_slot
