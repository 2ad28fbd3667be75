"""Ends a phase early: on a stop signal, a stall or the soft limit; and kills it when it does not react."""

from __future__ import annotations

import logging
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_types.contract import ExitCode, PhaseLimits
from audiojob_types.reasons import Reason

TICK_SECONDS: Final = 0.25
# A frozen or paused process sees one long tick afterwards; it was not idle in that time.
MAX_TICK_SECONDS: Final = 2.0
LAST_RESORT_SECONDS: Final = 8.0
# The last is what a terminal sends that is closed; where `nohup` has it ignored, it stays so.
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = logging.getLogger(__name__)


class Interruption:
    """Why the phase must end now. The first reason stays. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._error: PhaseError | None = None

    def trip(self, error: PhaseError) -> bool:
        """Set the reason; False if there was one already."""
        with self._lock:
            if self._error is not None:
                return False
            self._error = error
            return True

    @property
    def error(self) -> PhaseError | None:
        """The reason, if the phase must end."""
        return self._error

    def check(self) -> None:
        """Raise the reason, if there is one."""
        if self._error is not None:
            raise self._error


def judge(ran_seconds: float, idle_seconds: float, limits: PhaseLimits) -> PhaseError | None:
    """Whether a phase that has run so long, and made no progress for so long, has to end."""
    if limits.soft_seconds is not None and ran_seconds >= limits.soft_seconds:
        return PhaseError(
            ExitCode.TEMPORARY,
            Reason.SOFT_LIMIT,
            f"The phase ran longer than its soft limit of {limits.soft_seconds} seconds.",
        )
    if limits.stall_seconds is not None and idle_seconds >= limits.stall_seconds:
        return PhaseError(
            ExitCode.TEMPORARY,
            Reason.STALLED,
            f"The phase made no progress for {limits.stall_seconds} seconds.",
        )
    return None


def stopped_by(signal_number: int) -> PhaseError:
    """The error for a stop signal."""
    name = signal.Signals(signal_number).name
    return PhaseError(ExitCode.STOPPED, Reason.STOPPED, f"The phase was stopped by a signal ({name}).")


class Stopwatch:
    """Times of a phase: since its start, since its last sign of life, and since it was interrupted."""

    def __init__(self, now: float) -> None:
        self._last = now
        self.ran = self.idle = self.interrupted = 0.0

    def tick(self, now: float, *, alive: bool, interrupted: bool) -> None:
        """Time has passed; ``alive`` if there was a sign of life since the last tick."""
        step = min(max(now - self._last, 0.0), MAX_TICK_SECONDS)
        self._last = now
        self.ran += step
        self.idle = 0.0 if alive else self.idle + step
        self.interrupted += step if interrupted else 0.0


class Watchdog:
    """A thread that watches the clock and the signals, and trips ``interruption`` once.

    ``beat`` is the sign of life. If the process still runs ``LAST_RESORT_SECONDS`` after the trip, for example
    inside a call that does not return, ``last_resort`` is called with the reason; it has to end the process.
    """

    def __init__(
        self,
        limits: PhaseLimits,
        interruption: Interruption,
        last_resort: Callable[[PhaseError], None],
        on_tick: Callable[[], None] | None = None,
    ) -> None:
        self._limits = limits
        self._interruption = interruption
        self._last_resort = last_resort
        self._on_tick = on_tick
        self._beaten = threading.Event()
        self._closed = threading.Event()
        self._signals, self._signals_in = socket.socketpair()
        self._signals.setblocking(False)
        self._signals_in.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def beat(self) -> None:
        """Give a sign of life."""
        self._beaten.set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch inside the block. Main thread only: it takes over the stop signals."""
        taken = [number for number in STOP_SIGNALS if not _stays_ignored(number)]
        previous = {number: signal.signal(number, _noted) for number in taken}
        # The C-level handler writes the number here at once, also while the main thread is inside a long call.
        previous_descriptor = signal.set_wakeup_fd(self._signals_in.fileno(), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        self._thread.start()
        try:
            yield
        finally:
            self._closed.set()
            self._signals_in.send(b"\0")  # no signal has this number; it only ends the wait
            self._thread.join()
            signal.set_wakeup_fd(previous_descriptor)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._signals.close()
            self._signals_in.close()

    def _run(self) -> None:
        times = Stopwatch(time.monotonic())
        while not self._closed.is_set():
            stop = self._wait_for_signal()
            if self._on_tick is not None:
                self._on_tick()
            alive = self._beaten.is_set()
            self._beaten.clear()
            times.tick(time.monotonic(), alive=alive, interrupted=self._interruption.error is not None)
            error = stop or judge(times.ran, times.idle, self._limits)
            if error is not None and self._interruption.trip(error):
                _log.warning("%s", error.message)
            if self._interruption.error is not None and times.interrupted > LAST_RESORT_SECONDS:
                self._last_resort(self._interruption.error)
                return

    def _wait_for_signal(self) -> PhaseError | None:
        """Sleep for one tick, less when a stop signal comes."""
        readable, _, _ = select.select([self._signals], [], [], TICK_SECONDS)
        if not readable:
            return None
        for number in self._signals.recv(64):
            if number in STOP_SIGNALS:
                return stopped_by(number)
        return None


def block_stop_signals() -> None:
    """Hold stop signals back until the watchdog runs: the kernel would drop them, as this is process 1."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def _stays_ignored(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


def _noted(number: int, frame: object) -> None:
    """Python wants a handler; the watchdog reads the number from the wake-up descriptor."""
