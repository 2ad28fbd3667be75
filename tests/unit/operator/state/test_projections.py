"""What is kept of an AudioJob is what decisions read of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.builders import World, phase, pipeline

from audiojob_operator.deciding.decide import decide
from audiojob_operator.state.projections import METADATA_DIGEST, trim_audiojob
from audiojob_types import constants as c
from audiojob_types.resources.job import AudioJob

Object = dict[str, Any]

HOSTILE = {
    "labels": {f"label-{number}": "x" * 60 for number in range(1_000)} | {c.LABEL_USER: "ada"},
    "annotations": {f"note-{number}": "y" * 1_000 for number in range(100)} | {c.ANNOTATION_ARCHIVED: "z"},
    "managedFields": [{"manager": f"m-{number}", "fieldsV1": {"f:labels": {}}} for number in range(1_000)],
    "finalizers": ["example.org/never"],
    "ownerReferences": [{"uid": "o", "kind": "Album", "name": "a"}],
    "generateName": "song-",
    "selfLink": "/somewhere",
}


def with_metadata(job: Object) -> Object:
    return {**job, "metadata": {**job["metadata"], **HOSTILE}}


def test_of_metadata_only_what_decisions_read_is_kept() -> None:
    metadata = {
        "name": "song",
        "namespace": "music",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 2,
        "creationTimestamp": "2026-11-28T07:00:00Z",
        "deletionTimestamp": "2026-11-28T08:00:00Z",
    }
    whole = with_metadata({"metadata": metadata, "spec": {"pipeline": "p"}, "status": {"state": "Queued"}})
    kept = trim_audiojob(whole)
    marks = {"labels": {c.LABEL_USER: "ada"}, "annotations": {c.ANNOTATION_ARCHIVED: "z"}}
    assert kept == {
        "metadata": metadata | marks | {METADATA_DIGEST: kept["metadata"][METADATA_DIGEST]},
        "spec": {"pipeline": "p"},
        "status": {"state": "Queued"},
    }
    assert trim_audiojob(kept) == kept


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"labels": {"a": "b"}}, id="a label"),
        pytest.param({"annotations": {"a": "b"}}, id="an annotation"),
        pytest.param({"finalizers": ["a/b"]}, id="a finalizer"),
        pytest.param({"ownerReferences": [{"uid": "o"}]}, id="an owner"),
    ],
)
def test_a_digest_tells_that_the_rest_has_changed(other: Object) -> None:
    plain = trim_audiojob({"metadata": {"name": "song"}})["metadata"]
    changed, again = (trim_audiojob({"metadata": {"name": "song"} | other})["metadata"] for _ in range(2))
    assert METADATA_DIGEST not in plain
    assert len(changed[METADATA_DIGEST]) == 64
    assert again == changed


def test_a_tombstone_gets_no_spec_and_no_status() -> None:
    assert trim_audiojob({"metadata": {"name": "song"}}) == {"metadata": {"name": "song"}}


@pytest.mark.parametrize("prepared", [True, False], ids=["a job namespace", "a namespace that is not prepared"])
@pytest.mark.parametrize("ends", ["well", "badly", "cancelled"])
def test_a_decision_is_the_same_without_the_rest(ends: str, prepared: bool) -> None:
    world = World(pipeline=pipeline(phase("one"), phase("two")), prepared=prepared)
    for step in range(6):
        observed = world.observed()
        whole = with_metadata(world.audiojob)
        trimmed = trim_audiojob(whole)
        assert list(trimmed["metadata"]["annotations"]) == [c.ANNOTATION_ARCHIVED]
        decisions = [decide(replace(observed, job=AudioJob.model_validate(job)), world.now) for job in (whole, trimmed)]
        assert decisions[0] == decisions[1]
        world.turn()
        match ends, step:
            case "well", 2 if prepared:
                world.succeed("one")
            case "badly", 2 if prepared:
                world.fail("one", 66, "SourceUnavailable")
            case "cancelled", 3:
                world.edit(cancel=True)
