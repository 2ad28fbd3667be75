"""SIGKILL after each write: the end is as if nothing had happened, and no work is done twice.

A real operator process, a real API server and Job controller; pods are played. One run for each write of the
undisturbed run, whose answer is lost. A kill after the answer is one before the next write: row F2.
"""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.operator.conftest import Space, make_space
from tests.support.faults.proxy import FaultProxy, Strike, Write
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import PodRunner

from audiojob_dev.cluster.apiserver import LocalApiServer

# Of an undisturbed job of two phases: one revision, two Jobs, two events, three status patches.
WRITES = 8
NAME = "song"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True)
class End:
    """What a run left behind, without times and random parts."""

    status: Any
    jobs: Counter[str]
    events: Counter[tuple[str, str]]
    revisions: int


def observe(space: Space) -> End:
    """The end state of the one job in ``space``."""
    job = space.job(NAME)
    revisions = space.rest.request("GET", f"/apis/apps/v1/namespaces/{space.namespace}/controllerrevisions")["items"]
    return End(
        status=masked(job["status"], job["metadata"]["uid"], space.namespace),
        jobs=Counter(child["metadata"]["name"][:-9] for child in space.batch_jobs()),
        events=Counter((event["reason"], masked(event["message"], "", space.namespace)) for event in space.events()),
        revisions=len(revisions),
    )


def masked(value: Any, uid: str, namespace: str) -> Any:
    """``value`` with times, uids, hashes of uids and the namespace replaced."""
    text = json.dumps(value, sort_keys=True)
    if uid:
        text = text.replace(uid, "UID")
    text = _TIME.sub("TIME", text.replace(namespace, "NAMESPACE"))
    text = re.sub(r"-[0-9a-f]{8}(?![0-9a-z])", "-HASH", text)
    return json.loads(re.sub(r"NAMESPACE-[0-9a-f]{10}", "REVISION", text))


def assert_nothing_was_done_twice(writes: list[Write], pods: PodRunner) -> None:
    """Every Job was created once, and every attempt of a phase had one pod."""
    created = Counter(write.name for write in writes if write.path.endswith("/jobs") and write.status == 201)
    assert set(created.values()) == {1}, created
    attempts = Counter((phase.phase, phase.attempt) for phase in pods.seen.values())
    assert attempts == Counter({("one", 1): 1, ("two", 1): 1})


@pytest.fixture(scope="module")
def undisturbed(
    controllers: LocalApiServer, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory
) -> tuple[End, list[Write]]:
    """The reference run: its end and its writes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    space = make_space(controllers)
    proxy.begin()
    operator = OperatorProcess(proxy.write_kubeconfig(folder / "kubeconfig"), [space.namespace], folder / "log")
    with PodRunner(controllers.rest, space.namespace), operator:
        space.submit(NAME)
        job = space.finished(NAME, story=operator.story)
    assert job["status"]["state"] == "Succeeded", job["status"]
    return observe(space), proxy.record.writes_to(space.namespace)


def test_the_undisturbed_run_has_as_many_writes_as_there_are_runs_below(undisturbed: tuple[End, list[Write]]) -> None:
    _, writes = undisturbed
    kinds = Counter((write.method, write.path.rsplit("/", 1)[1]) for write in writes)
    assert kinds == {
        ("POST", "controllerrevisions"): 1,
        ("POST", "jobs"): 2,
        ("POST", "events"): 2,
        ("PATCH", "status"): 3,
    }, [(write.method, write.path, write.name, write.status) for write in writes]
    assert len(writes) == WRITES


@pytest.mark.parametrize("number", range(1, WRITES + 1), ids=lambda number: f"after write {number}")
def test_a_killed_operator_goes_on_where_it_was(
    space: Space,
    proxy: FaultProxy,
    tmp_path: Path,
    undisturbed: tuple[End, list[Write]],
    number: int,
) -> None:
    operator = OperatorProcess(proxy.write_kubeconfig(tmp_path / "config"), [space.namespace], tmp_path / "log")
    with PodRunner(space.rest, space.namespace) as pods, operator:
        proxy.begin(Strike(space.namespace, number, answered=False, act=lambda: operator.send(signal.SIGKILL)))
        space.submit(NAME)
        assert operator.wait(30) == -signal.SIGKILL, operator.story()
        before = proxy.record.writes_to(space.namespace)
        assert len(before) >= number
        proxy.begin()
        operator.start()
        space.finished(NAME, story=operator.story)
    assert observe(space) == undisturbed[0]
    assert_nothing_was_done_twice([*before, *proxy.record.writes_to(space.namespace)], pods)
