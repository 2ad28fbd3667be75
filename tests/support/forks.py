"""A program started by fork from a process that has imported it: the operator's imports alone take two CPU seconds.

Each start runs the program's ``__main__`` anew, in a process of its own with its own arguments, environment and
folder, and ends as any interpreter does. Only the imports are shared, which depend on none of these.

``python -m tests.support.forks MODULE IMPORTED ...`` is that process. It answers lines of JSON and ends with its
standard input.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.02


class Fork:
    """One run of a program; what of ``subprocess.Popen`` the tests use."""

    def __init__(self, source: _Source, pid: int) -> None:
        self.pid = pid
        self._source = source

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it, if it is still there: another thread may have waited for its end this moment."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit status. Raises subprocess.TimeoutExpired."""
        status: int | None = self._source.ask({"wait": self.pid, "seconds": timeout})
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return status


@dataclass(frozen=True)
class Program:
    """``python -m MODULE``, and the modules that it imports only once it runs."""

    module: str
    imported: tuple[str, ...] = ()


def start(
    program: Program,
    environment: Mapping[str, str],
    log: Path,
    arguments: Sequence[str] = (),
    folder: Path | None = None,
) -> Fork:
    """Run it in that environment and folder, its output appended to ``log``."""
    source = _source(program)
    request = {"environment": dict(environment), "log": str(log), "arguments": list(arguments)}
    return Fork(source, source.ask({**request, "folder": str(folder or Path.cwd())}))


@functools.cache
def _source(program: Program) -> _Source:
    """One for the whole test process."""
    return _Source(program)


class _Source:
    """The process that has imported the program."""

    def __init__(self, program: Program) -> None:
        command = [sys.executable, "-m", __name__, program.module, *program.imported]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._lock = threading.Lock()
        atexit.register(self._stop)

    def ask(self, request: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
                answer = self._process.stdout.readline()
            except BaseException:  # a test is out of time: the next one is not to read the answer to this question
                _source.cache_clear()
                with suppress(OSError):
                    self._process.stdin.close()  # it ends what it has started, and itself
                raise
        assert answer, "the process that has imported the program is gone; standard error says why"
        return json.loads(answer)

    def _stop(self) -> None:
        with self._process:  # closes its standard input
            pass


def _serve(module: str) -> None:
    """Answer requests until standard input ends; returns in each new process too, which is to run the program."""
    children: set[int] = set()
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "wait" in request:
            answer = _wait(request["wait"], request["seconds"])
            if answer is not None:
                children.discard(request["wait"])
        else:
            answer = os.fork()
            if answer == 0:
                _become(request["environment"], Path(request["log"]))
                os.chdir(request["folder"])
                sys.argv[:] = [module, *request["arguments"]]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
                return
            children.add(answer)
        print(json.dumps(answer), flush=True)
    for child in children:
        os.kill(child, signal.SIGKILL)


def _wait(pid: int, seconds: float | None) -> int | None:
    """The exit status as subprocess has it; None if the process runs on."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, 0 if deadline is None else os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if deadline is not None and time.monotonic() > deadline:
            return None
        time.sleep(_LOOK_SECONDS)


def _become(environment: Mapping[str, str], log: Path) -> None:
    """Nothing of the parent's is left but its modules."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for number, opened in enumerate((nothing, output, output)):
        os.dup2(opened, number)
    os.close(nothing)
    os.close(output)


def main() -> None:
    """Import the program, whose ``__main__`` each start imports again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end this process
    module, *imported = sys.argv[1:]
    for name in (f"{module}.__main__", *imported):
        importlib.import_module(name)
    del sys.modules[f"{module}.__main__"]
    assert threading.active_count() == 1, "a thread does not survive a fork"
    gc.freeze()
    _serve(module)


if __name__ == "__main__":
    main()
