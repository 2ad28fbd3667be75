"""What code that has taken over a worker can try in its pod. Test code: it is sent to a pod's python, which runs it.

`kubectl exec` starts it in the container of the phase as the worker's user, so with what the kernel allows the worker;
it looks whether that is so. It has the standard library only. What came of each attempt goes to standard output:
"done", or the name of the error with which the kernel refused it.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

SUPERVISOR = 1
PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206
PIDFD_GETFD = 438
# What decides over what a process may do: all of it must be the worker's own.
CREDENTIALS = ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
NAMESPACES = ("pid", "mnt", "net", "ipc", "user", "cgroup")
MESSAGE = "/dev/termination-log"
MESSAGE_BYTES = 3_500  # the longest that the supervisor leaves: what is as long covers it whole

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """The round that the first argument names; the others are its own."""
    rounds: dict[str, Callable[..., dict[str, Any]]] = {"look": look, "attack": attack, "forge": forge}
    print(json.dumps(rounds[sys.argv[1]](*sys.argv[2:])))


# ---------------------------------------------------------------- where it is


def look() -> dict[str, Any]:
    """Whether this process is in the place of the worker."""
    worker = worker_pid()
    return {
        "credentials": [credentials(os.getpid()), credentials(worker)],
        "namespaces": [namespaces(os.getpid()), namespaces(worker)],
        "worker's memory": tried(lambda: os.close(os.open(f"/proc/{worker}/mem", os.O_RDWR))),
    }


def worker_pid() -> int:
    """The supervisor's child."""
    for path in Path("/proc").iterdir():
        with suppress(OSError):
            if path.name.isdecimal() and status_of(int(path.name))["PPid"] == str(SUPERVISOR):
                return int(path.name)
    raise SystemExit("There is no worker.")


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def credentials(pid: int) -> dict[str, str]:
    return {name: value for name, value in status_of(pid).items() if name in CREDENTIALS}


def namespaces(pid: int) -> list[str]:
    return [str(Path(f"/proc/{pid}/ns/{name}").readlink()) for name in NAMESPACES]


# ---------------------------------------------------------------- what it tries


def tried(act: Callable[[], object]) -> str:
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def called(function: Any, *arguments: Any) -> int:
    """A call of libc. Raises what it answers with."""
    ctypes.set_errno(0)
    answer = function(*arguments)
    if answer == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return int(answer)


def attack() -> dict[str, Any]:
    """Everything that must be refused; then the end of the supervisor, with a result that says that all went well."""
    order = json.loads(Path("/etc/audiojob/phase.json").read_text())
    found = {**tracing(), **files(), **links(Path("/store", order["outputPrefix"]))}
    for name in ("SIGSTOP", "SIGKILL"):
        os.kill(SUPERVISOR, getattr(signal, name))
        time.sleep(0.2)
        found[f"{name} to the supervisor"] = f"it is {status_of(SUPERVISOR)['State'][:1]}"
    ref = {"key": f"{order['outputPrefix']}/1-x/manifest.json", "sha256": "0" * 64, "count": 1}
    write_for_ever({"outcome": "Succeeded", "manifest": ref})
    os.kill(SUPERVISOR, signal.SIGTERM)
    return found


def tracing() -> dict[str, str]:
    here = f"/proc/{SUPERVISOR}"
    buffer = ctypes.create_string_buffer(8)
    local, remote = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8), (ctypes.c_void_p * 2)(0x1000, 8)

    def descriptor() -> None:
        called(libc.syscall, PIDFD_GETFD, os.pidfd_open(SUPERVISOR), 0, 0)

    return {
        "ptrace attach": tried(lambda: called(libc.ptrace, PTRACE_ATTACH, SUPERVISOR, None, None)),
        "ptrace seize": tried(lambda: called(libc.ptrace, PTRACE_SEIZE, SUPERVISOR, None, None)),
        "process_vm_writev": tried(lambda: called(libc.process_vm_writev, SUPERVISOR, local, 1, remote, 1, 0)),
        "pidfd_getfd": tried(descriptor),
        "write its memory": tried(lambda: os.open(f"{here}/mem", os.O_RDWR)),
        "read its memory": tried(lambda: os.open(f"{here}/mem", os.O_RDONLY)),
        "its map": tried(lambda: Path(here, "maps").read_bytes()),
        "its environment": tried(lambda: Path(here, "environ").read_bytes()),
        "its descriptors": tried(lambda: list(Path(here, "fd").iterdir())),
        "its root": tried(lambda: list(Path(here, "root").iterdir())),
    }


