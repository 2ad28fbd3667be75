from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from audiojob_runner.phase import report
from audiojob_runner.phase.progress import Progress
from audiojob_runner.phase.report import Answer, Reporter, Verdict, judge, overall, report_body
from audiojob_types.contract import PhaseInput

PHASE = PhaseInput.model_validate(
    {
        "job": "song",
        "namespace": "demo",
        "uid": "u",
        "phase": "work",
        "attempt": 2,
        "task": "Simulate",
        "outputPrefix": "demo/u/work",
        "progress": {
            "weights": {"before": 10, "work": 70, "after": 20},
            "done": ["before"],
            "minIntervalMilliseconds": 0,
        },
    }
)


@pytest.mark.parametrize(
    ("status", "call", "interval", "refused", "expected"),
    [
        pytest.param(200, 0.01, 0.0, 0.0, Verdict(1.0, again=False, silent=False), id="at most one a second"),
        pytest.param(
            200, 0.01, 5.0, 0.0, Verdict(5.0, again=False, silent=False), id="not more often than the operator wants"
        ),
        pytest.param(
            200,
            0.5,
            5.0,
            0.0,
            Verdict(10.0, again=False, silent=False),
            id="a twentieth of the time at most is spent in calls",
        ),
        pytest.param(
            403, 0.01, 0.0, 0.0, Verdict(1.0, again=True, silent=False), id="refused: perhaps not recorded yet"
        ),
        pytest.param(403, 0.01, 0.0, 59.9, Verdict(1.0, again=True, silent=False), id="refused for nearly a minute"),
        pytest.param(403, 0.01, 0.0, 60.0, Verdict(1.0, again=True, silent=True), id="refused for a minute"),
        pytest.param(429, 0.01, 0.0, 0.0, Verdict(1.0, again=True, silent=False), id="too many requests"),
        pytest.param(
            422, 0.01, 0.0, 0.0, Verdict(1.0, again=False, silent=False), id="malformed: this report is dropped"
        ),
        pytest.param(404, 0.01, 0.0, 0.0, Verdict(1.0, again=False, silent=False), id="the AudioJob is gone"),
        pytest.param(500, 0.01, 0.0, 0.0, Verdict(5.0, again=False, silent=False), id="the server fails"),
        pytest.param(0, 0.01, 0.0, 0.0, Verdict(5.0, again=False, silent=False), id="there is no answer"),
    ],
)
def test_the_pace_after_an_answer(status: int, call: float, interval: float, refused: float, expected: Verdict) -> None:
    assert judge(Answer(status, {}), call, interval, refused) == expected


def test_a_server_that_says_when_to_come_again_is_heeded() -> None:
    assert judge(Answer(429, {}, "", 30.0), 0.01, 1.0, 0.0).pause == 30.0


@pytest.mark.parametrize(
    ("percent", "status", "expected"),
    [
        pytest.param(0, {}, 10, id="the phases that are done"),
        pytest.param(50, {"percent": 10}, 45, id="and half of this one"),
        pytest.param(50, {"percent": 60}, 60, id="never back"),
        pytest.param(100, {"percent": 10}, 80, id="the whole of it"),
        pytest.param(100, {"progress": {"after": {"percent": 100}}}, 99, id="the last percent is the operator's"),
        pytest.param(50, {"progress": {"after": {"percent": 50}}}, 55, id="and what other phases say of themselves"),
        pytest.param(50, {"progress": {"work": {"percent": 90}, "before": None}}, 45, id="but not of this one"),
    ],
)
def test_the_jobs_percent(percent: int, status: dict[str, Any], expected: int) -> None:
    assert overall(PHASE, percent, status) == expected


@pytest.mark.parametrize(
    ("status", "node", "expected"),
    [
        pytest.param(None, "node-7", "node-7", id="with the first report"),
        pytest.param({"phase": PHASE.phase}, "node-7", "node-7", id="while its phase is the current one"),
        pytest.param({"phase": "before"}, "node-7", None, id="not beside an earlier phase that runs, too"),
        pytest.param(None, "", None, id="not where the operator does not name it"),
    ],
)
def test_the_node_is_reported(status: dict[str, Any] | None, node: str, expected: str | None) -> None:
    body = report_body(PHASE, Progress(50, "working"), status, datetime.now(UTC), node)
    assert body["status"].get("nodeName") == expected


