"""What a write to an AudioJob's status costs the API server: ``python bench/workers/typecost.py REVISION…``.

The type of each git revision stands beside the others under a group of its own. By turns, patches as the operator and
as a worker send them go to an AudioJob of each, with two phases and all conditions, and the API server's CPU time is
read. Other work on the machine makes all of them dearer, so the least of all turns is told beside the median.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import yaml
from bench.harness import machine, usage

from audiojob_dev.cluster.kwok import SimulatedCluster, fresh_cluster
from audiojob_dev.paths import repository
from audiojob_dev.rest import MERGE_PATCH, wait_until
from audiojob_types.constants import GROUP, MANAGER_OPERATOR, MANAGER_RUNNER, VERSION

Object = dict[str, Any]
Who = tuple[str, str]  # a revision, and who writes
Writers = dict[Who, Callable[[int], Object]]

_TURNS: Final = 12
_PATCHES: Final = 40
_JSON_PATCH: Final = "application/json-patch+json"
_TIME: Final = "2026-11-30T00:00:00Z"


def type_of(revision: str, group: str) -> Object:
    """The CRD of that revision, in a group of its own."""
    shown = ["git", "-C", str(repository()), "show", f"{revision}:crds/audiojobs.yaml"]
    found: Object = yaml.safe_load(subprocess.run(shown, check=True, capture_output=True, text=True).stdout)
    found["metadata"] = {"name": f"audiojobs.{group}"}
    found["spec"]["group"] = group
    del found["spec"]["names"]["shortNames"], found["spec"]["names"]["categories"]
    return found


def status() -> Object:
    """Of a job whose second phase a worker has."""
    names = ("Complete", "Failed", "Admitted", "Suspended", "Progressing")
    known = {"observedGeneration": 1, "lastTransitionTime": _TIME, "reason": "Running", "message": "The job may run."}
    uid = "54bb23c1-63d6-4740-8ff5-23430e48ab0f"
    phase = {
        "task": "Simulate", "attempt": 1, "device": "CPU", "deviceReason": "Requested", "failures": 0,
        "jobName": "bench-w-6fa818ba", "podUID": uid, "nodeName": "node-7", "memoryRequestBytes": 134_217_728,
        "startTime": _TIME, "boundTime": _TIME, "outputPrefix": f"audiojob-bench/{uid}/one/1-289daab8",
    }  # fmt: skip
    manifest = {"key": f"audiojob-bench/{uid}/one/1-289daab8/manifest.json", "sha256": "0" * 64, "count": 1}
    done = {"name": "one", "state": "Succeeded", "completionTime": _TIME, "manifest": manifest}
    return {
        "state": "Running", "percent": 50, "message": "Phase two is running.", "phase": "two", "startTime": _TIME,
        "observedGeneration": 1, "pipelineRevision": "bench-439a45d104", "outputPrefix": f"audiojob-bench/{uid}",
        "conditions": [{"type": name, "status": "False", **known} for name in names],
        "phases": [{**phase, **done}, {**phase, "name": "two", "state": "Running"}],
    }  # fmt: skip


def writers(server: SimulatedCluster, group: str) -> Iterator[tuple[str, Callable[[int], Object]]]:
    """Who patches an AudioJob of that group, and how; each call changes something."""
    jobs = f"/apis/{group}/{VERSION}/namespaces/default/audiojobs"
    body = {"apiVersion": f"{group}/{VERSION}", "kind": "AudioJob", "metadata": {"name": "job"}}
    server.rest.request("POST", jobs, {**body, "spec": {"pipeline": "bench"}})

    def by_operator(number: int, value: Any = None, path: str = "/status/phases/0/message") -> Object:
        operations = [{"op": "add", "path": path, "value": value or str(number)}]
        found: Object = server.rest.request(
            "PATCH", f"{jobs}/job/status?fieldManager={MANAGER_OPERATOR}", operations, content_type=_JSON_PATCH
        )
        return found

    def by_worker(number: int) -> Object:
        entry = {"attempt": 1, "percent": number % 100, "message": str(number)}
        found: Object = server.rest.request(
            "PATCH",
            f"{jobs}/job/status?fieldManager={MANAGER_RUNNER}",
            {"status": {"progress": {"two": entry}}},
            content_type=MERGE_PATCH,
        )
        return found

    by_operator(0, status(), "/status")
    yield "operator", by_operator
    yield "worker", by_worker


def serve(server: SimulatedCluster, revision: str, group: str) -> None:
    """Return once the type is there."""
    path, found = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", type_of(revision, group)
    server.rest.request("POST", path, found)

    def is_served() -> bool:
        conditions = server.rest.request("GET", f"{path}/{found['metadata']['name']}").get("status", {})
        return any(each["type"] == "Established" for each in conditions.get("conditions") or ())

    wait_until(revision, is_served, seconds=60)
    wait_until(revision, lambda: bool(server.rest.request("GET", f"/apis/{group}/{VERSION}")), seconds=60)


def measure(server: SimulatedCluster, made: Writers) -> tuple[dict[Who, list[float]], dict[Who, int]]:
    """Milliseconds of each turn's patches, and how large the object is."""
    pid, number = server.pids()["kube-apiserver"], 0
    spent: dict[Who, list[float]] = {who: [] for who in made}
    sizes: dict[Who, int] = {}
    for turn in range(-1, _TURNS):  # the first one warms up
        for who, write in made.items():
            before = usage(pid).cpu_seconds
            for _ in range(_PATCHES):
                number += 1
                sizes[who] = len(json.dumps(write(number)))
            if turn >= 0:
                spent[who].append((usage(pid).cpu_seconds - before) * 1000 / _PATCHES)
    return spent, sizes


def main(revisions: list[str]) -> None:
    print(machine())
    made: Writers = {}
    with fresh_cluster("typecost") as (server, _):
        for place, revision in enumerate(revisions):
            group = f"r{place}.{GROUP}"
            serve(server, revision, group)
            made |= {(revision, who): write for who, write in writers(server, group)}
        spent, sizes = measure(server, made)
    for (revision, who), costs in spent.items():
        share = statistics.median(mine / first for mine, first in zip(costs, spent[revisions[0], who], strict=True))
        numbers = f"least {min(costs):5.2f} ms  median {statistics.median(costs):5.2f} ms  {share:4.2f} of the first"
        print(f"{revision:<16} {who:<9} {sizes[revision, who]:>6} bytes  {numbers}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["HEAD"])
