"""What a worker does next, as a function of what it is told, what it knows and the time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.worker.state import AtWork, Ending, Identity, OrderHead, State, ToldPhase, Work
from audiojob_types.contract import ExitCode, PhaseResult
from audiojob_types.descriptor import Served
from audiojob_types.reasons import Reason

# A worker that is never told anything valid holds memory, perhaps a GPU.
UNTOLD_SECONDS: Final = 600.0
# After a stop signal, for the phase's end and its report: within the 30 s that a pod has.
STOP_SECONDS: Final = 25.0
# Results are a few KB. A phase told again after more than these is done anew, and finds what it has published.
REMEMBERED: Final = 16


@dataclass(frozen=True, slots=True)
class Begin:
    """Fork a child for that phase."""

    told: ToldPhase


@dataclass(frozen=True, slots=True)
class Refuse:
    """The phase may not run here; ``error`` is its result."""

    told: ToldPhase
    error: PhaseError


@dataclass(frozen=True, slots=True)
class Fetch:
    """Fork a child for the phase to come, which fetches its inputs."""

    told: ToldPhase


@dataclass(frozen=True, slots=True)
class Drop:
    """End the child that fetches: its phase is not told any more."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask the child to end."""


@dataclass(frozen=True, slots=True)
class Kill:
    """End the child: it was asked and did not obey."""


@dataclass(frozen=True, slots=True)
class Report:
    """Send how that phase ended."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class End:
    """The worker ends."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for now."""


Step = Begin | Refuse | Fetch | Drop | Cancel | Kill | Report | End | Wait


def note(state: State, order: OrderHead | None, now: float) -> State:
    """The state after a look at the order."""
    if order is None:
        return state
    ended = tuple(_note_ending(each, order.tells(each.told.identity), now) for each in state.ended)
    busy = state.at_work is not None or _to_begin(state, order) is not None or state.work is Work.STARTING
    return replace(state, ended=ended, idle_since=now if busy else state.idle_since)


def _note_ending(ending: Ending, told: bool, now: float) -> Ending:
    if not told:
        # Taken back, or the operator has read the result: nobody waits for a report.
        return ending if ending.dropped else replace(ending, dropped=True, settled=True)
    if ending.dropped:
        return replace(ending, dropped=False, settled=False, reported=False, ended=now, due=now, tries=0)
    return ending


def next_step(state: State, order: OrderHead | None, now: float) -> Step:
    """The one thing to do now. The caller does it, changes the state, and asks again."""
    ends = state.stopping is not None or state.work.is_lost
    if state.at_work is not None:
        step = _interfere(state.at_work, order, ends, now)
        if step is not None:
            return step
    due = next((each for each in state.ended if not each.settled and now >= each.due), None)
    if due is not None:
        return Report(due)
    if ends:
        return _stop(state, now)
    if order is None:
        waited_in_vain = now - state.began >= UNTOLD_SECONDS
        return End(int(ExitCode.USAGE), "The worker was not told anything valid.") if waited_in_vain else Wait()
    if state.ahead is not None and not order.tells(state.ahead):
        return Drop()
    return _go_on(state, order, now) if state.at_work is None else _look_ahead(state, state.at_work, order, now)


def _look_ahead(state: State, at_work: AtWork, order: OrderHead, now: float) -> Step:
    """What a worker does beside a phase at work."""
    told = _to_begin(state, order, at_work.told.identity)
    wanted = state.ahead is None and told is not None and refusal(told, order) is None
    # This one takes no other after the phase at work.
    wanted = wanted and _is_used_up(replace(state, phases=state.phases + 1), order, now) is None
    return Fetch(told) if wanted and told is not None else Wait()


def _go_on(state: State, order: OrderHead, now: float) -> Step:
    """What a worker does that has no phase at work."""
    told = _to_begin(state, order)
    # The first phase is begun however long libraries have taken to load.
    if told is not None and not (state.phases and _is_used_up(state, order, now)):
        error = refusal(told, order)
        if error is not None:
            return Refuse(told, error)
        return Begin(told) if state.work is Work.FREE else Wait()
    if any(not each.settled for each in state.ended):
        return Wait()
    reason = _reason_to_end(state, order, now)
    return Wait() if reason is None else End(int(ExitCode.OK), reason)


