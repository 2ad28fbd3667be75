"""Two phases that do nothing: told to a warm worker, over two ``phase`` processes in a row.

``python bench/workers/serve.py [PAIRS] [PHASES]``. No cluster: a worker's folder is written as the kubelet writes it, a
server in the place of the API server takes the reports. A: from the file that tells the first phase until the second
one's end is reported; the second is told once the first has ended, as an operator would that is as quick. B: two
``phase`` processes with the same inputs, each from its start to its exit. Then one worker runs PHASES phases. ``serve``
and ``work`` are two processes of this machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.integration.runner.pods import POD_UID, PodFolder, eventually
from tests.integration.runner.worker.apiserver import TOKEN, StatusServer, serving_statuses

ENVIRON = {"PATH": os.environ["PATH"], "AUDIOJOB_POD_NAME": "bench-w-1", "AUDIOJOB_POD_UID": POD_UID}
TERMS = {"pool": "bench", "tasks": ["Simulate"], "maxPhases": 100_000, "idleSeconds": 600}


def phase(pod: PodFolder, uid: str, name: str) -> dict[str, Any]:
    """A Simulate phase that does nothing."""
    return {
        "job": f"song-{uid[:8]}",
        "namespace": "demo",
        "uid": uid,
        "phase": name,
        "attempt": 1,
        "task": "Simulate",
        "outputPrefix": f"demo/{uid}/{name}",
        "store": pod.store,
    }


def tell(pod: PodFolder, *told: dict[str, Any], **terms: Any) -> None:
    """What the kubelet shows of the annotation."""
    place = pod.root / "etc/audiojob/work.json"
    new = place.with_name("next")
    new.write_text(json.dumps(TERMS | terms | {"told": told}), encoding="utf-8")
    new.rename(place)


def warm(pod: PodFolder, server: StatusServer) -> float:
    """Two phases in a row by the worker; seconds."""
    uid, before = str(uuid.uuid4()), len(server.ends)
    start = time.monotonic()
    for number, name in enumerate(("one", "two"), start=1):
        tell(pod, phase(pod, uid, name))
        wait_for_ends(server, before + number)
    assert all(end["exitCode"] == 0 for _, _, end in server.ends[before:])
    return time.monotonic() - start


def wait_for_ends(server: StatusServer, count: int) -> None:
    """Until so many ends are reported."""
    eventually(lambda: len(server.ends) >= count, "the end is reported")


def cold(pod: PodFolder, environ: dict[str, str]) -> float:
    """Two phases in a row, each by a process of its own; seconds."""
    uid = str(uuid.uuid4())
    start = time.monotonic()
    for name in ("one", "two"):
        pod.phase_file.write_text(json.dumps(phase(pod, uid, name)), encoding="utf-8")
        subprocess.run(_command(pod, "phase"), env=environ, stderr=subprocess.DEVNULL, check=True)
    return time.monotonic() - start


def _command(pod: PodFolder, entry: str) -> list[str]:
    return [sys.executable, "-m", "audiojob_runner", entry, "--root", str(pod.root)]


def held(pid: int) -> tuple[int, int]:
    """Anonymous memory of that process in KiB, and its descriptors, once it waits."""
    time.sleep(0.5)  # its last report's connection is closed by then
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("RssAnon:")[1].split()[0]), len(list(Path(f"/proc/{pid}/fd").iterdir()))


def measure(folder: Path, pairs: int, phases: int) -> None:
    """A B A B …, then many phases through one worker."""
    (folder / "store").mkdir()
    pod = PodFolder(folder / "pod", {"kind": "Folder", "root": str(folder / "store")})
    with serving_statuses(folder / "certificates") as server:
        account = pod.root / "var/run/secrets/kubernetes.io/serviceaccount"
        account.mkdir(parents=True)
        (account / "token").write_text(TOKEN, encoding="ascii")
        (account / "ca.crt").write_bytes(server.authority.read_bytes())
        environ = ENVIRON | {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
        tell(pod)
        work = subprocess.Popen(_command(pod, "work"), env=environ, stderr=subprocess.DEVNULL)
        worker = subprocess.Popen(_command(pod, "serve"), env=environ, stderr=subprocess.DEVNULL)
        try:
            warm(pod, server)
            rows = [(warm(pod, server), cold(pod, environ)) for _ in range(pairs)]
            for name, values in (("warm worker (s)", [a for a, _ in rows]), ("processes (s)", [b for _, b in rows])):
                print(
                    f"{name:<16} min {min(values):.3f}  median {statistics.median(values):.3f}  max {max(values):.3f}"
                )
            print(f"{pairs} pairs; median ratio {statistics.median(a / b for a, b in rows):.3f}")
            before = held(worker.pid), held(work.pid)
            start = time.monotonic()
            for _ in range(phases // 2):
                warm(pod, server)
            print(f"{phases} phases in {time.monotonic() - start:.1f} s")
            after = held(worker.pid), held(work.pid)
            for name, (memory, opened), (memory_after, opened_after) in zip(
                ("serve", "work"), before, after, strict=True
            ):
                print(f"{name}: memory {memory} to {memory_after} KiB, descriptors {opened} to {opened_after}")
            tell(pod, drain=True)
            assert (worker.wait(30), work.wait(30)) == (0, 0)
        finally:
            for process in (worker, work):
                process.kill()
                process.wait()


if __name__ == "__main__":
    numbers = [int(each) for each in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as made:
        measure(Path(made), *(numbers + [15, 1_000][len(numbers) :]))
