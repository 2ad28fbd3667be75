"""What a worker does next: a table of situations, and what reports and refusals follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audiojob_runner.worker import deciding
from audiojob_runner.worker.deciding import (
    Begin,
    Cancel,
    Drop,
    End,
    Fetch,
    Kill,
    Refuse,
    Report,
    Step,
    Wait,
    next_step,
    note,
)
from audiojob_runner.worker.state import AtWork, Ending, OrderHead, State, ToldPhase, Work
from audiojob_types.contract import Device, Outcome, PhaseResult
from audiojob_types.tasks import Task

NOW = 1_000.0
FAILED = PhaseResult(outcome=Outcome.FAILED)
A = ToldPhase(namespace="demo", job="a", uid="ua", phase="work", attempt=1, task=Task("Simulate"), device=Device.CPU)
B = A.model_copy(update={"job": "b", "uid": "ub"})
IDLE = State(began=NOW - 30, idle_since=NOW - 5, work=Work.FREE)


def order(*told: ToldPhase, **terms: Any) -> OrderHead:
    return OrderHead(pool="songs", tasks=(Task("Simulate"),), told=told, **terms)


def at_work(told: ToldPhase = A, asked: float | None = None, **changes: Any) -> State:
    return replace(IDLE, at_work=AtWork(told, asked=asked), **changes)


def ended(*endings: Ending, **changes: Any) -> State:
    return replace(IDLE, ended=endings, **changes)


def ending(told: ToldPhase = A, *, due: float = NOW, **changes: Any) -> Ending:
    return replace(Ending(told, 1, FAILED, ended=NOW, due=due), **changes)


SENT = ending(settled=True, reported=True)

SITUATIONS: dict[str, tuple[State, OrderHead | None, type[Step]]] = {
    "nothing valid was told yet": (IDLE, None, Wait),
    "nothing valid was told for long": (replace(IDLE, began=NOW - 600), None, End),
    "nothing to do": (IDLE, order(), Wait),
    "a phase is told": (IDLE, order(A), Begin),
    "one works": (at_work(), order(A), Wait),
    "one works, another is to come": (at_work(), order(A, B), Fetch),
    "one works, the other's inputs are fetched": (at_work(ahead=B.identity), order(A, B), Wait),
    "one works, the other was taken back": (at_work(ahead=B.identity), order(A), Drop),
    "one works, the one to come may not run here": (
        at_work(),
        order(A, B.model_copy(update={"task": Task("Download")})),
        Wait,
    ),
    "one works, the other has ended": (at_work(B, ended=(SENT,)), order(A, B), Wait),
    "the one whose inputs are fetched begins": (ended(SENT, ahead=B.identity), order(A, B), Begin),
    "one has ended and is reported, the other begins": (ended(SENT), order(A, B), Begin),
    "one has ended and is not reported": (ended(ending()), order(A, B), Report),
    "its report was refused a moment ago: the other begins": (ended(ending(due=NOW + 1)), order(A, B), Begin),
    "a report is due while the other works": (at_work(B, ended=(ending(),)), order(A, B), Report),
    "the one at work is not told any more": (at_work(), order(B), Cancel),
    "it was asked to end and has time": (at_work(asked=NOW - 19), order(), Wait),
    "it was asked to end and did not": (at_work(asked=NOW - 20), order(), Kill),
    "it was killed and is not gone yet": (
        replace(IDLE, at_work=AtWork(A, asked=NOW - 30, killed=True)),
        order(),
        Wait,
    ),
    "the same phase, attempt 2": (ended(SENT), order(A.model_copy(update={"attempt": 2})), Begin),
    "all has ended and is known": (ended(SENT), order(A), Wait),
    "drain, with a phase to come": (IDLE, order(A, drain=True), Begin),
    "drain, with a report to come": (ended(ending(due=NOW + 1)), order(A, drain=True), Wait),
    "drain, all done": (ended(SENT), order(A, drain=True), End),
    "enough phases, though another is told": (replace(IDLE, phases=100), order(A), End),
    "enough phases, and a report is to come": (ended(ending(due=NOW + 1), phases=100), order(A, B), Wait),
    "one works, and is the last": (at_work(phases=99), order(A, B), Wait),
    "one works, and another may come": (at_work(phases=98), order(A, B), Fetch),
    "too old, though another is told": (ended(SENT, phases=1), order(A, B, max_age_seconds=30), End),
    "too old before its first phase": (IDLE, order(A, max_age_seconds=30), Begin),
    "enough phases": (replace(IDLE, phases=100), order(), End),
    "too old": (IDLE, order(max_age_seconds=30), End),
    "idle for its time": (replace(IDLE, idle_since=NOW - 60), order(), End),
    "idle for ever, as its pool says": (replace(IDLE, idle_since=NOW - 9_000), order(idle_seconds=None), Wait),
    "stopped, idle": (replace(IDLE, stopping=NOW), order(A), End),
    "stopped before it was told anything": (replace(IDLE, stopping=NOW), None, End),
    "stopped, one works": (at_work(stopping=NOW), order(A), Cancel),
    "stopped, one ends": (at_work(asked=NOW, stopping=NOW), order(A), Wait),
    "stopped, its report is refused for now": (ended(ending(due=NOW + 1), stopping=NOW), order(A), Wait),
    "stopped, and no time is left": (ended(ending(due=NOW + 1), stopping=NOW - 25), order(A), End),
    "a phase is told, but work still loads": (replace(IDLE, work=Work.STARTING), order(A), Wait),
    "work still loads, longer than a worker may be idle": (
        replace(IDLE, work=Work.STARTING, idle_since=NOW - 100),
        order(),
        Wait,
    ),
    "work is gone, one works": (at_work(work=Work.GONE), order(A), Cancel),
    "work is gone, one ends": (at_work(asked=NOW, work=Work.GONE), order(A), Wait),
    "work is gone, one does not end": (at_work(asked=NOW - 20, work=Work.GONE), order(A), Kill),
    "work is gone, a report is to come": (ended(ending(due=NOW + 1), work=Work.GONE), order(A, B), Wait),
    "work is gone, another is told": (ended(SENT, work=Work.GONE), order(A, B), End),
    "work is not clear": (ended(SENT, work=Work.UNCLEAR), order(A, B), End),
    "work did not start, nothing was told": (replace(IDLE, work=Work.GONE), None, End),
    "a task that the pool does not serve": (IDLE, order(A.model_copy(update={"task": Task("Download")})), Refuse),
    "a phase for the other device": (IDLE, order(A.model_copy(update={"device": Device.GPU})), Refuse),
    "a phase that is to wait for its inputs": (IDLE, order(A.model_copy(update={"early": True})), Refuse),
    "what no worker may run, whatever the pool says": (
        IDLE,
        order(A.model_copy(update={"task": Task("Container")})).model_copy(
            update={"tasks": (Task("Container"),)}
        ),
        Refuse,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("state", "told", "step"), SITUATIONS.values(), ids=SITUATIONS.keys())
def test_next_step(state: State, told: OrderHead | None, step: type[Step]) -> None:
    assert isinstance(next_step(note(state, told, NOW), told, NOW), step)


def test_a_phase_told_again_after_it_ended_is_reported_again_and_not_run() -> None:
    dropped = note(ended(SENT), order(), NOW)
    assert isinstance(next_step(dropped, order(), NOW), Wait)

    again = note(dropped, order(A), NOW + 1)

    step = next_step(again, order(A), NOW + 1)
    assert isinstance(step, Report)
    assert (step.ending.told, step.ending.tries) == (A, 0)


def test_a_report_that_nobody_waits_for_is_not_sent() -> None:
    assert isinstance(next_step(note(ended(ending()), order(), NOW), order(), NOW), Wait)


def test_endings_of_the_past_are_few_and_those_that_are_told_stay() -> None:
    state = ended(ending(B, due=NOW + 60))
    for number in range(100):
        told = A.model_copy(update={"uid": f"u{number}"})
        state = note(deciding.with_ending(state, told, 0, FAILED, NOW), order(B), NOW)

    assert len(state.ended) <= deciding.REMEMBERED + 2
    assert state.ended[0].told == B
    assert state.phases == 100


def test_a_refusal_names_what_to_change() -> None:
    error = deciding.refusal(A, order().model_copy(update={"tasks": (Task("Separate"), Task("Transcribe"))}))

    assert error is not None
    assert error.exit_code == 64
    assert error.message == "The pool songs serves Separate, Transcribe, not Simulate."
    assert error.suggestion == "Let the phase run in a pod of its own, or change tasks of the pool."


LOST: dict[str, tuple[Work, int, bool, int]] = {
    "it failed as work went: the pod's status says why": (Work.GONE, 75, False, 0),
    "it had published all before work went": (Work.GONE, 0, False, 1),
    "it failed by itself, and left what cannot be removed": (Work.UNCLEAR, 75, False, 1),
    "it was taken back": (Work.FREE, 143, True, 0),
}


@pytest.mark.parametrize(("work", "code", "taken_back", "told"), LOST.values(), ids=LOST.keys())
def test_nobody_is_told_of_an_end_that_says_nothing(work: Work, code: int, taken_back: bool, told: int) -> None:
    state = replace(IDLE, at_work=AtWork(A, taken_back=taken_back), work=work, lost="The container work has ended")
    found = deciding.with_end_of_work(state, code, FAILED, NOW)

    assert (found.at_work, len(found.ended), found.phases) == (None, told, 1)
    named = "The container work has ended while phase work of demo/a, attempt 1, was at work"
    assert (found.lost == named) is (work is Work.GONE and code != 0)