def files() -> dict[str, str]:
    code = next(Path("/opt/audiojob/app/audiojob_runner").glob("*.py"))
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    return {
        f"write {path}": tried(partial(os.open, path, os.O_WRONLY))
        for path in (str(code), "/etc/audiojob/phase.json", token, sys.executable)
    }


def links(own: Path) -> dict[str, str]:
    """Links in the way of mounts to come: in the phase's own folder, which is allowed, and above it."""
    (own / "up").symlink_to("../..")
    (own / "steal").symlink_to(f"../../{'0' * 8}-0000-4000-8000-{'0' * 12}")
    beside, other = own.parent / "read", own.parent.parent / "uploads"
    return {
        "a link for the phase to come": tried(lambda: beside.symlink_to(own)),
        "a link for another job's phase": tried(lambda: other.symlink_to(own)),
        "a link for its own mount": tried(lambda: own.rename(own.with_name("away"))),
        "a mount above": tried(lambda: called(libc.mount, b"/scratch", bytes(own.parent), None, 4096, None)),
        "seen by way of a link": ",".join(sorted(path.name for path in (own / "up").iterdir())),
    }


# ---------------------------------------------------------------- what it forges


def forge(victims_sha256: str) -> dict[str, Any]:
    """A result of its own making, which claims another's song; then the supervisor is told that the work is done."""
    order = json.loads(Path("/etc/audiojob/phase.json").read_text())
    folder = Path("/store", order["outputPrefix"], f"{order['attempt']}-forged")
    folder.mkdir()
    (folder / "song.wav").write_bytes(b"the attacker's song")
    song = {"name": "output", "mediaType": "audio/wav", "bytes": 1_000_000, "sha256": victims_sha256}
    about = {name: order[name] for name in ("job", "namespace", "uid", "phase", "attempt", "task")}
    about |= {"apiVersion": order["apiVersion"], "fingerprint": "0" * 64, "createdTime": "2026-01-01T00:00:00Z"}
    manifest = json.dumps({**about, "outputs": [{**song, "file": "song.wav"}]}).encode()
    (folder / "manifest.json").write_bytes(manifest)
    ref = {
        "key": f"{order['outputPrefix']}/{folder.name}/manifest.json",
        "sha256": hashlib.sha256(manifest).hexdigest(),
        "count": 1,
    }
    write_for_ever({"outcome": "Succeeded", "manifest": ref, "outputs": [song]})
    return {"key": ref["key"], "told the supervisor": tried(say_done)}


def say_done() -> None:
    """By the pipe by which the worker tells its result, with a file that it has made."""
    worker = worker_pid()
    [scratch] = Path("/scratch").glob("run-*")
    made = scratch / "work" / "output.bin"
    made.write_bytes(b"the attacker's song")
    output = {"name": "output", "path": str(made), "media_type": "audio/wav", "metadata": {}}
    line = json.dumps({"result": {"outputs": [output], "metadata": {}, "crash_after_publishing": False}}) + "\n"
    for path in Path(f"/proc/{worker}/fd").iterdir():
        flags = int(Path(f"/proc/{worker}/fdinfo/{path.name}").read_text().split("flags:")[1].split()[0], 8)
        if int(path.name) > 2 and str(path.readlink()).startswith("pipe:") and flags & os.O_ACCMODE == os.O_WRONLY:
            descriptor = os.open(path, os.O_WRONLY)
            os.write(descriptor, line.encode())
            os.close(descriptor)


def write_for_ever(result: dict[str, Any]) -> None:
    """From a session of its own, which the end of the worker's leaves alone: this is the last word, whoever speaks."""
    message = json.dumps(result).encode().ljust(MESSAGE_BYTES)
    if os.fork():
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    descriptor = os.open(MESSAGE, os.O_WRONLY)
    while True:
        os.pwrite(descriptor, message, 0)


main()
