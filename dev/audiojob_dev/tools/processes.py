"""Long-running programs of a cluster: started with a tag, found again by it, stopped, and waited for.

Every program carries its cluster's state folder in the environment variable `AUDIOJOB_CLUSTER`, and so do the
programs that it starts. A cluster can therefore be cleaned up after its command was killed at any point, and
nothing else is ever stopped: a process id alone may long belong to another program.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from audiojob_dev.errors import DevError

CLUSTER_VARIABLE = "AUDIOJOB_CLUSTER"
_POLL_SECONDS = 0.05
# Linux gives clients ports from 32768 on, Kubernetes gives 30000 to 32767 to its NodePorts.
SERVER_PORTS = range(20_000, 30_000)
_calls = itertools.count()


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: `arguments[0]` is the program's path; its output goes to `<name>.log`."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def start(program: Program, cluster: Path, logs: Path, *, die_with_parent: bool = False) -> subprocess.Popen[bytes]:
    """Start in a session of its own, so that Ctrl-C at the terminal does not reach it.

    `die_with_parent` has the kernel kill it when this process ends, however it ends.
    """
    logs.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **program.environment, CLUSTER_VARIABLE: str(cluster)}
    arguments = dying_with_parent(program.arguments) if die_with_parent else list(program.arguments)
    with (logs / f"{program.name}.log").open("ab") as log:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            start_new_session=True,
        )


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """The command under a launcher that has the kernel kill it when the thread that starts it ends, however it ends.

    Unchanged where the launcher is missing.
    """
    launcher = shutil.which("setpriv")
    return [launcher, "--pdeathsig", "KILL", "--", *command] if launcher else list(command)


def tagged(cluster: Path) -> dict[int, str]:
    """Process ids that carry this cluster's tag, with their program names. Needs Linux's /proc."""
    needle = f"{CLUSTER_VARIABLE}={cluster}".encode()
    found: dict[int, str] = {}
    for entry in _running():
        if int(entry.name) == os.getpid():
            continue
        # A process may end while we look, or belong to another user.
        with suppress(OSError):
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = _program_name(entry)
    return found


def clusters_running(program: str) -> set[str]:
    """State folders of all clusters on this machine that run `program`."""
    prefix = f"{CLUSTER_VARIABLE}=".encode()
    found: set[str] = set()
    for entry in _running():
        with suppress(OSError):
            for item in (entry / "environ").read_bytes().split(b"\0"):
                if item.startswith(prefix) and _program_name(entry) == program:
                    found.add(item.removeprefix(prefix).decode())
    return found


def any_running(programs: Collection[str]) -> bool:
    """Whether a program of one of these names runs on this machine, whoever started it."""
    for entry in _running():
        with suppress(OSError):
            if _program_name(entry) in programs:
                return True
    return False


def _running() -> Iterator[Path]:
    """The folder below /proc of each process on this machine."""
    return (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _program_name(entry: Path) -> str:
    first = (entry / "cmdline").read_bytes().split(b"\0", 1)[0].decode(errors="replace")
    return Path(first).name


def _alive(pid: int) -> bool:
    """A zombie counts as gone: its ports and files are free, and its parent may be long in reaping it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def stop(pids: Sequence[int], *, grace_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
    """SIGTERM, then SIGKILL to what is left after `grace_seconds`; returns when all are gone.

    Raises DevError where a process survives SIGKILL for ten seconds (it hangs in the kernel).
    """
    for name, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 10.0)):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, name)
        deadline = now() + patience
        while now() < deadline:
            _reap(pids)
            if not any(_alive(pid) for pid in pids):
                return
            time.sleep(_POLL_SECONDS)
    left = ", ".join(str(pid) for pid in pids if _alive(pid))
    if left:
        raise DevError(f"processes {left} do not end even after SIGKILL; see `ps -o pid,stat,wchan,cmd {left}`.")


def _reap(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port for a server that starts soon or later; no call of this process is given the same one again.

    From a range that no client's connection is put into. Processes begin at different places of it, since a port that
    is not bound yet looks free to all of them. Raises DevError where all are taken.
    """
    start = os.getpid() * 61
    for _ in SERVER_PORTS:
        port = SERVER_PORTS[(start + next(_calls)) % len(SERVER_PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port
    raise DevError(f"no TCP port from {SERVER_PORTS[0]} to {SERVER_PORTS[-1]} is free on {host}.")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a program's log, for error messages."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
