from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import watchdog
from audiojob_runner.phase.watchdog import Interruption, Stopwatch, Watchdog, judge, stopped_by
from audiojob_types.contract import PhaseLimits
from audiojob_types.reasons import Reason


@pytest.mark.parametrize(
    ("ran", "idle", "limits", "reason"),
    [
        pytest.param(1e9, 1e9, PhaseLimits(), None, id="no limits"),
        pytest.param(59, 0, PhaseLimits(soft_seconds=60), None, id="within the soft limit"),
        pytest.param(60, 0, PhaseLimits(soft_seconds=60), Reason.SOFT_LIMIT, id="at the soft limit"),
        pytest.param(500, 29, PhaseLimits(stall_seconds=30), None, id="idle, but not for so long"),
        pytest.param(500, 30, PhaseLimits(stall_seconds=30), Reason.STALLED, id="idle for too long"),
        pytest.param(60, 30, PhaseLimits(soft_seconds=60, stall_seconds=30), Reason.SOFT_LIMIT, id="both"),
    ],
)
def test_limits(ran: float, idle: float, limits: PhaseLimits, reason: Reason | None) -> None:
    error = judge(ran, idle, limits)

    assert (error.reason if error else None) == reason
    assert error is None or error.exit_code == 75


def test_the_first_interruption_stays() -> None:
    interruption = Interruption()
    interruption.check()

    assert interruption.trip(stopped_by(signal.SIGTERM))
    assert not interruption.trip(stopped_by(signal.SIGINT))

    with pytest.raises(PhaseError, match="SIGTERM"):
        interruption.check()


def _dog(interruption: Interruption, limits: PhaseLimits | None = None) -> tuple[Watchdog, list[PhaseError]]:
    resorted: list[PhaseError] = []
    return Watchdog(limits or PhaseLimits(), interruption, resorted.append), resorted


def _until(interruption: Interruption) -> None:
    deadline = time.monotonic() + 60
    while interruption.error is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stop_signal_interrupts_and_the_old_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    interruption = Interruption()
    dog, resorted = _dog(interruption)

    with dog.watching():
        os.kill(os.getpid(), signal.SIGTERM)
        _until(interruption)

    assert signal.getsignal(signal.SIGTERM) is before
    assert interruption.error is not None
    assert interruption.error.exit_code == 143
    assert resorted == []


def test_a_signal_that_came_before_the_watch_is_not_lost() -> None:
    interruption = Interruption()
    dog, _ = _dog(interruption)
    watchdog.block_stop_signals()
    # To this thread alone: the others of a test run do not hold it back.
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    with dog.watching():
        _until(interruption)

    assert interruption.error is not None


def _times(*ticks: tuple[float, bool, bool]) -> Stopwatch:
    times = Stopwatch(100.0)
    for now, alive, interrupted in ticks:
        times.tick(now, alive=alive, interrupted=interrupted)
    return times


def test_a_sign_of_life_ends_the_idle_time_and_no_other() -> None:
    times = _times((101.0, False, False), (102.0, True, False), (103.0, False, True), (104.5, False, True))
    assert (times.ran, times.idle, times.interrupted) == (4.5, 2.5, 2.5)


@pytest.mark.parametrize(
    ("now", "ran"),
    [
        pytest.param(100.0 + 3_600, watchdog.MAX_TICK_SECONDS, id="a process that was frozen for an hour"),
        pytest.param(50.0, 0.0, id="a clock that goes back"),
    ],
)
def test_a_tick_of_the_wrong_length_counts_little(now: float, ran: float) -> None:
    assert _times((now, False, False)).ran == ran


@pytest.mark.parametrize("beats", [True, False], ids=["signs of life", "none"])
def test_a_phase_without_signs_of_life_is_interrupted(beats: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "TICK_SECONDS", 0.001)
    times = itertools.count(0, 2)  # two seconds in every tick
    # In that module alone: whoever else looks at the clock meanwhile would make a tick longer.
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: float(next(times))))
    interruption, ticks = Interruption(), threading.Semaphore(0)

    def on_tick() -> None:
        if beats:
            dog.beat()
        ticks.release()

    dog = Watchdog(PhaseLimits(stall_seconds=3), interruption, lambda _error: None, on_tick)
    with dog.watching():
        for _ in range(4):
            assert ticks.acquire(timeout=60)
    assert (interruption.error is None) is beats


def test_the_last_resort_comes_when_nothing_reacts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LAST_RESORT_SECONDS", 0.01)
    monkeypatch.setattr(watchdog, "TICK_SECONDS", 0.01)
    interruption = Interruption()
    called = threading.Event()
    dog = Watchdog(PhaseLimits(), interruption, lambda _error: called.set())

    with dog.watching():
        interruption.trip(stopped_by(signal.SIGTERM))
        assert called.wait(60)
