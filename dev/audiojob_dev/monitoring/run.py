"""`make monitoring`: a Prometheus on this machine that scrapes operator and API of a cluster, with the chart's rules.

The environment may name another program (PROMETHEUS=/path/to/prometheus), and another cluster (CONTEXT=name).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from audiojob_dev.cluster.embedded import Cluster
from audiojob_dev.errors import DevError
from audiojob_dev.kubectl import Kubectl
from audiojob_dev.monitoring import rulefile
from audiojob_dev.monitoring.scrape import ALLOWED_PATHS, SELECTOR, Target, configuration, targets, targets_file
from audiojob_dev.paths import Paths
from audiojob_dev.progress import Progress
from audiojob_dev.rest import wait_until
from audiojob_dev.tools import debian, processes
from audiojob_dev.tools.processes import Program

_START_SECONDS: Final = 60.0
_REFRESH_SECONDS: Final = 5.0
LOOK_AT: Final[Mapping[str, str]] = {
    "jobs by state": "sum by (state) (audiojob_operator_audiojobs)",
    "how jobs end": "sum by (state, reason) (audiojob_operator_finished_audiojobs_total) > 0",
    "run time by phase": (
        "histogram_quantile(0.5, sum by (le, phase) (rate(audiojob_operator_phase_run_seconds_bucket[1h])))"
    ),
    "what attempts wait for before they work": (
        "histogram_quantile(0.9, sum by (le, stage) (rate(audiojob_operator_attempt_start_seconds_bucket[1h])))"
    ),
    "reconciles a second": "sum by (result) (rate(audiojob_operator_reconciles_total[1m]))",
    "requests to the API": "sum by (route, status) (rate(audiojob_api_request_seconds_count[1m]))",
}


@dataclass(frozen=True, slots=True)
class Running:
    """A Prometheus that runs, and how its targets are kept up to date."""

    url: str
    _kubectl: Kubectl
    _proxy: str
    _targets: Path
    _started: tuple[subprocess.Popen[bytes], ...]
    _folder: Path

    def refresh(self) -> list[Target]:
        """Tell Prometheus which pods there are now; what is scraped. Raises DevError where a program has ended."""
        for process, name in zip(self._started, ("kubectl-proxy", "prometheus"), strict=True):
            if process.poll() is not None:
                log = processes.tail(self._folder / f"{name}.log")
                raise DevError(f"{name} ended with status {process.returncode}:\n{log}")
        found = targets(pods(self._kubectl))
        fresh = self._targets.with_suffix(".new")
        fresh.write_text(targets_file(found, self._proxy), encoding="utf-8")
        fresh.replace(self._targets)
        return found

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series that an instant query returns. Raises DevError with Prometheus' words."""
        address = f"{self.url}/api/v1/query?query={quote(query)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - of this machine
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except OSError as error:
            raise DevError(f"Prometheus does not answer {query}: {error}") from None
        return found


def pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    """Operator and API of every release."""
    found: list[dict[str, Any]] = json.loads(kubectl("get", "pods", "-A", "-l", SELECTOR, "-o", "json"))["items"]
    return found


@contextmanager
def prometheus(
    paths: Paths,
    environment: Mapping[str, str],
    interval: str = "5s",
    rules_of: Callable[[str], str] = rulefile.filled,
) -> Iterator[Running]:
    """A Prometheus with the chart's rules while entered; nothing of it is left. Raises DevError.

    `rules_of`: the rule file for a release in a namespace.
    """
    kubectl = _kubectl(paths, environment)
    namespaces = sorted({each.namespace for each in targets(pods(kubectl))})
    if not namespaces:
        raise DevError("no operator runs in this cluster: run `make demo`, or install the chart (docs/install.md).")
    program = _program(paths, environment)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="audiojob-monitoring-")))
        rules = [folder / f"rules-{namespace}.yaml" for namespace in namespaces]
        for file, namespace in zip(rules, namespaces, strict=True):
            file.write_text(rules_of(namespace), encoding="utf-8")
        (folder / "targets.json").write_text("[]", encoding="utf-8")
        text = configuration(rules, folder / "targets.json", interval)
        (folder / "prometheus.yml").write_text(text, encoding="utf-8")
        ports = processes.free_port(), processes.free_port()
        commands = (_proxy(kubectl, ports[0]), _prometheus(program, folder, ports[1]))
        started = tuple(processes.start(each, folder, folder, die_with_parent=True) for each in commands)
        stack.callback(_stop, started)
        running = Running(
            f"http://127.0.0.1:{ports[1]}", kubectl, f"127.0.0.1:{ports[0]}", folder / "targets.json", started, folder
        )
        wait_until("Prometheus", lambda: _ready(running), seconds=_START_SECONDS)
        yield running


