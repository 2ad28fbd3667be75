"""``serve`` and ``work`` with a Simulate that misbehaves: ``python -m tests...worker.rogue serve|work --root DIR``.

The task does what the file ``<root>/rogue/<job uid>`` says, and notes there what it finds. Both containers note their
own descriptors and memory before each phase.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from audiojob_runner.cli import main
from audiojob_runner.settings import Paths, PodIdentity
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_runner.tasks import simulate
from audiojob_runner.worker import child as children
from audiojob_runner.worker.state import Identity
from audiojob_runner.worker.working.hold import Held
from audiojob_runner.worker.working.task import TaskProcess
from audiojob_types.base import WireModel

ROOT = Path(sys.argv[-1])
_run, _fork, _fork_task = simulate.run, children.fork, TaskProcess.fork


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    told = ROOT / "rogue" / context.job_uid
    for trick in told.read_text().split() if told.exists() else ():
        TRICKS[trick](told, inputs, context)
    if STOLEN:
        return TaskResult([TaskOutput("output", STOLEN[0], "text/plain")])
    return _run(inputs, parameters, context)


def plant(told: Path, inputs: Mapping[str, TaskInput], context: TaskContext) -> None:
    """Leave the job's text wherever this process may."""
    path = inputs["words"].path
    assert path is not None
    text = path.read_text()
    context.log.info("It sings %s", text)
    os.environ["LEFT"] = text
    room = ROOT / "scratch/room"
    for folder in (context.work_dir, Path(os.environ["TMPDIR"]), room, room / "deep", ROOT / "dev/shm"):
        folder.mkdir(exist_ok=True)
        (folder / f"left-{text}").write_text(text)
    os.open(room / f"left-{text}", os.O_RDONLY)
    assert ctypes.CDLL(None).shmget(0x5EC2E7, 4_096, 0o1600) >= 0  # IPC_CREAT


def fork_away(told: Path, _inputs: Mapping[str, TaskInput], _context: TaskContext) -> None:
    """Start a process that leaves the session, ignores all signals that it can, and looks on."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            time.sleep(600)
        os._exit(0)
    told.with_suffix(".away").write_bytes(os.read(reading, 64))


def look(told: Path, _inputs: Mapping[str, TaskInput], _context: TaskContext) -> None:
    """Note all that this process can see."""
    found = [f"{name}={value}" for name, value in os.environ.items()]
    found += [str(path) for folder in ("scratch", "dev") for path in (ROOT / folder).rglob("*")]
    found += Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    opened = [path for path in Path("/proc/self/fd").iterdir() if int(path.name) > 2]
    found += [str(path.readlink()) for path in opened if path.is_symlink()]  # its own look was one
    told.with_suffix(".seen").write_text("\n".join(found))
    with told.with_suffix(".memory").open("wb") as out, Path("/proc/self/mem").open("rb", 0) as memory:
        for line in Path("/proc/self/maps").read_text().splitlines():
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if match is not None:
                begin, end = (int(each, 16) for each in match.groups())
                memory.seek(begin)
                out.write(memory.read(end - begin))


def take_over(told: Path, _inputs: Mapping[str, TaskInput], _context: TaskContext) -> None:
    """Try all that must be refused, and note what came of it."""
    parent, room = os.getppid(), ROOT / "scratch/room"
    libc = ctypes.CDLL(None, use_errno=True)
    memory = f"/proc/{parent}/mem"
    acts: dict[str, Callable[[], object]] = {
        "the token": (ROOT / "var/run/secrets/kubernetes.io/serviceaccount/token").read_text,
        "the store": lambda: (ROOT.parent / "store/demo").iterdir().__next__(),
        "what the worker is told": (ROOT / "etc/audiojob/work.json").read_text,
        "the supervisor's folder": lambda: next((ROOT / "scratch").glob("phase-*")).iterdir(),
        "the parent's memory": lambda: os.open(memory, os.O_RDWR),
        "the parent's descriptors": Path(f"/proc/{parent}/fd/0").readlink,
        "the parent's trace": lambda: called(libc, libc.ptrace(16, parent, None, None)),
        "a descriptor of the parent": lambda: called(libc, libc.syscall(438, os.pidfd_open(parent), 3, 0)),
        "the socket of work": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(str(SOCKET)),
    }
    found = {what: tried(act) for what, act in acts.items()}
    for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM):
        os.kill(parent, number)
    pretend_to_be_work()
    found["its sockets"] = ",".join(filter(None, map(forge_by, Path("/proc/self/fd").iterdir())))
    for folder in (ROOT / "scratch", room):
        (folder / "result").write_text('{"outcome": "Succeeded"}')
    told.with_suffix(".tried").write_text(json.dumps(found))


SOCKET = Path(os.path.relpath(ROOT / "scratch/room/work.sock"))  # short enough for a socket


def pretend_to_be_work() -> None:
    """In a process that goes away: listen where ``work`` did, and put files of other phases' in order."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(SOCKET))
        listener.listen()
        listener.accept()
        (ROOT / "rogue/somebody-came").touch()


def forge_by(path: Path) -> str:
    """Say by each socket of this process what ``work`` and supervisors say."""
    if int(path.name) < 3 or not path.is_socket():
        return ""
    with socket.socket(fileno=os.dup(int(path.name))) as found:
        for words in (b'{"clear": true}', b'{"status": 0, "out_of_memory": false}', b"\n"):
            with suppress(OSError):
                found.send(words, socket.MSG_DONTWAIT)
    return found.type.name


def tried(act: Callable[[], object]) -> str:
    try:
        act()
    except StopIteration:
        return "nothing there"
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def called(libc: ctypes.CDLL, answer: int) -> None:
    if answer == -1:
        raise OSError(ctypes.get_errno(), "refused")


def steal(_told: Path, _inputs: Mapping[str, TaskInput], context: TaskContext) -> None:
    """Put a link in the place of the run's folder, so that what is published is the token."""
    run_dir = context.work_dir.parent
    aside = run_dir.with_name("aside")
    run_dir.rename(aside)
    run_dir.symlink_to(ROOT / "var/run/secrets/kubernetes.io")
    (aside / "work").rename(aside / "serviceaccount")
    STOLEN.append(run_dir / "serviceaccount/token")


STOLEN: list[Path] = []


def forget(_told: Path, _inputs: Mapping[str, TaskInput], _context: TaskContext) -> None:
    """Die as C code does that writes where it must not."""
    ctypes.string_at(0)


TRICKS = {
    "plant": plant, "fork_away": fork_away, "look": look, "take_over": take_over, "steal": steal, "crash": forget,
}  # fmt: skip


def fork(identity: Identity, environ: Mapping[str, str], paths: Paths, pod: PodIdentity) -> children.Child:
    note("serve")
    return _fork(identity, environ, paths, pod)


def fork_task(described: socket.socket, others: Sequence[socket.socket], held: Held) -> TaskProcess:
    note("work")
    return _fork_task(described, others, held)


def note(container: str) -> None:
    """What is held before each phase, for the test."""
    status = Path("/proc/self/status").read_text()
    anonymous = re.search(r"RssAnon:\s+(\d+)", status)
    assert anonymous is not None
    with (ROOT / "rogue" / container).open("a") as notes:
        notes.write(f"{len(list(Path('/proc/self/fd').iterdir()))} {anonymous[1]}\n")


if __name__ == "__main__":
    simulate.run = run
    children.fork = fork
    TaskProcess.fork = fork_task  # type: ignore[method-assign]
    sys.exit(main(sys.argv[1:]))
