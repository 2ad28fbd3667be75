"""Many fault rows at once: one operator behind a fault proxy, and a namespace for each row."""

from __future__ import annotations

import re
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.operator.conftest import Object, Space, make_space
from tests.support.faults.plan import WRITES, Call, Plan, Rule
from tests.support.faults.proxy import FaultProxy
from tests.support.manypods import ManyPods
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import ended, running, succeed, waiting

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import RestError, wait_until
from audiojob_types.contract import ExitCode, Outcome, PhaseInput, PhaseResult

_PORT = re.compile(r"probes and metrics on port (\d+)")
_WAITING = {
    "imageless": ("ErrImagePull", "rpc error: code = NotFound desc = failed to pull and unpack image"),
    "secretless": ("CreateContainerConfigError", 'secret "audiojob-store" not found'),
}


def play(phase: PhaseInput, pod: Object) -> Object:
    """What becomes of a pod is in its job's name: ``kind`` or ``kind-…``."""
    kind = phase.job.split("-")[0]
    if kind == "stays":
        return running()
    if kind == "roomless":
        message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        return {"phase": "Pending", "conditions": [condition]}
    if kind in _WAITING:
        return waiting(*_WAITING[kind])
    if kind == "hopeless":
        return ended(ExitCode.NOT_MEDIA, PhaseResult(outcome=Outcome.FAILED, message="This is no audio."))
    if kind == "once" and phase.attempt == 1:
        return ended(ExitCode.TEMPORARY, PhaseResult(outcome=Outcome.FAILED, message="try again"))
    return succeed(phase, pod)


@dataclass(frozen=True)
class Rows:
    """The running parts. A row's name is its id, such as F12."""

    server: LocalApiServer
    proxy: FaultProxy
    operator: OperatorProcess
    log: Path
    pods: ManyPods
    spaces: Mapping[str, Space]
    notes: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, row: str) -> Space:
        return self.spaces[row]

    def story(self) -> str:
        """Everything that a failed row needs to be understood, the seed included."""
        return self.proxy.story() + self.operator.story()

    def calls(self, row: str) -> list[tuple[float, Call]]:
        """Calls to the row's namespace, with their times."""
        namespace = self.spaces[row].namespace
        return [(when, call) for when, call in list(self.proxy.record.calls) if call.namespace == namespace]

    def writes(self, row: str) -> int:
        """How many writes to the row's namespace were tried."""
        return sum(call.verb in WRITES for _, call in self.calls(row))

    def jobs_created(self, row: str) -> Counter[str]:
        """Names of the batch Jobs that the server created in the row's namespace."""
        mark = f"/namespaces/{self.spaces[row].namespace}/jobs"
        return Counter(
            write.name for write in self.proxy.record.writes if write.path.endswith(mark) and write.status == 201
        )

    def attempts(self, row: str) -> Counter[tuple[str, str, int]]:
        """How many pods each (job, phase, attempt) of the row had."""
        phases = self.pods.of(self.spaces[row].namespace)
        return Counter((phase.job, phase.phase, phase.attempt) for phase in phases)

    def finished(self, row: str, name: str, seconds: float = 60) -> Object:
        """The status at the job's end."""
        status: Object = self.spaces[row].finished(name, seconds, self.story)["status"]
        return status

    def until_running(self, row: str, name: str, phase: str = "one", seconds: float = 60) -> Object:
        """The status once the phase runs."""

        def runs(status: Object) -> bool:
            return status.get("state") == "Running" and status.get("phase") == phase

        status: Object = self.spaces[row].until(name, runs, f"phase {phase}", seconds, self.story)["status"]
        return status

    def pod_of(self, row: str, name: str, phase: str = "one") -> Object:
        """The one pod of a job's phase that has not ended; waits until it is there and was played."""
        found: list[Object] = []

        def there() -> bool:
            found[:] = [pod for pod in self.spaces[row].pods() if _is_live_pod_of(pod, name, phase)]
            return len(found) == 1 and found[0]["metadata"]["name"] in self.pods.seen

        wait_until(f"one live pod of {name}/{phase}", there, seconds=30)
        return found[0]

    def metrics(self) -> str:
        """The operator's metrics, as text."""
        port = _PORT.findall(self.log.read_text())[-1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
        return text


def _is_live_pod_of(pod: Object, name: str, phase: str) -> bool:
    labels = pod["metadata"]["labels"]
    mine = labels["audiojobs.dev/job"] == name and labels["audiojobs.dev/phase"] == phase
    live = "deletionTimestamp" not in pod["metadata"]
    return mine and live and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def make_spaces(server: LocalApiServer, rows: Sequence[str], **phase: Any) -> dict[str, Space]:
    """A namespace and a pipeline for each row."""
    return {row: make_space(server, **phase) for row in rows}


@contextmanager
def operating(
    server: LocalApiServer,
    folder: Path,
    spaces: Mapping[str, Space],
    rules: Sequence[Rule] = (),
    *,
    module: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Rows]:
    """An operator over all spaces, ready to decide. ``settings`` are added to its environment."""
    namespaces = [space.namespace for space in spaces.values()]
    log = folder / "log"
    with FaultProxy(server) as proxy:
        proxy.begin(plan=Plan(tuple(rules)))
        kubeconfig = proxy.write_kubeconfig(folder / "kubeconfig")
        environment = {"AUDIOJOB_LEASE__NAME": namespaces[0], **(settings or {})}
        operator = OperatorProcess(kubeconfig, namespaces, log, module, **environment)
        with ManyPods(server.rest, namespaces, play) as pods, operator:
            rows = Rows(server, proxy, operator, log, pods, spaces)
            until_decides(rows)
            yield rows
            forget(spaces.values())


def forget(spaces: Iterable[Space]) -> None:
    """Delete what is left, so that it takes no slot from the jobs of the next operator."""
    for space in spaces:
        with suppress(RestError):  # the whole namespace may be gone
            space.rest.request("DELETE", space.jobs_path, {"propagationPolicy": "Background"})


def until_decides(rows: Rows, starts: int = 1) -> None:
    """Wait until the operator that was started ``starts`` times holds its Lease."""

    def holds() -> bool:
        return rows.log.read_text().count("holding Lease") >= starts

    wait_until("the operator to hold its Lease", holds, seconds=30)


def stop(rows: Rows) -> None:
    """SIGKILL, so that nothing is put in order first."""
    rows.operator.send(signal.SIGKILL)
    rows.operator.wait(60)


def start(rows: Rows) -> None:
    """Start it again and wait until it decides."""
    before = rows.log.read_text().count("holding Lease")
    rows.operator.start()
    until_decides(rows, before + 1)