def refusal(told: ToldPhase, order: OrderHead) -> PhaseError | None:
    """Why a worker of that pool must not run the phase, if so."""
    if told.task not in order.tasks:
        served = ", ".join(task.value for task in order.tasks)
        return _refused(f"The pool {order.pool} serves {served}, not {told.task.value}.", "tasks")
    if told.task.descriptor.served is Served.NEVER:
        return _refused(f"{told.task.value} needs what no worker has: it runs in a pod of its own.", "tasks")
    if told.device is not order.device:
        where = f"the phase is for the {told.device.value}, the pool {order.pool} for the {order.device.value}"
        return _refused(f"A worker cannot change its device: {where}.", "device")
    if told.early:
        return _refused("A worker is told a phase once its inputs are there; this one is to wait for them.", "told")
    return None


def _refused(message: str, field: str) -> PhaseError:
    return PhaseError(
        ExitCode.USAGE,
        Reason.INVALID_SPEC,
        message,
        f"Let the phase run in a pod of its own, or change {field} of the pool.",
    )


def _interfere(at_work: AtWork, order: OrderHead | None, ends: bool, now: float) -> Step | None:
    assert order is not None, "a phase was told by one"
    if at_work.asked is None:
        return Cancel() if ends or not order.tells(at_work.told.identity) else None
    return Kill() if not at_work.killed and now - at_work.asked >= order.grace_seconds else None


def _stop(state: State, now: float) -> Step:
    waits = state.at_work is not None or any(not each.settled for each in state.ended)
    if waits and (state.stopping is None or now - state.stopping < STOP_SECONDS):
        return Wait()
    if state.stopping is None:
        return End(int(ExitCode.TEMPORARY), f"{state.lost}.")
    return End(int(ExitCode.STOPPED), "The worker was stopped.")


def _to_begin(state: State, order: OrderHead, but: Identity | None = None) -> ToldPhase | None:
    """The first phase that is told and has not ended, but that one."""
    ended = {but, *(each.told.identity for each in state.ended)}
    return next((told for told in order.told if told.identity not in ended), None)


def _reason_to_end(state: State, order: OrderHead, now: float) -> str | None:
    """Why a worker without work ends."""
    if order.drain:
        return "The worker was told to drain."
    if (used_up := _is_used_up(state, order, now)) is not None:
        return used_up
    if order.idle_seconds is not None and now - state.idle_since >= order.idle_seconds:
        return f"The worker had nothing to do for {order.idle_seconds} seconds."
    return None


def _is_used_up(state: State, order: OrderHead, now: float) -> str | None:
    """Why a worker takes no phase any more, also none that it is told already: that one begins anew elsewhere."""
    if state.phases >= order.max_phases:
        return f"The worker has run {state.phases} phases."
    if order.max_age_seconds is not None and now - state.began >= order.max_age_seconds:
        return f"The worker is older than {order.max_age_seconds} seconds."
    return None


def with_ending(state: State, told: ToldPhase, exit_code: int, result: PhaseResult, now: float) -> State:
    """The state once the phase has ended so."""
    ending = Ending(told, exit_code, result, ended=now, due=now)
    kept = _remembered((*state.ended, ending))
    return replace(state, at_work=None, ended=kept, phases=state.phases + 1, idle_since=now)


def with_end_of_work(state: State, exit_code: int, result: PhaseResult, now: float) -> State:
    """The state once the phase at work has ended so.

    Nobody is told of one that was taken back, nor of one that failed as ``work`` went: why that went, the pod's status
    says better, and the operator reads it there.
    """
    assert state.at_work is not None
    told = state.at_work.told
    went = state.work is Work.GONE and exit_code != ExitCode.OK
    if not (state.at_work.taken_back or went):
        return with_ending(state, told, exit_code, result, now)
    lost = state.lost
    if went:
        lost = f"{lost} while phase {told.phase} of {told.namespace}/{told.job}, attempt {told.attempt}, was at work"
    return replace(state, at_work=None, phases=state.phases + 1, idle_since=now, lost=lost)


def _remembered(ended: tuple[Ending, ...]) -> tuple[Ending, ...]:
    """Those that are told stay, and the newest of the others."""
    past = [each for each in ended if each.dropped]
    forgotten = {id(each) for each in past[: max(0, len(past) - REMEMBERED)]}
    return tuple(each for each in ended if id(each) not in forgotten)


def with_changed(state: State, changed: Ending) -> State:
    """The state with that ending in place of the one of the same phase."""
    identity = changed.told.identity
    return replace(state, ended=tuple(changed if each.told.identity == identity else each for each in state.ended))
