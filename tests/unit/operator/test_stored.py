"""What earlier versions stored in the API server is read, and goes on where it was (tests/data/stored)."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from tests.support.stored import STORED, sent
from tests.unit.operator.builders import NAMESPACE, NOW, UID, World

from audiojob_operator.deciding.revisions import parse_revision, revision_object
from audiojob_operator.records.objects import Object
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.contract import CONTRACT
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipeline
from audiojob_types.resources.queue import AudioQueue

VERSIONS = sorted(path.name for path in STORED.iterdir() if path.is_dir())
CONTRACTS = {"2026-11-24": 0, "2026-11-28": 2, "2026-11-29": 3}
_HASH = re.compile(r"@HASH-(?P<phase>[a-z]+)-(?P<attempt>\d+)@")


def objects(version: str) -> Object:
    """The stored objects, as if they lay in this test's namespace."""
    text = (STORED / version / "objects.json").read_text()
    text = text.replace("@NAMESPACE@", NAMESPACE).replace("@UID@", UID).replace("@NOW@", format_time(NOW))
    text = _HASH.sub(lambda m: hashlib.sha256(f"{UID}/{m['phase']}/{m['attempt']}".encode()).hexdigest()[:8], text)
    found: Object = json.loads(text)
    return found


def audiojob(name: str, stored: Object) -> Object:
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": UID,
        "generation": 1,
        "creationTimestamp": format_time(NOW),
    }
    return {"apiVersion": c.API_VERSION, "kind": "AudioJob", "metadata": metadata, **stored}


JOBS = [pytest.param(v, name, id=f"{name} of {v}") for v in VERSIONS for name in objects(v)["jobs"]]


def world_of(version: str, name: str) -> World:
    """The cluster as that version left it; its live Jobs have pods that run."""
    found = objects(version)
    stored = found["jobs"][name]
    pipelines = {each["metadata"]["name"]: each for each in found["pipelines"]}
    world = World(
        audiojob=audiojob(name, {key: stored[key] for key in ("spec", "status")}),
        pipeline=pipelines[stored["spec"]["pipeline"]],
        revisions={each["metadata"]["name"]: each for each in found["revisions"]},
    )
    for job in stored["jobs"]:
        world.write("job", job)
        world.run(job["metadata"]["labels"][c.LABEL_PHASE])
    world.created_jobs.clear()
    return world


def covers(read: Any, stored: Any) -> bool:
    """Whether nothing of what was stored is lost or changed; what was read may have more."""
    if isinstance(stored, dict):
        return isinstance(read, dict) and all(key in read and covers(read[key], stored[key]) for key in stored)
    if isinstance(stored, list):
        return isinstance(read, list) and len(read) == len(stored) and all(map(covers, read, stored))
    return bool(read == stored)


def test_every_version_is_in_the_table() -> None:
    assert CONTRACTS.keys() == set(VERSIONS)
    assert max(CONTRACTS.values()) == CONTRACT


@pytest.mark.parametrize(("version", "name"), JOBS)
def test_an_audiojob_survives_reading_and_writing(version: str, name: str) -> None:
    stored = audiojob(name, objects(version)["jobs"][name])
    del stored["jobs"]
    assert covers(AudioJob.model_validate(stored).to_wire(), stored)


@pytest.mark.parametrize(("version", "name"), JOBS)
def test_an_operator_starts_nothing_anew_beside_what_runs(version: str, name: str) -> None:
    world = world_of(version, name)
    before = {each["name"]: each["attempt"] for each in world.status.get("phases", ())}
    live = set(world.jobs)
    plan = world.turn()
    if live or world.job.status.state.finished:
        assert world.created_jobs == []
        assert plan.delete_jobs == ()
        assert all(world.phase(phase).attempt == attempt for phase, attempt in before.items())
    assert len(world.created_jobs) <= 1


@pytest.mark.parametrize(("version", "name"), JOBS)
def test_what_was_not_done_is_brought_to_its_end(version: str, name: str) -> None:
    world = world_of(version, name)
    world.edit(suspend=False, reviews=[{"phase": "two", "approved": True}])
    before = world.job.status.state
    world.finish()
    assert world.state() == (before if before.finished else "Succeeded")


@pytest.mark.parametrize("version", VERSIONS)
def test_pipelines_and_queues_survive_reading_and_writing(version: str) -> None:
    found = objects(version)
    for each in found["pipelines"]:
        assert covers(AudioPipeline.read(each).to_wire(), each)
    for each in found.get("queues", ()):
        assert covers(AudioQueue.read(each).to_wire(), each)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revision_survives_and_tells_its_contract(version: str) -> None:
    for each in objects(version)["revisions"]:
        read = parse_revision(each)
        assert read.contract == CONTRACTS[version]
        assert covers(revision_object(read, NAMESPACE), each)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_later_phase_is_sent_what_its_runner_knows(version: str) -> None:
    world = world_of(version, "first")
    world.succeed("one")
    world.turn()
    text = world.newest("two")["spec"]["template"]["metadata"]["annotations"][c.ANNOTATION_PHASE]
    contract = CONTRACTS[version]
    fields = sent(contract)
    assert json.loads(text).keys() <= set(fields["phase file"])
    assert json.loads(text)["parameters"].keys() <= set(fields["parameters of Simulate"])
    assert json.loads(text).get("contract", 0) == contract
