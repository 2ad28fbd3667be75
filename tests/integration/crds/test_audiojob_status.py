"""What the schema makes sure of in a status, whoever writes it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.resources import Resources

from audiojob_types.constants import MAX_PHASES, MAX_STATUS_OUTPUTS
from audiojob_types.resources.job import FINISHED_STATES, State

pytestmark = pytest.mark.integration

OUTPUT = {"name": "vocals", "phase": "separate", "mediaType": "audio/flac", "bytes": 1, "sha256": "0" * 64}


def phase(name: str = "separate", **others: Any) -> dict[str, Any]:
    return {"name": name, "state": "Running", "attempt": 2, **others}


@pytest.mark.parametrize("final", sorted(FINISHED_STATES))
def test_a_finished_state_is_final(resources: Resources, final: State) -> None:
    job = resources.create_job({"pipeline": "separate"})
    assert resources.patch_status(job, {"state": final}).status == 200
    for other in set(State) - {final}:
        answer = resources.patch_status(job, {"state": other})
        assert answer.status == 422
        assert "a finished job never changes its state" in answer.message
    assert resources.patch_status(job, {"message": "still may be told better"}).status == 200


@pytest.mark.parametrize("removed", [{"state": None}, None], ids=["the state", "the whole status"])
def test_removing_a_finished_state_is_refused(resources: Resources, removed: Any) -> None:
    job = resources.create_job({"pipeline": "separate"})
    assert resources.patch_status(job, {"state": "Succeeded"}).status == 200
    assert resources.patch_status(job, removed).status == 422


@pytest.mark.parametrize("state", sorted(set(State) - FINISHED_STATES))
def test_a_state_before_the_end_may_become_any_other(resources: Resources, state: State) -> None:
    for other in State:
        job = resources.create_job({"pipeline": "separate"})
        assert resources.patch_status(job, {"state": state}).status == 200
        assert resources.patch_status(job, {"state": other}).status == 200


def test_attempts_only_go_up(resources: Resources) -> None:
    job = resources.create_job({"pipeline": "separate"})
    assert resources.patch_status(job, {"phases": [phase()]}).status == 200
    assert resources.patch_status(job, {"phases": [phase(attempt=3)]}).status == 200
    assert resources.patch_status(job, {"phases": [phase(attempt=3, state="Failed"), phase("publish")]}).status == 200
    answer = resources.patch_status(job, {"phases": [phase(), phase("publish")]})
    assert answer.status == 422
    assert "attempts never go back" in answer.message


LOST = {
    "one phase": [phase("separate")],
    "all phases": [],
    "the list": None,
    "its attempt": [{"name": "download"}, phase("separate")],
}


@pytest.mark.parametrize("phases", LOST.values(), ids=LOST.keys())
def test_a_phase_never_loses(resources: Resources, phases: Any) -> None:
    job = resources.create_job({"pipeline": "separate"})
    assert resources.patch_status(job, {"phases": [phase("download"), phase("separate")]}).status == 200
    answer = resources.patch_status(job, {"phases": phases})
    assert answer.status == 422
    assert "phases are never removed and attempts never go back" in answer.message


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an unknown state": ({"state": "Paused"}, ["status.state", "supported values"]),
    "percent 101": ({"percent": 101}, ["status.percent"]),
    "an unknown field": ({"colour": "red"}, ["unknown field", "status.colour"]),
    "two phases of a name": ({"phases": [phase(), phase()]}, ["status.phases", "Duplicate"]),
    "too many phases": ({"phases": [phase(f"p{n}") for n in range(MAX_PHASES + 1)]}, ["status.phases", "at most 16"]),
    "too many outputs": ({"outputs": [OUTPUT] * (MAX_STATUS_OUTPUTS + 1)}, ["status.outputs", "at most 24"]),
    "progress of too many phases": (
        {"progress": {f"p{n}": {"attempt": 1, "percent": 1} for n in range(MAX_PHASES + 1)}},
        ["status.progress"],
    ),
    "a checksum that is none": ({"outputs": [{**OUTPUT, "sha256": "abc"}]}, ["status.outputs[0].sha256"]),
    "a condition with half its fields": ({"conditions": [{"type": "Complete", "status": "True"}]}, ["Required"]),
    "a message of 1,025 characters": ({"message": "x" * 1025}, ["status.message", "1024"]),
}


@pytest.mark.parametrize(("status", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(resources: Resources, status: dict[str, Any], words: list[str]) -> None:
    job = resources.create_job({"pipeline": "separate"})
    answer = resources.patch_status(job, status)
    assert answer.status in {400, 422}
    assert [word for word in words if word not in answer.message] == [], answer.message


def test_a_status_patch_does_not_touch_the_spec(resources: Resources) -> None:
    job = resources.create_job({"pipeline": "separate"})
    path = f"/apis/audiojobs.dev/v1alpha1/namespaces/default/audiojobs/{job}/status"
    body = {"status": {"state": "Running"}, "spec": {"cancel": True}}
    answer = resources.send("PATCH", path, body, "application/merge-patch+json")
    assert answer.body["status"]["state"] == "Running"
    assert answer.body["spec"]["cancel"] is False
    assert answer.body["metadata"]["generation"] == 1


def test_the_columns_show_the_node_at_work_before_the_message(resources: Resources) -> None:
    job = resources.create_job({"pipeline": "separate"})
    status = {"state": "Running", "phase": "first", "nodeName": "node-7", "message": "Phase 1 of 2 is running.",
              "phases": [phase("first", nodeName="node-7"), phase("second", state="Waiting", attempt=0)]}  # fmt: skip
    assert resources.patch_status(job, status).status == 200
    names, cells = resources.table(job)
    assert names == ["Name", "State", "Pipeline", "Percent", "Phase", "Age", "Queue", "Node", "Message"]
    shown = dict(zip(names, cells, strict=True))
    assert (shown["State"], shown["Phase"], shown["Node"]) == ("Running", "first", "node-7")
    assert shown["Message"] == "Phase 1 of 2 is running."


@pytest.mark.parametrize(
    ("warnings", "taken"),
    [
        pytest.param([{"phase": "download", "message": "No cover."}] * 10, True, id="ten"),
        pytest.param([{"phase": "download", "message": "No cover."}] * 11, False, id="eleven"),
        pytest.param([{"phase": "download", "message": "w" * 257}], False, id="a long one"),
        pytest.param([{"message": "No cover."}], False, id="one of no phase"),
    ],
)
def test_warnings_are_few_and_short(resources: Resources, warnings: list[dict[str, str]], taken: bool) -> None:
    job = resources.create_job({"pipeline": "separate"})
    assert (resources.patch_status(job, {"warnings": warnings}).status == 200) is taken
