"""Rows of the fault table about the operator's process: killed before a write, told to stop in one, paused."""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

from tests.integration.operator.conftest import Space
from tests.integration.operator.faults.test_kill import WRITES as WRITES_OF_ONE_JOB
from tests.support.faults.plan import WRITES, Act, Call, Delay, Hold, Match, Plan, Rule, Verb, on
from tests.support.faults.proxy import FaultProxy
from tests.support.faults.rows import make_spaces, operating, until_decides
from tests.support.manypods import ManyPods
from tests.support.operator_process import OperatorProcess

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until

_QUICK_LEASE = {
    "AUDIOJOB_LEASE__DURATION_SECONDS": "3",
    "AUDIOJOB_LEASE__RENEW_DEADLINE_SECONDS": "2",
    "AUDIOJOB_LEASE__RETRY_SECONDS": "0.5",
}


def test_F2_a_kill_right_before_each_write_loses_nothing_and_doubles_nothing(
    controllers: LocalApiServer, tmp_path: Path
) -> None:
    """One namespace for each write k; the operator dies in the k-th one before its k-th write is heard."""
    names = [f"F2-{number}" for number in range(1, WRITES_OF_ONE_JOB + 1)]
    spaces = make_spaces(controllers, names)
    with operating(controllers, tmp_path, spaces) as rows:
        kill = Act(lambda: rows.operator.send(signal.SIGKILL))
        for number, row in enumerate(names):
            match = Match(WRITES, namespace=spaces[row].namespace)
            rows.proxy.follow(Plan((Rule(match, kill, skip=number, count=1),)))
            spaces[row].submit("song")
            assert rows.operator.wait(30) == -signal.SIGKILL, rows.story()
            rows.operator.start()
        until_decides(rows, len(names) + 1)
        for row in names:
            status = rows.finished(row, "song")
            assert status["state"] == "Succeeded", rows.story()
            assert [phase["attempt"] for phase in status["phases"]] == [1, 1]
            assert set(rows.jobs_created(row).values()) == {1}, row
            assert set(rows.attempts(row).values()) == {1}, row


def test_F3_told_to_stop_in_a_write_it_ends_in_time_and_leaves_no_half_status(
    controllers: LocalApiServer, tmp_path: Path
) -> None:
    spaces = make_spaces(controllers, ["F3"])
    slow = Delay(4)
    patches = on(Verb.PATCH, resource="audiojobs", subresource="status")
    with operating(controllers, tmp_path, spaces, [Rule(patches, slow, count=1)]) as rows:
        spaces["F3"].submit("song")
        wait_until("a status patch to be under way", lambda: bool(rows.proxy.record.faults), seconds=60)
        rows.operator.send(signal.SIGTERM)
        assert rows.operator.wait(30) == 0, rows.story()
        status = spaces["F3"].job("song")["status"]
        assert status == {"state": "Pending", "percent": 0, "message": "Waiting for the operator"}
        rows.operator.start()
        assert rows.finished("F3", "song")["state"] == "Succeeded", rows.story()
        assert set(rows.jobs_created("F3").values()) == {1}
        assert "Traceback" not in rows.log.read_text()


def test_F8_an_operator_that_wakes_after_its_successor_worked_changes_nothing(
    controllers: LocalApiServer, space: Space, tmp_path: Path
) -> None:
    """Its write from before reaches the server after the successor finished the job: the patch's tests refuse it."""
    gate = threading.Event()
    patches = on(Verb.PATCH, resource="audiojobs", namespace=space.namespace, subresource="status")
    settings = {**_QUICK_LEASE, "AUDIOJOB_LEASE__NAME": space.namespace}
    with FaultProxy(controllers) as first_proxy, FaultProxy(controllers) as second_proxy:
        first_proxy.begin(plan=Plan((Rule(patches, Hold(gate), count=1),)))
        first = OperatorProcess(
            first_proxy.write_kubeconfig(tmp_path / "config-1"),
            [space.namespace],
            tmp_path / "log-1",
            AUDIOJOB_LEASE__IDENTITY="first",
            **settings,
        )
        second = OperatorProcess(
            second_proxy.write_kubeconfig(tmp_path / "config-2"),
            [space.namespace],
            tmp_path / "log-2",
            AUDIOJOB_LEASE__IDENTITY="second",
            **settings,
        )
        with first, ManyPods(space.rest, [space.namespace]) as pods:
            space.submit("song")
            wait_until("a patch to be under way", lambda: bool(first_proxy.record.faults), seconds=60)
            first.send(signal.SIGSTOP)
            try:
                with second:
                    done = space.finished("song", seconds=40, story=second.story)
                    gate.set()  # the stale write arrives
                    wait_until("its answer", lambda: 422 in patched(first_proxy), seconds=60)
                    first.send(signal.SIGCONT)
                    assert first.wait(60) == 1, first.story()
                    time.sleep(0.5)  # what must not come has no state to wait for
                    assert space.job("song")["status"] == done["status"]
            finally:
                first.send(signal.SIGCONT)
        assert done["status"]["state"] == "Succeeded"
        assert len(pods.seen) == 2


def patched(proxy: FaultProxy) -> list[int]:
    """The server's answers to status patches."""
    return [w.status for w in proxy.record.writes if w.method == "PATCH" and Call.of("PATCH", w.path, {}).subresource]


def test_F1_a_job_that_failed_before_its_start_was_recorded_was_let_in(
    controllers: LocalApiServer, tmp_path: Path
) -> None:
    spaces = make_spaces(controllers, ["F1"])
    patches = on(Verb.PATCH, resource="audiojobs", subresource="status")
    with operating(controllers, tmp_path, spaces) as rows:
        kill = Act(lambda: rows.operator.send(signal.SIGKILL))
        rows.proxy.follow(Plan((Rule(patches, kill, count=1),)))
        spaces["F1"].submit("hopeless")
        assert rows.operator.wait(30) == -signal.SIGKILL, rows.story()
        wait_until("its pod to have failed", lambda: bool(rows.attempts("F1")), seconds=60)
        rows.operator.start()
        status = rows.finished("F1", "hopeless")
        assert status["error"]["reason"] == "NotMedia", rows.story()
        admitted = next(one["status"] for one in status["conditions"] if one["type"] == "Admitted")
        assert admitted == "True"