def _kubectl(paths: Paths, environment: Mapping[str, str]) -> Kubectl:
    context = environment.get("CONTEXT")
    if not context:
        cluster = Cluster(paths)
        cluster.require_up()
        return cluster.kubectl
    program = shutil.which("kubectl")
    if program is None:
        raise DevError(f"CONTEXT={context} needs kubectl on the PATH.")
    return Kubectl(Path(program), context)


def _program(paths: Paths, environment: Mapping[str, str]) -> list[str]:
    """The command of Prometheus."""
    named = environment.get("PROMETHEUS")
    if named:
        if shutil.which(named) is None:
            raise DevError(f"PROMETHEUS={named} is no program.")
        return [named]
    with Progress() as progress:
        root = debian.prometheus(paths, progress)
    # Debian builds it with pages that lie beside the program.
    return [
        str(root / "usr" / "bin" / "prometheus"),
        f"--web.local-assets={root / 'usr' / 'share' / 'prometheus' / 'web'}/",
    ]


def _proxy(kubectl: Kubectl, port: int) -> Program:
    where = [f"--kubeconfig={kubectl.kubeconfig}"] if kubectl.kubeconfig else []
    command = [str(kubectl.program), *where, f"--context={kubectl.context}", "proxy", f"--port={port}"]
    return Program(
        "kubectl-proxy", [*command, f"--accept-paths={ALLOWED_PATHS}", "--reject-methods=POST,PUT,PATCH,DELETE"]
    )


def _prometheus(program: list[str], folder: Path, port: int) -> Program:
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    return Program("prometheus", [*program, *(f"--{name}={value}" for name, value in options.items())])


def _stop(started: Collection[subprocess.Popen[bytes]]) -> None:
    processes.stop([each.pid for each in started], grace_seconds=5)
    for each in started:
        each.wait()  # it has ended, and its object should know


def _ready(running: Running) -> bool:
    running.refresh()
    with suppress(OSError), urllib.request.urlopen(f"{running.url}/-/ready", timeout=5) as answer:  # noqa: S310
        return bool(answer.status == 200)
    return False


def show(paths: Paths, interval: str) -> None:
    """Run it until Ctrl-C. Raises DevError."""
    with prometheus(paths, os.environ, interval) as running:
        wait_until("the first scrape", lambda: bool(running.ask("audiojob_operator_leading")), seconds=_START_SECONDS)
        print(f"Prometheus: {running.url}/graph")
        print(f"Targets:    {running.url}/targets")
        print(f"Alerts:     {running.url}/alerts\n")
        for about, query in LOOK_AT.items():
            print(f"{about}:\n  {running.url}/graph?g0.range_input=15m&g0.tab=0&g0.expr={quote(query)}")
        print("\nCtrl-C ends it; what it has stored goes with it.", flush=True)
        with suppress(KeyboardInterrupt):
            _keep(running)


def _keep(running: Running) -> None:
    known: list[Target] = []
    while True:
        try:
            found = running.refresh()
        except subprocess.TimeoutExpired:
            found = known  # the cluster is busy
        if found != known:
            print(f"scraped: {', '.join(f'{each.pod}:{each.port}' for each in found) or 'nothing'}", flush=True)
            known = found
        time.sleep(_REFRESH_SECONDS)
