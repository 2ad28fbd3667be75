from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.pods import PodFolder, Running, eventually, make_pod
from tests.integration.runner.stores import StoreFolder
from tests.integration.runner.worker.apiserver import TOKEN, StatusServer, serving_statuses

from audiojob_dev.paths import repository

# As a container is apart: processes, shared memory, of the pod's files only the room, and no capability.
APART = (
    *("unshare", "--user", "--map-root-user", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-c", """
set -e
mount --rbind /proc "$1/proc"
mount --bind "$1/scratch/room" "$1/work"
for hidden in "$1/scratch" "$1/var" "$1/etc" "$2"; do mount -t tmpfs none "$hidden"; done
mkdir "$1/scratch/room"
mount --bind "$1/work" "$1/scratch/room"
shift 2
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
""", "sh"),
)  # fmt: skip


@dataclass
class WorkerPod:
    """A worker's pod: its folder, its API server, and what it is told."""

    pod: PodFolder
    server: StatusServer
    terms: dict[str, Any] = field(default_factory=lambda: {"pool": "songs", "tasks": ["Simulate"]})
    begun: list[Running] = field(default_factory=list)
    work: Running = field(init=False)

    @property
    def room(self) -> Path:
        """What ``work`` sees of the scratch volume."""
        return self.pod.root / "scratch/room"

    @property
    def work_file(self) -> Path:
        return self.pod.root / "etc/audiojob/work.json"

    def phase(self, number: int, attempt: int = 1, task: str = "Simulate", **parameters: Any) -> dict[str, Any]:
        """A phase of the AudioJob of that number."""
        uid = f"5f1e0000-0000-4000-8000-{number:012}"
        return {
            "job": f"song-{number}",
            "namespace": "demo",
            "uid": uid,
            "phase": "work",
            "attempt": attempt,
            "task": task,
            "parameters": parameters,
            "outputPrefix": f"demo/{uid}/work",
            "store": self.pod.store,
        }

    def tell(self, *phases: dict[str, Any], **terms: Any) -> None:
        """What the kubelet shows of the annotation: whole, in one step."""
        self.put(json.dumps(self.terms | terms | {"told": phases}))

    def put(self, content: str) -> None:
        """The file with that content."""
        new = self.work_file.with_name("next")
        new.write_text(content, encoding="utf-8")
        new.rename(self.work_file)

    def start(self) -> Running:
        """``serve``, with ``work`` beside it and nothing in its environment but the contract's variables."""
        self.work = self.pod.start(entry="work")
        self.begun += [self.work, self.pod.start(entry="serve")]
        return self.begun[-1]

    def start_rogue(self) -> Running:
        """``serve`` and ``work`` with a task that misbehaves."""
        (self.pod.root / "rogue").mkdir(exist_ok=True)
        self.room.mkdir()
        (self.pod.root / "dev/shm").mkdir()
        (self.pod.root / "proc").mkdir()
        self.work = self._start_rogue("work", {}, APART)
        named = {"AUDIOJOB_POD_NAME": "songs-w-1", "AUDIOJOB_POD_UID": "0a1b2c3d-0000-4000-8000-000000000001"}
        return self._start_rogue("serve", self.pod.environ | named)

    def _start_rogue(self, entry: str, environ: dict[str, str], wrapper: tuple[str, ...] = ()) -> Running:
        log = self.pod.root.parent / f"rogue-{entry}.log"
        python_path = f"{repository()}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        environ = environ | {"PATH": os.environ["PATH"], "PYTHONPATH": python_path.rstrip(os.pathsep)}
        words = [sys.executable, "-m", "tests.integration.runner.worker.rogue", entry, "--root", str(self.pod.root)]
        command = [*wrapper, str(self.pod.root), str(self.pod.store["root"]), *words] if wrapper else words
        with log.open("ab") as output:
            process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        running = Running(process, self.pod.root / "dev/termination-log", log, time.monotonic())
        self.begun.append(running)
        return running

    def ends(self, count: int) -> list[tuple[str, int]]:
        """Job and exit code of the reported ends, once there are so many."""
        eventually(lambda: len(self.server.ends) >= count, f"{count} ends are reported")
        return [(job, end["exitCode"]) for job, _, end in self.server.ends]


@pytest.fixture
def worker(folder_pod: PodFolder, tmp_path: Path) -> Iterator[WorkerPod]:
    with beside_a_server(folder_pod, tmp_path) as found:
        yield found


@pytest.fixture
def worker_with_bucket(s3_store: StoreFolder, tmp_path: Path) -> Iterator[WorkerPod]:
    with beside_a_server(make_pod(tmp_path / "pod", s3_store), tmp_path) as found:
        yield found


@contextmanager
def beside_a_server(pod: PodFolder, folder: Path) -> Iterator[WorkerPod]:
    """A worker's pod with a token for the server in the place of the API server."""
    with serving_statuses(folder / "certificates") as server:
        account = pod.root / "var/run/secrets/kubernetes.io/serviceaccount"
        account.mkdir(parents=True)
        (account / "token").write_text(TOKEN, encoding="ascii")
        (account / "ca.crt").write_bytes(server.authority.read_bytes())
        pod.environ |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
        found = WorkerPod(pod, server)
        yield found
        for running in found.begun:
            if Path(f"/proc/{running.process.pid}").exists():  # nobody has waited for it
                running.process.kill()
                running.process.wait()
