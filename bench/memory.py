"""Peak memory of operator and API under AudioJobs that are nearly all metadata: ``python bench/memory.py [--jobs N]``.

The jobs lie in a namespace that the operator does not serve and that the API serves. First come N ordinary ones, then N
hostile ones: with the metadata policy bound as large as it lets them be, without it 1.2 MB, near etcd's limit. Each is
written, answered by the operator ("namespace is not prepared") and so brought by a watch twice. Then both processes
start anew and list what is there. PYTHONPATH chooses another tree's operator and API.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.harness import machine, settle, usage
from tests.support.operator_process import PROGRAM, OperatorProcess

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.progress import Progress
from audiojob_dev.rest import RestError, wait_until
from audiojob_dev.tools import binaries, processes
from audiojob_types import constants as c
from audiojob_types.generate import metadata_policy

PREPARED: Final = "prepared"
HOSTILE: Final = "hostile"
_JOBS: Final = f"/apis/{c.API_VERSION}/namespaces/{HOSTILE}/audiojobs"
_PROGRAMS: Final = ("etcd", "kube-apiserver", "kubectl")
_WRITERS: Final = 4
_SETTLE_SECONDS: Final = 8.0

Object = dict[str, Any]


def ordinary(number: int) -> Object:
    """A job as people make them."""
    return _job(f"ordinary-{number}", {"app": "music"})


def large(number: int) -> Object:
    """A job of 1.2 MB: labels, and what managedFields say of them."""
    return _job(f"large-{number}", {f"{'x' * 200}.{each:05d}/{'y' * 60}": "z" * 63 for each in range(1_850)})


def largest_admitted(number: int) -> Object:
    """A job whose labels are as many and as long as the metadata policy admits."""
    size = c.MAX_LABELS_BYTES // c.MAX_LABELS - 64
    return _job(f"bounded-{number}", {f"{'x' * (size - 70)}.{n:05d}/{'y' * 60}": "z" * 63 for n in range(c.MAX_LABELS)})


def _job(name: str, labels: Object) -> Object:
    spec = {"pipeline": "separate", "source": {"url": "https://example.org/song.flac"}}
    return {
        "apiVersion": c.API_VERSION,
        "kind": "AudioJob",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


class Bench:
    """One API server, and the two processes on it."""

    def __init__(self, server: LocalApiServer, folder: Path) -> None:
        self._server = server
        self._folder = folder

    @contextmanager
    def both(self) -> Iterator[dict[str, int]]:
        """The operator and the API while they run: process ids by name."""
        port, metrics = processes.free_port(), processes.free_port()
        settings = {
            "NAMESPACE": HOSTILE,
            "KUBECONFIG": str(self._server.kubeconfig),
            "HOST": "127.0.0.1",
            "PORT": str(port),
        }
        environment = {**os.environ, **{f"AUDIOJOB_{name}": value for name, value in settings.items()}}
        store = {"AUDIOJOB_STORE": json.dumps({"kind": "S3", "bucket": "bench"}), "AUDIOJOB_LISTEN_PORT": str(metrics)}
        operator_log = self._folder / "operator.log"
        operator = OperatorProcess(self._server.kubeconfig, [PREPARED], operator_log, PROGRAM, **store)
        with (self._folder / "api.log").open("ab") as log, operator:
            api = subprocess.Popen([sys.executable, "-m", "audiojob_api"], env=environment, stdout=log, stderr=log)
            try:
                wait_until("the API", lambda: _ready(port), seconds=300)
                wait_until("the operator", lambda: _ready(metrics), seconds=300)
                yield {"operator": operator.pid, "api": api.pid}
            finally:
                api.kill()
                api.wait()

    def run(self, jobs: int, hostile: Any) -> Iterator[tuple[str, dict[str, float]]]:
        """Peak MiB by process at each stage."""
        with self.both() as pids:
            settle(_SETTLE_SECONDS)
            yield "at start", _peaks(pids)
            for stage, make in (("ordinary", ordinary), ("hostile", hostile)):
                self._create(jobs, make)
                wait_until(f"answers to {stage} jobs", self._all_answered, seconds=600, interval=2)
                settle(_SETTLE_SECONDS)
                yield f"{jobs} {stage}", _peaks(pids)
        with self.both() as pids:
            settle(3 * _SETTLE_SECONDS)
            yield "restarted", _peaks(pids)

    def _create(self, jobs: int, make: Any) -> None:
        with ThreadPoolExecutor(_WRITERS) as writers:
            list(writers.map(lambda number: self._server.rest.request("POST", _JOBS, make(number)), range(jobs)))

    def _all_answered(self) -> bool:
        """Whether each job has a state; the API server looks in its cache and sends only those that have none."""
        return not self._server.rest.request("GET", f"{_JOBS}?fieldSelector=status.state%3D&resourceVersion=0")["items"]


def _peaks(pids: dict[str, int]) -> dict[str, float]:
    return {name: usage(pid).peak_mebibytes for name, pid in pids.items()}


def _ready(port: int) -> bool:
    done = subprocess.run(
        ["curl", "-sf", f"http://127.0.0.1:{port}/readyz"], capture_output=True, text=True, check=False
    )
    return done.returncode == 0


def bind_policy(server: LocalApiServer) -> None:
    """Put the chart's policy into force, and wait until it refuses."""
    server.kubectl("apply", "-f", str(repository() / "charts" / "audiojob" / "templates" / "metadata-policy.yaml"))

    def refused() -> bool:
        try:
            server.rest.request("POST", f"{_JOBS}?dryRun=All", large(0))
        except RestError as error:
            return metadata_policy.NAME in str(error)
        return False

    wait_until("the metadata policy", refused, seconds=60)


def measure(programs: Path, jobs: int, *, bound: bool) -> None:
    """One fresh API server, with the policy or without."""
    with tempfile.TemporaryDirectory(prefix="audiojob-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = LocalApiServer(folder / "plane", programs)
        server.start()
        try:
            server.apply_crds(repository() / "crds")
            for namespace in (PREPARED, HOSTILE):
                server.create_namespace(namespace)
            if bound:
                bind_policy(server)
            print(f"metadata policy {'bound' if bound else 'not bound'}: peak RSS in MiB", flush=True)
            for stage, peaks in Bench(server, folder).run(jobs, largest_admitted if bound else large):
                print(f"  {stage:<16}" + "".join(f"{who:>10} {peak:6.0f}" for who, peak in peaks.items()), flush=True)
        except BaseException:
            print((folder / "operator.log").read_text(errors="replace")[-3_000:], file=sys.stderr)
            raise
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--only", choices=("bound", "unbound"), help="one of the two cases")
    arguments = parser.parse_args()
    with Progress() as progress:
        programs = binaries.ensure(paths_from_environment(), _PROGRAMS, progress)
    print(machine(), flush=True)
    for case in ("bound", "unbound"):
        if arguments.only in (None, case):
            measure(programs, arguments.jobs, bound=case == "bound")


if __name__ == "__main__":
    main()
