"""What code that has taken over a task in the container `work` can try. Test code: `kubectl exec` sends it to python.

So it runs in that container as the task's user. It has the standard library only. What came of each attempt goes to
standard output: "done", or the name of the error with which it was refused.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOM = Path("/scratch/room")
SETTLES, LIMIT = 0.3, 30.0  # seconds
PLACES = ("/store", "/var", "/run", "/scratch", "/models", "/work", "/etc/audiojob")
SOCKET = ROOM / "work.sock"
PTRACE_ATTACH, PIDFD_GETFD, IPC_CREAT = 16, 438, 0o1000
libc = ctypes.CDLL(None, use_errno=True)


def look() -> dict[str, Any]:
    """What there is, besides this process and what the image has."""
    own = {os.getpid()}
    pids = {int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()} - own
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return {
        "processes": sorted(map(command, pids)),
        "mounts": sorted(mount for mount in mounts if mount.startswith(PLACES)),
        "room": sorted(path.name.partition("-")[0] for path in ROOM.iterdir()),
        "shared memory": sorted(path.name for path in Path("/dev/shm").iterdir()),
        "System V": Path("/proc/sysvipc/shm").read_text().splitlines()[1:],
        "queues": sorted(path.name for path in Path("/dev/mqueue").iterdir()),
    }  # fmt: skip


def settled() -> dict[str, Any]:
    """What there is once the task's process runs and nothing changes any more: on a busy machine that takes a while."""
    end = time.monotonic() + LIMIT
    seen: dict[str, Any] = {}
    while True:
        before, seen = seen, look()
        if (seen == before and len(seen["processes"]) > 1) or time.monotonic() > end:
            return seen
        time.sleep(SETTLES)


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ").strip()
    except OSError:  # it has ended meanwhile
        return ""


def tried(act: Callable[[], object]) -> str:
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def called(answer: int) -> None:
    if answer == -1:
        raise OSError(ctypes.get_errno(), "refused")


def attack() -> dict[str, Any]:
    """Everything that must be refused; then leave all that may be left."""
    acts: dict[str, Callable[[], object]] = {
        "the token": Path("/var/run/secrets/kubernetes.io/serviceaccount/token").read_text,
        "the store": lambda: list(Path("/store").iterdir()),
        "the order": Path("/etc/audiojob/work.json").read_text,
        "serve's folder": lambda: Path("/scratch/mine").touch(),
        "write the models": lambda: Path("/models/x").touch(),
        "write the code": lambda: os.open(sys.executable, os.O_WRONLY),
        "trace work": lambda: called(libc.ptrace(PTRACE_ATTACH, 1, None, None)),
        "work's memory": lambda: os.open("/proc/1/mem", os.O_RDWR),
        "work's environment": Path("/proc/1/environ").read_bytes,
        "work's descriptors": lambda: list(Path("/proc/1/fd").iterdir()),
        "a descriptor of work": lambda: called(libc.syscall(PIDFD_GETFD, os.pidfd_open(1), 3, 0)),
        "work's socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(str(SOCKET)),
    }
    found: dict[str, Any] = {what: tried(act) for what, act in acts.items()}
    for number in (signal.SIGSTOP, signal.SIGKILL):
        os.kill(1, number)
        time.sleep(0.2)
    state = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[0]
    found["work is"] = "at work" if state in "RSD" else state  # R: it looks around, or waits for a processor
    (ROOM / "left").write_text("canary")
    Path("/dev/shm/left").write_text("canary")
    called(libc.shmget(0x5EC2E7, 4_096, IPC_CREAT | 0o600))
    os.close(os.open("/dev/mqueue/left", os.O_CREAT | os.O_RDWR))
    stay()
    return found


def stay() -> None:
    """A process of a session of its own that ignores what it can, listens as `work` did, and writes into the room."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(SOCKET))
    listener.listen()
    while True:
        (ROOM / "left").write_text("canary")
        time.sleep(0.05)


if __name__ == "__main__":
    print(json.dumps({"look": settled, "attack": attack}[sys.argv[1]]()))
