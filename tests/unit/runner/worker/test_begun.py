"""Asking whether a phase may begin: what ends the asking, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase.report import Answer
from audiojob_runner.worker.begun import ask_to_begin
from audiojob_types.contract import PhaseInput
from audiojob_types.tasks import Task

PHASE = PhaseInput(
    job="song", namespace="music", uid="u", phase="one", attempt=2, task=Task.SIMULATE, output_prefix="m"
)
ASK = {"status": {"progress": {"one": {"attempt": 2, "percent": 0, "begun": True}}}}


class Server:
    """Gives these answers, one for each ask; each takes ten seconds."""

    def __init__(self, *answers: int) -> None:
        self.answers: Iterator[int] = iter(answers)
        self.asked: list[Mapping[str, Any]] = []
        self.now = 0.0

    def patch(self, body: Mapping[str, Any]) -> Answer:
        self.asked.append(body)
        self.now += 10
        return Answer(next(self.answers), {})


Asks = Callable[[Server], None]


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> Asks:
    def ask(server: Server) -> None:
        monkeypatch.setattr("time.monotonic", lambda: server.now)
        monkeypatch.setattr("signal.sigtimedwait", lambda *_: None)
        ask_to_begin(server, PHASE, ())

    return ask


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([200], id="it is taken"),
        pytest.param([403, 403, 409, 200], id="the record is seen a moment later"),
        pytest.param([0] * 20 + [403, 200], id="the API server is away for minutes"),
        pytest.param([403] * 5 + [503] + [403] * 5 + [200], id="it is away in between"),
    ],
)
def test_it_begins_once_the_report_is_taken(asks: Asks, answers: list[int]) -> None:
    server = Server(*answers)
    asks(server)
    assert server.asked == [ASK] * len(answers)


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        pytest.param([403] * 20, 6, id="it is refused for a minute"),
        pytest.param([0] * 10 + [403] * 20, 16, id="it is refused for a minute once the API server is back"),
        pytest.param([404], 1, id="the AudioJob is gone"),
    ],
)
def test_it_gives_up(asks: Asks, answers: list[int], asked: int) -> None:
    server = Server(*answers)
    with pytest.raises(PhaseError, match="did not begin"):
        asks(server)
    assert len(server.asked) == asked
