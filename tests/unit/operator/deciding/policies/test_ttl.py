"""How long Jobs of failed attempts are kept, and how long an AudioJob waits for the archive."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.operator.builders import World, audio_job, with_settings

from audiojob_operator.deciding.policies.ttl import expiry
from audiojob_operator.records.plan import JobRef
from audiojob_types.constants import ANNOTATION_ARCHIVED
from audiojob_types.resources.job import AudioJob

RETRY = {"limit": 3, "baseSeconds": 0, "capSeconds": 1}


def retried(world: World) -> JobRef:
    """The first attempt of the first phase fails and the second one runs. The Job of the first."""
    world.turn()
    world.fail("first")
    failed = world.newest("first")["metadata"]
    world.turn()
    assert world.phase("first").attempt == 2
    return JobRef(failed["name"], failed["uid"])


def given_up(world: World) -> JobRef:
    """The first phase fails for good. Its Job."""
    world.turn()
    world.fail("first", 65, "NotMedia")
    failed = world.newest("first")["metadata"]
    world.turn()
    assert world.state() == "Failed"
    return JobRef(failed["name"], failed["uid"])


@pytest.mark.parametrize("story", [retried, given_up], ids=["a retried attempt", "the end of the AudioJob"])
def test_a_failed_job_goes_ten_minutes_after_its_end(story: object) -> None:
    world = World(audiojob=audio_job(retry=RETRY))
    failed = story(world)  # type: ignore[operator]
    before = world.decide()
    assert before.delete_jobs == ()
    assert before.requeue_after is not None
    assert before.requeue_after <= 600
    world.pass_time(599)
    assert world.decide().delete_jobs == ()
    world.pass_time(1)
    assert world.turn().delete_jobs == (failed,)
    assert world.decide().empty


def test_a_failed_job_stays_until_its_failure_is_in_status_however_old_it_is() -> None:
    world = World(audiojob=audio_job(retry=RETRY))
    world.turn()
    world.fail("first")
    world.pass_time(3_000)  # nobody looked: the operator was away
    plan = world.decide()
    kinds = [kind for kind, _ in world.steps(plan)]
    assert kinds.index("status") < kinds.index("delete")
    for kind, what in world.steps(plan)[: kinds.index("delete")]:
        world.write(kind, what)  # killed before the deletion
    assert [ref.name for ref in world.decide().delete_jobs] == [world.created_jobs[0]]


def test_a_successful_job_is_left_to_its_own_ttl() -> None:
    world = World()
    world.finish()
    world.pass_time(80_000)
    assert world.decide().delete_jobs == ()


def test_a_job_is_deleted_once() -> None:
    world = World(audiojob=audio_job(retry=RETRY))
    failed = retried(world)
    world.pass_time(600)
    world.jobs[failed.name]["metadata"]["deletionTimestamp"] = "2026-03-01T12:10:00Z"
    plan = world.decide()
    assert plan.delete_jobs == ()


def test_with_a_long_pause_of_a_site_failed_jobs_stay_as_long() -> None:
    world = World(audiojob=audio_job(retry=RETRY), settings=with_settings(failed_job_seconds=1_800))
    retried(world)
    world.pass_time(1_799)
    assert world.decide().delete_jobs == ()
    world.settings = replace(world.settings, failed_job_seconds=600)
    assert len(world.decide().delete_jobs) == 1


DAY = 86_400


@pytest.mark.parametrize(
    ("wait", "archived", "passed", "goes"),
    [
        pytest.param(0, False, 60, True, id="without an archive its TTL is all"),
        pytest.param(7 * DAY, False, 60, False, id="what is not archived stays"),
        pytest.param(7 * DAY, True, 59, False, id="what is archived stays for its TTL"),
        pytest.param(7 * DAY, True, 60, True, id="and goes then"),
        pytest.param(7 * DAY, False, 7 * DAY + 59, False, id="an archive that is away is waited for"),
        pytest.param(7 * DAY, False, 7 * DAY + 60, True, id="but not for ever"),
    ],
)
def test_a_finished_job_waits_for_the_archive(wait: int, archived: bool, passed: int, goes: bool) -> None:
    job = AudioJob.model_validate({
        "metadata": {"name": "song", "annotations": {ANNOTATION_ARCHIVED: "x"} if archived else {}},
        "spec": {"pipeline": "p", "ttlSecondsAfterFinished": 60},
        "status": {"state": "Succeeded", "completionTime": "2026-11-29T00:00:00Z"},
    })  # fmt: skip
    end = expiry(job, None, wait)
    assert end is not None
    assert (datetime(2026, 11, 29, tzinfo=UTC) + timedelta(seconds=passed) >= end) is goes


def test_a_finished_job_is_deleted_once_it_is_archived() -> None:
    world = World(audiojob=audio_job(ttlSecondsAfterFinished=60), settings=with_settings(archive_wait_seconds=7 * DAY))
    world.finish()
    world.pass_time(61)
    assert not world.decide().delete_self
    world.audiojob["metadata"]["annotations"] = {ANNOTATION_ARCHIVED: "x"}
    assert world.decide().delete_self
