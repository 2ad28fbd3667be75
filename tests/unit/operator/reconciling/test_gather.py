"""What other jobs are asked for, and that none of them stands in the way of those that ask."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

import pytest
from tests.unit.operator.builders import NAMESPACE, NOW, SETTINGS, World, audio_job
from tests.unit.operator.listening import Heard

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import NotFound
from audiojob_kube.resources import CONTROLLERREVISIONS
from audiojob_operator.admission.admitter import Admitter
from audiojob_operator.admission.known import job_facts
from audiojob_operator.reconciling.gather import Gatherer
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.objects import Key
from audiojob_operator.records.observed import Unreadable
from audiojob_operator.records.reuse import Donor, Fresh, ReuseAnswer, ReuseAsk, SameWork
from audiojob_operator.records.settings import Revision
from audiojob_operator.records.workers import WorkerWait
from audiojob_operator.settings import Capacity
from audiojob_operator.state.caches import Caches
from audiojob_operator.state.reuse_index import ReuseIndex
from audiojob_types import constants as c
from audiojob_types.ordering import DEFAULT_PRIORITY

Object = dict[str, Any]
WORK = "0" * 64
ME: Key = (NAMESPACE, "song")
MANIFEST = {"key": f"{NAMESPACE}/uid/download/1-pod/manifest.json", "sha256": "0" * 64}


class Server:
    """An API server that has these AudioJobs."""

    def __init__(self) -> None:
        self.audiojobs: dict[str, Object] = {}
        self.revisions: dict[str, Object] = {}

    async def get(self, resource: Any, name: str, _namespace: str) -> Object:
        found = self.revisions if resource is CONTROLLERREVISIONS else self.audiojobs
        if name not in found:
            raise NotFound(404, "NotFound", f"{name} not found")
        return deepcopy(found[name])


class Shell:
    """A gatherer over caches that are filled by hand."""

    def __init__(self) -> None:
        self.server = Server()
        client = cast("KubeClient", self.server)
        self.index = ReuseIndex(lambda key: None)
        self.caches = Caches(client, [NAMESPACE], Heard(self.index))
        admitter = Admitter(self.caches, Capacity(), lambda key, first: None)
        self.gatherer = Gatherer(client, self.caches, admitter, SETTINGS, self.index)
        self._version = 1

    def job(self, name: str, status: Object, **spec: Any) -> None:
        self._version += 1
        obj = audio_job(name, uid=f"uid-{name}", **spec)
        obj["metadata"]["resourceVersion"] = str(self._version)
        obj["status"] |= status
        self.server.audiojobs[name] = obj
        self.caches.audiojobs.put(deepcopy(obj))

    async def ask(self) -> ReuseAnswer:
        return await self.gatherer.answer(ME, ReuseAsk(WORK, DEFAULT_PRIORITY))


def at(state: str, **more: Any) -> Object:
    """The status of a job that is or was at the work."""
    record = {"name": "download", "state": state, "attempt": 1, "reuseKey": WORK, **more}
    return {"state": "Running" if state == "Running" else "Succeeded", "phases": [record]}


@pytest.mark.parametrize(
    ("priority", "kept"),
    [
        pytest.param(9, "donor", id="one that can be read is taken"),
        pytest.param("high", None, id="one that cannot be read is none and its hint is dropped"),
    ],
)
async def test_a_donor(priority: Any, kept: str | None) -> None:
    shell = Shell()
    shell.job("donor", at("Succeeded", manifest=MANIFEST), priority=priority)
    assert shell.index.donor((NAMESPACE, WORK)) == "donor"
    answer = await shell.ask()
    assert (answer.job if isinstance(answer, Donor) else None) == kept
    assert kept is not None or answer == Fresh()
    assert shell.index.donor((NAMESPACE, WORK)) == kept


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        pytest.param(9, 9, id="that of the other job"),
        pytest.param("high", DEFAULT_PRIORITY, id="the default where the other job cannot be read"),
    ],
)
async def test_the_priority_of_who_is_at_the_work(priority: Any, expected: int) -> None:
    shell = Shell()
    shell.job("other", at("Running"), priority=priority)
    assert await shell.ask() == SameWork("other", expected)


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        pytest.param([{"kind": "AudioJob", "name": "song", "uid": "u-1", "controller": True}], ["left"],
                     id="one of an AudioJob that is gone is deleted"),
        pytest.param([], [], id="one that has lost its owner is left alone"),
    ],
)  # fmt: skip
def test_orphans(owner: list[Object], expected: list[str], caplog: pytest.LogCaptureFixture) -> None:
    shell = Shell()
    mine = {"kind": "AudioJob", "name": "song", "uid": "u-1", "controller": True}
    metadata = {"name": "left", "namespace": NAMESPACE, "uid": "j", "labels": {c.LABEL_UID: "u-1"}}
    for version, owners in (("1", [mine]), ("2", owner)):
        job = {"metadata": {**metadata, "resourceVersion": version, "ownerReferences": owners}, "spec": {}}
        shell.caches.namespaces[NAMESPACE].jobs.put(job)
    found = shell.gatherer.orphans(ME, "u-2")
    assert [job["metadata"]["name"] for job in found] == expected
    assert caplog.messages == []


JOB: Object = {
    "metadata": {
        "name": "other-download-1",
        "namespace": NAMESPACE,
        "uid": "j",
        "resourceVersion": "1",
        "labels": {c.LABEL_UID: "uid-other", c.LABEL_PHASE: "download", c.LABEL_ATTEMPT: "1"},
        "annotations": {c.ANNOTATION_REUSE_KEY: WORK},
        "ownerReferences": [{"kind": "AudioJob", "name": "other", "uid": "uid-other", "controller": True}],
    },
    "spec": {},
}
ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}


@pytest.mark.parametrize(
    ("recorded", "job", "waits"),
    [
        pytest.param(None, {}, True, id="it lives and no status tells of it"),
        pytest.param(None, ENDED, True, id="it ended while nobody looked and no status tells of it"),
        pytest.param({"state": "Waiting", "attempt": 0}, ENDED, True, id="its attempt is newer than the status"),
        pytest.param({"state": "Waiting", "attempt": 1}, ENDED, False, id="it failed and the status tells so"),
    ],
)
async def test_a_job_of_another_that_does_the_work(recorded: Object | None, job: Object, waits: bool) -> None:
    shell = Shell()
    phases = [{"name": "download", "reuseKey": WORK, **recorded}] if recorded is not None else []
    shell.job("other", {"state": "Running", "phases": phases})
    shell.caches.namespaces[NAMESPACE].jobs.put({**JOB, "status": job})
    assert await shell.ask() == (SameWork("other", DEFAULT_PRIORITY) if waits else Fresh())


async def test_an_ended_job_of_an_audiojob_that_is_gone_holds_nobody_up() -> None:
    shell = Shell()
    shell.caches.namespaces[NAMESPACE].jobs.put({**JOB, "status": ENDED})
    assert await shell.ask() == Fresh()


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        pytest.param({"source": {"jobRef": {"name": "other"}}}, "source_job", id="its source"),
        pytest.param({"retryOf": "other"}, "retried", id="its predecessor"),
    ],
)
async def test_a_named_job_that_cannot_be_read_is_told_with_its_field_and_wakes_by_its_end(
    spec: Object, place: str
) -> None:
    shell = Shell()
    shell.job("other", {"state": "Failed"}, priority="high")
    shell.job("song", {}, **spec)
    known = shell.caches.audiojobs.get(ME)
    assert known is not None
    observed = await shell.gatherer.observe(ME, known, Admission(True))
    found = getattr(observed, place)
    assert isinstance(found, Unreadable)
    assert found.problem.startswith("spec.priority: Input should be a valid integer")
    assert shell.gatherer.ended((NAMESPACE, "other")) == {ME}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param({"later": 1}, Revision, id="a field of a later version"),
        pytest.param({"task": "Mix"}, Unreadable, id="a task of a later version"),
    ],
)
async def test_a_revision_of_a_later_version(change: Object, found: type) -> None:
    world = World()
    world.turn()
    (stored,) = world.revisions.values()
    stored["metadata"] |= {"uid": "r", "resourceVersion": "1"}
    stored["data"]["spec"]["phases"][0] |= change
    shell = Shell()
    shell.server.revisions = world.revisions
    shell.job("song", {"pipelineRevision": stored["metadata"]["name"]})
    known = shell.caches.audiojobs.get(ME)
    assert known is not None
    for _ in range(2):
        observed = await shell.gatherer.observe(ME, known, Admission(True))
        assert isinstance(observed.revision, found)


async def test_a_retry_is_not_remembered_as_waiting_for_a_job_that_has_ended() -> None:
    shell = Shell()
    shell.job("other", {"state": "Failed"})
    shell.job("song", {}, retryOf="other")
    known = shell.caches.audiojobs.get(ME)
    assert known is not None
    observed = await shell.gatherer.observe(ME, known, Admission(True))
    assert observed.retried is not None
    assert shell.gatherer._dependents == {}


@pytest.mark.parametrize(
    ("namespace", "kept"),
    [
        pytest.param(NAMESPACE, True, id="a job namespace, whose jobs are looked at again and again"),
        pytest.param("elsewhere", False, id="a namespace that is not prepared, where anybody may make thousands"),
    ],
)
async def test_what_is_kept_parsed(namespace: str, kept: bool) -> None:
    shell = Shell()
    obj = audio_job("song", uid="uid-song")
    obj["metadata"] |= {"namespace": namespace, "resourceVersion": "7"}
    shell.caches.audiojobs.put(obj)
    key = (namespace, "song")
    known = shell.caches.audiojobs.get(key)
    assert known is not None
    observed = await shell.gatherer.observe(key, known, Admission(True))
    job_facts(shell.caches, key)
    assert observed.job.metadata.name == "song"
    assert ("job" in vars(known)) is kept


async def test_a_job_that_was_deleted_while_a_phase_of_it_waited_for_a_worker_waits_no_more() -> None:
    shell, pool = Shell(), (NAMESPACE, "warm")
    shell.job("song", at("Running"))
    shell.caches.workers.waits(ME, [WorkerWait("cut", "warm", NOW)])
    assert shell.caches.workers.waiting(pool) == 1
    deleted = shell.server.audiojobs.pop("song")
    deleted["metadata"]["resourceVersion"] = "99"
    shell.caches.intake.left(deleted)
    assert await shell.gatherer.known(ME) is None
    assert shell.caches.workers.waiting(pool) == 0
