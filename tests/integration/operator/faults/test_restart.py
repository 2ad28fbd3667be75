"""Rows of the fault table about what happens while no operator runs.

One operator over a namespace for each row is stopped once; everything happens in the pause; then it starts again.
"""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.operator.conftest import Object, Space
from tests.support.faults.rows import Rows, make_spaces, operating, start, stop
from tests.support.manypods import delete_job, finish_pod

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import RestError, wait_until

ROWS = ("F4", "F5", "F6", "F48", "untouched")


@pytest.fixture(scope="module")
def rows(controllers: LocalApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    """The operator after its pause."""
    spaces = make_spaces(controllers, ROWS)
    with operating(controllers, tmp_path_factory.mktemp("restart"), spaces) as running:
        for row in ROWS:
            spaces[row].submit("stays")
        for row in ROWS:
            running.until_running(row, "stays")
            running.pod_of(row, "stays")
        stop(running)
        happen(running)
        start(running)
        yield running


def happen(rows: Rows) -> None:
    """What the operator does not see."""
    lost = rows["F4"].batch_jobs()[0]
    finish_pod(rows["F4"].rest, rows.pod_of("F4", "stays"))
    wait_until("the Job to be complete", lambda: is_complete(rows["F4"].batch_jobs()[0]), seconds=60)
    delete_job(rows["F4"].rest, lost)  # as its TTL would
    wait_until("the Job to be gone", lambda: not rows["F4"].batch_jobs() and not rows["F4"].pods(), seconds=60)
    for edit in ({"suspend": True}, {"suspend": False, "priority": 2}, {"priority": 9}):
        rows["F5"].patch("stays", edit)
    rows["F6"].rest.request("DELETE", f"{rows['F6'].jobs_path}/stays", {"propagationPolicy": "Background"})
    reapply(rows["F48"])


def is_complete(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)


def reapply(space: Space) -> None:
    """Delete the AudioJob but not its children, and create it from its manifest, status included, as backups do."""
    saved = space.job("stays")
    space.rest.request("DELETE", f"{space.jobs_path}/stays", {"propagationPolicy": "Orphan"})
    wait_until("the AudioJob to be gone", lambda: is_gone(space, "stays"), seconds=60)
    metadata = {"name": "stays", "annotations": {"saved-uid": saved["metadata"]["uid"]}}
    space.rest.request("POST", space.jobs_path, {**saved, "metadata": metadata})


def is_gone(space: Space, name: str) -> bool:
    try:
        space.job(name)
    except RestError as error:
        return error.status == 404
    return False


def test_F4_a_result_that_is_lost_with_its_job_is_made_once_more(rows: Rows) -> None:
    space = rows["F4"]
    for phase in ("one", "two"):
        finish_pod(space.rest, rows.pod_of("F4", "stays", phase))
    status = rows.finished("F4", "stays")
    first, second = status["phases"]
    assert status["state"] == "Succeeded", rows.story()
    assert (first["attempt"], first.get("failures", 0), second["attempt"]) == (2, 0, 1)
    assert set(rows.attempts("F4").values()) == {1}


def test_F5_of_three_edits_the_last_one_counts(rows: Rows) -> None:
    space = rows["F5"]
    generation = space.job("stays")["metadata"]["generation"]

    def observed(status: Object) -> bool:
        return bool(status.get("observedGeneration") == generation)

    status = space.until("stays", observed, "the last generation", story=rows.story)["status"]
    assert generation == 4
    assert (status["state"], status["phases"][0]["attempt"]) == ("Running", 1), "a suspension that is over is none"
    assert rows.jobs_created("F5").total() == 1


def test_F6_a_job_deleted_meanwhile_is_gone_with_its_children_and_leaves_no_finalizer(rows: Rows) -> None:
    space = rows["F6"]
    assert is_gone(space, "stays"), "no finalizer of ours holds it"
    wait_until("the end of its children", lambda: not space.batch_jobs() and not space.pods(), seconds=60)


def test_F48_a_job_that_was_put_back_from_a_backup_works_anew_and_adopts_no_orphan(rows: Rows) -> None:
    space = rows["F48"]
    job = space.job("stays")
    assert job["metadata"]["uid"] != job["metadata"]["annotations"]["saved-uid"]
    status = rows.until_running("F48", "stays")
    assert status["outputPrefix"].endswith(job["metadata"]["uid"]), "what the first one published stays untouched"

    children = space.batch_jobs()
    assert len(children) == 2, "the orphan that somebody chose to keep, and the new one"
    orphan = next(one for one in children if one["metadata"]["labels"]["audiojobs.dev/uid"] != job["metadata"]["uid"])
    assert not orphan["metadata"].get("ownerReferences")
    assert "deletionTimestamp" not in orphan["metadata"]


def test_F1_a_job_that_nothing_happened_to_goes_on(rows: Rows) -> None:
    for phase in ("one", "two"):
        finish_pod(rows["untouched"].rest, rows.pod_of("untouched", "stays", phase))
    status = rows.finished("untouched", "stays")
    assert [phase["attempt"] for phase in status["phases"]] == [1, 1]
    assert status["state"] == "Succeeded"
