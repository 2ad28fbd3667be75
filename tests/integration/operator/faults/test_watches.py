"""Rows of the fault table about watches: ended as too old, silent, doubled and out of order; and about a wrong clock.

Each row has an operator of its own, because AudioJobs are watched cluster-wide.
"""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.faults.plan import Duplicate, Expire, Freeze, Reorder, Rule, Verb, on
from tests.support.faults.rows import make_spaces, operating

from audiojob_dev.cluster.apiserver import LocalApiServer

PATIENCE = 3
NAMES = [f"song-{number}" for number in range(4)]
ODD = "tests.support.odd_operator"


def test_F15_watches_that_end_as_too_old_miss_nothing(controllers: LocalApiServer, tmp_path: Path) -> None:
    fault = Expire(events=1)
    rules = [Rule(on(Verb.WATCH), fault)]
    with operating(controllers, tmp_path, make_spaces(controllers, ["F15"]), rules) as rows:
        for name in NAMES:
            rows["F15"].submit(name)
        done = [rows.finished("F15", name) for name in NAMES]
        expired = {call.resource for call, made in rows.proxy.record.faults if made is fault}
        assert {"audiojobs", "jobs", "pods"} <= expired, rows.story()
        assert {status["state"] for status in done} == {"Succeeded"}, rows.story()
        assert set(rows.attempts("F15").values()) == {1}
        assert set(rows.jobs_created("F15").values()) == {1}


def test_F16_silent_watches_are_replaced_in_time(controllers: LocalApiServer, tmp_path: Path) -> None:
    spaces = make_spaces(controllers, ["F16"])
    frozen = Freeze(events=2)
    # Jobs and pods go silent for good; so does the watch of AudioJobs. The one after each works.
    rules = [Rule(on(Verb.WATCH, resource=resource), frozen, count=1) for resource in ("audiojobs", "jobs", "pods")]
    silence = {"AUDIOJOB_WATCH__SILENCE_SECONDS": str(PATIENCE)}
    with operating(controllers, tmp_path, spaces, rules, settings=silence) as rows:
        began = time.monotonic()
        for name in NAMES:
            rows["F16"].submit(name)
        done = [rows.finished("F16", name) for name in NAMES]
        assert {status["state"] for status in done} == {"Succeeded"}, rows.story()
        silent = {call.resource for call, made in rows.proxy.record.faults if made is frozen}
        assert silent == {"audiojobs", "jobs", "pods"}, rows.story()
        assert time.monotonic() - began >= PATIENCE / 2, "they were noticed by their silence"
        assert set(rows.attempts("F16").values()) == {1}


def test_F19_events_that_come_twice_and_out_of_order_change_nothing(
    controllers: LocalApiServer, tmp_path: Path
) -> None:
    rules = [Rule(on(Verb.WATCH), Duplicate()), Rule(on(Verb.WATCH), Reorder(probability=0.5))]
    spaces = make_spaces(controllers, ["F19"])
    seen: dict[str, list[tuple[int, ...]]] = {name: [] for name in NAMES}
    with operating(controllers, tmp_path, spaces, rules) as rows:
        space = rows["F19"]
        for name in NAMES:
            space.submit(name)

        def observe(name: str) -> bool:
            status = space.job(name)["status"]
            seen[name].append(tuple(phase["attempt"] for phase in status.get("phases", ())))
            return bool(status["state"] in ("Succeeded", "Failed", "Cancelled"))

        deadline = time.monotonic() + 40
        while sum(observe(name) for name in NAMES) < len(NAMES):
            assert time.monotonic() < deadline, rows.story()
            time.sleep(0.05)
        done = [rows.finished("F19", name) for name in NAMES]
        assert {status["state"] for status in done} == {"Succeeded"}, rows.story()
        assert set(rows.attempts("F19").values()) == {1}
        assert set(rows.jobs_created("F19").values()) == {1}
        assert all(attempts == sorted(attempts) for attempts in seen.values()), seen


@pytest.mark.parametrize("shift", [600, -600], ids=["ten minutes ahead", "ten minutes behind"])
def test_F44_an_operator_with_a_wrong_clock_finishes_its_work(
    controllers: LocalApiServer, tmp_path: Path, shift: int
) -> None:
    spaces = make_spaces(controllers, ["F44"])
    with operating(controllers, tmp_path, spaces, module=ODD, settings={"TEST_CLOCK_SHIFT": str(shift)}) as rows:
        rows["F44"].submit("song", activeDeadlineSeconds=120)
        rows["F44"].submit("once", activeDeadlineSeconds=120)
        for name, attempts in (("song", [1, 1]), ("once", [2, 2])):
            status = rows.finished("F44", name)
            assert status["state"] == "Succeeded", rows.story()
            assert [phase["attempt"] for phase in status["phases"]] == attempts
        assert set(rows.attempts("F44").values()) == {1}