class ScriptedTarget:
    """Answers as told, the last answer for ever; keeps what came and when."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.bodies: list[Mapping[str, Any]] = []
        self.times: list[float] = []
        self.came = threading.Event()

    def patch(self, body: Mapping[str, Any]) -> Answer:
        self.bodies.append(body["status"])
        self.times.append(time.monotonic())
        self.came.set()
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules at twenty times the pace."""
    monkeypatch.setattr(report, "MIN_SECONDS", 0.05)


@pytest.mark.usefixtures("quick")
def test_many_updates_make_few_reports_and_the_last_is_among_them() -> None:
    target = ScriptedTarget(Answer(200, {"status": {"percent": 30}}))
    began = time.monotonic()  # before the reporter, which counts from its own beginning
    reporter = Reporter(target, PHASE)

    for step in range(300):
        reporter.update(Progress(step // 3, "working", 5))
        time.sleep(0.001)
    reporter.update(Progress(100, "Done"))
    reporter.close(60)

    assert len(target.bodies) <= (time.monotonic() - began) / 0.05 + 1, "one in each interval, and the last"
    gaps = [later - earlier for earlier, later in zip(target.times[:-2], target.times[1:-1], strict=True)]
    assert all(gap >= 0.049 for gap in gaps)
    last = target.bodies[-1]["progress"]["work"]
    assert (last["percent"], last["message"], last["attempt"], last["etaSeconds"]) == (100, "Done", 2, None)


@pytest.mark.usefixtures("quick")
def test_the_jobs_percent_is_sent_only_once_an_answer_has_told_the_old_one() -> None:
    target = ScriptedTarget(Answer(200, {"status": {"percent": 60}}))
    reporter = Reporter(target, PHASE)
    reporter.update(Progress(1, "a"))
    assert target.came.wait(60)
    reporter.update(Progress(2, "b"))
    reporter.close(60)

    assert [body.get("percent") for body in target.bodies] == [None, 60]


@pytest.mark.usefixtures("quick")
def test_a_report_whose_percent_is_out_of_date_goes_without_it() -> None:
    target = ScriptedTarget(Answer(200, {"status": {"percent": 10}}), Answer(422, {}), Answer(200, {}))
    reporter = Reporter(target, PHASE)
    reporter.update(Progress(1, "a"))
    assert target.came.wait(60)
    reporter.update(Progress(2, "b"))
    reporter.close(60)

    assert [("percent" in body, body["progress"]["work"]["percent"]) for body in target.bodies] == [
        (False, 1),
        (True, 2),
        (False, 2),
    ]


@pytest.mark.usefixtures("quick")
def test_a_refused_report_is_sent_again_and_nothing_is_sent_twice_otherwise() -> None:
    target = ScriptedTarget(Answer(403, {}), Answer(403, {}), Answer(200, {}))
    reporter = Reporter(target, PHASE)
    reporter.update(Progress(5, "working"))
    deadline = time.monotonic() + 60
    while len(target.bodies) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    reporter.update(Progress(5, "working", eta_seconds=77))
    reporter.close(60)

    assert len(target.bodies) == 3


@pytest.mark.usefixtures("quick")
def test_a_dropped_report_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "FAILED_SECONDS", 0.05)
    target = ScriptedTarget(Answer(422, {}, "no such field"))
    reporter = Reporter(target, PHASE)
    reporter.update(Progress(5, "working"))
    assert target.came.wait(60)
    reporter.close(60)

    assert len(target.bodies) == 1


def test_closing_without_news_sends_nothing_and_returns_at_once() -> None:
    target = ScriptedTarget(Answer(200, {}))
    reporter = Reporter(target, PHASE)
    began = time.monotonic()

    reporter.close(60)

    assert (target.bodies, time.monotonic() - began < 60) == ([], True)


@pytest.mark.usefixtures("quick")
def test_closing_gives_up_in_its_time_while_reports_are_refused() -> None:
    target = ScriptedTarget(Answer(403, {}))
    reporter = Reporter(target, PHASE)
    reporter.update(Progress(100, "Done"))

    reporter.close(0.3)  # reports are refused for as long as it tries

    assert target.bodies
