from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import watchdog
from audiojob_runner.phase.watchdog import Interruption, Watchdog, judge, stopped_by
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
    deadline = time.monotonic() + 5
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


def test_beats_keep_a_stall_away_and_their_end_brings_it() -> None:
    interruption = Interruption()
    dog, _ = _dog(interruption, PhaseLimits(stall_seconds=1))

    with dog.watching():
        alive_until = time.monotonic() + 1.6
        while time.monotonic() < alive_until:
            dog.beat()
            time.sleep(0.05)
        interruption.check()
        _until(interruption)

    assert interruption.error is not None
    assert interruption.error.reason is Reason.STALLED


def test_the_last_resort_comes_when_nothing_reacts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LAST_RESORT_SECONDS", 0.3)
    interruption = Interruption()
    called = threading.Event()
    dog = Watchdog(PhaseLimits(), interruption, lambda _error: called.set())

    with dog.watching():
        interruption.trip(stopped_by(signal.SIGTERM))
        assert called.wait(5)
