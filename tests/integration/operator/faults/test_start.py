"""Rows of the fault table about an operator that starts: with lists from the past, and with many jobs in its queue."""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.operator.conftest import Space, make_space
from tests.support.faults.plan import Delay, Plan, Rule, StaleList, Verb, on
from tests.support.faults.rows import make_spaces, operating, start, stop
from tests.support.manypods import finish_pod

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until

QUEUED = 60
AT_ONCE = 3
LOOKED_AT = 12


def test_F17_lists_from_the_past_delete_nothing_and_double_nothing(controllers: LocalApiServer, tmp_path: Path) -> None:
    spaces = make_spaces(controllers, ["F17"])
    space = spaces["F17"]
    stale = Rule(on(Verb.LIST), StaleList())
    late = Rule(on(Verb.WATCH), Delay(1.5))  # decisions come before the truth does
    with operating(controllers, tmp_path, spaces) as rows:
        space.submit("stays")
        rows.until_running("F17", "stays")
        stop(rows)
        rows.proxy.forget_lists("audiojobs")
        # Jobs and pods as before the first one; the AudioJob as it is.
        rows.proxy.follow(Plan((stale, late)))
        start(rows)
        wait_until("a look at the job", lambda: 'reconciles_total{result="ok"}' in rows.metrics(), seconds=60)
        assert rows.jobs_created("F17").total() == 1
        finish_pod(space.rest, rows.pod_of("F17", "stays"))
        rows.until_running("F17", "stays", "two")
        second = rows.pod_of("F17", "stays", "two")
        stop(rows)
        # Now the AudioJob too, as it was in phase one; nothing is known of phase two.
        rows.proxy.follow(Plan((stale, late)))
        start(rows)
        finish_pod(space.rest, second)
        status = rows.finished("F17", "stays")
        assert status["state"] == "Succeeded", rows.story()
        assert [phase["attempt"] for phase in status["phases"]] == [1, 1]
        assert set(rows.jobs_created("F17").values()) == {1}
        assert not [call for _, call in rows.calls("F17") if call.verb is Verb.DELETE], rows.story()


def test_F49_a_restart_with_many_queued_jobs_starts_work_soon_and_exceeds_no_limit(
    controllers: LocalApiServer, tmp_path: Path
) -> None:
    space = make_space(controllers)
    with operating(
        controllers, tmp_path, {"F49": space}, settings={"AUDIOJOB_CAPACITY__MAX_RUNNING": str(AT_ONCE)}
    ) as rows:
        for number in range(AT_ONCE):
            space.submit(f"stays-{number}")
        for number in range(AT_ONCE):
            rows.until_running("F49", f"stays-{number}")
        for number in range(QUEUED):
            space.submit(f"song-{number}")
        pods = [rows.pod_of("F49", f"stays-{number}") for number in range(AT_ONCE)]
        stop(rows)
        for pod in pods:  # slots become free while nobody looks
            finish_pod(space.rest, pod)
        before = set(rows.jobs_created("F49"))
        rows.operator.start()
        wait_until("the first new start", lambda: bool(set(rows.jobs_created("F49")) - before), seconds=60)
        for number in range(AT_ONCE):
            finish_pod(space.rest, rows.pod_of("F49", f"stays-{number}", "two"))
        most = most_running_until(space, done=LOOKED_AT)
        assert 0 < most <= AT_ONCE, rows.story()
        assert set(rows.jobs_created("F49").values()) == {1}


def most_running_until(space: Space, done: int) -> int:
    """Look until so many jobs have ended; the largest number that had started and not ended at one look."""
    most, deadline = 0, time.monotonic() + 60
    while True:
        states = [job["status"] for job in space.rest.request("GET", space.jobs_path)["items"]]
        live = [one for one in states if one["state"] not in ("Succeeded", "Failed", "Cancelled")]
        most = max(most, sum(any(phase.get("attempt") for phase in one.get("phases", ())) for one in live))
        if len(states) - len(live) >= done:
            return most
        assert time.monotonic() < deadline, f"{len(live)} of {len(states)} jobs have not ended"
        time.sleep(0.1)
