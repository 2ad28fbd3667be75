"""Simulated nodes: kwok plays the kubelet, so that thousands of pods run without one container.

For benchmarks and tests only; `make demo` and the embedded cluster never ask for it. A simulated phase ends as a real
one does, with a termination message that is a valid `PhaseResult`: without it every phase would end without a result.
"""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from audiojob_dev.cluster import controlplane
from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.cluster.pki import KeyPair
from audiojob_dev.paths import Paths, paths_from_environment, repository
from audiojob_dev.progress import Progress
from audiojob_dev.rest import MERGE_PATCH
from audiojob_dev.tools import binaries
from audiojob_dev.tools.processes import Program
from audiojob_dev.tools.versions import KWOK
from audiojob_types.constants import (
    ANNOTATION_INPUTS,
    LABEL_ATTEMPT,
    LABEL_PHASE,
    LABEL_POOL,
    LABEL_UID,
    MANIFEST_NAME,
)
from audiojob_types.contract import ManifestRef, Outcome, OutputRef, PhaseResult
from audiojob_types.progress import PhaseUsage

PLANE_BINARIES = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler")

Object = dict[str, Any]

_STAGE = "kwok.x-k8s.io/v1alpha1"
_SHA256 = "0" * 64
_OUTPUT_BYTES = 64
_POD_PARALLELISM = 16
# Each Job costs the controllers about eight calls: at the embedded cluster's limit of 300 calls a second they, and
# not the machine, would decide how fast Jobs run.
_CONTROLLER_QPS = 1_000
_CONTROLLER_BURST = 2_000
# The controllers that look after nodes which stop answering and after claims, and their times: a lost node is found in
# seconds. Kubernetes' own are 50 s, and then one node every ten seconds.
_CONTROLLERS_OF_NODES = (
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "persistentvolume-binder-controller",
    "persistentvolumeclaim-protection-controller",
)
_TIMES_OF_NODES = ("--node-monitor-period=1s", "--node-monitor-grace-period=5s", "--node-eviction-rate=10")
_NODE_LEASE_SECONDS = 4
_NEVER_MILLISECONDS = 24 * 3_600_000
# 253 addresses are not enough for the pods of one benchmark.
_POD_RANGE = "10.128.0.1/10"


def ensure(paths: Paths, progress: Progress) -> tuple[Path, Path]:
    """Build what a `SimulatedCluster` runs, once: the folder of the control plane's programs, and kwok."""
    return binaries.ensure(paths, PLANE_BINARIES, progress), binaries.ensure_apart(paths, KWOK, progress)


def result_template(usage: PhaseUsage | None = None) -> str:
    """A Go template that makes a pod's termination message: success, with a manifest in the phase's own folder."""
    manifest = ManifestRef(key=f"%s/%s/%s/%s-%.8s/{MANIFEST_NAME}", sha256=_SHA256, count=1)
    output = OutputRef(name="output", media_type="application/octet-stream", bytes=_OUTPUT_BYTES, sha256=_SHA256)
    # Of a pod that did not begin early nobody asks whether it has read what it was told.
    result = PhaseResult(outcome=Outcome.SUCCEEDED, manifest=manifest, outputs=(output,), usage=usage, told=True)
    labels = " ".join(f'(index .metadata.labels "{name}")' for name in (LABEL_UID, LABEL_PHASE, LABEL_ATTEMPT))
    message = json.dumps(result.to_wire(), separators=(",", ":"))
    return f"{{{{ printf `{message}` .metadata.namespace {labels} .metadata.uid | Quote }}}}"


def node_stages() -> list[Object]:
    """A node becomes Ready once and stays so: nobody asks for its heartbeats."""
    conditions = """
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ Now | Quote }}
  lastTransitionTime: {{ Now | Quote }}
{{ end }}
phase: Running
"""
    is_not_ready = {
        "key": '.status.conditions.[] | select( .type == "Ready" ) | .status',
        "operator": "NotIn",
        "values": ["True"],
    }
    return [_stage("node-ready", "Node", [is_not_ready], {"statusTemplate": conditions})]


def pod_stages(*, start_milliseconds: int = 0, run_milliseconds: int = 0, message: str | None = None) -> list[Object]:
    """A scheduled pod runs after `start_milliseconds`, succeeds `run_milliseconds` later, and stops when deleted.

    `message` is a Go template of its result. One that began before its inputs were there runs until it is told them,
    and a worker's until it is deleted.
    Two status writes for each pod; a real kubelet makes four. Without delays kwok repeats the first where an event from
    before it comes after it, the more the busier the machine is.
    """
    lives = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    is_new = {"key": ".status.podIP", "operator": "DoesNotExist"}
    runs = {"key": ".status.phase", "operator": "In", "values": ["Running"]}
    has_inputs = {"key": f'.metadata.annotations["{ANNOTATION_INPUTS}"]', "operator": "NotIn", "values": [""]}
    of_job = {"key": f'.metadata.labels["{LABEL_POOL}"]', "operator": "DoesNotExist"}
    is_deleted = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
    has_not_ended = {"key": ".status.phase", "operator": "In", "values": ["Pending", "Running"]}
    has_ended = {"key": ".status.phase", "operator": "In", "values": ["Succeeded", "Failed"]}
    ends = _ended(0, "Completed", "Succeeded", message or result_template())
    complete = _stage("pod-complete", "Pod", [lives, runs, has_inputs, of_job], {"statusTemplate": ends})
    complete["spec"]["delay"] = {"durationMilliseconds": run_milliseconds}
    run = _stage("pod-run", "Pod", [lives, is_new], {"statusTemplate": _RUNNING})
    run["spec"]["delay"] = {"durationMilliseconds": start_milliseconds}
    # kwok drops what it has planned for a pod only where the next event has a stage too: without this one an event from
    # before the end, read after it, ends the pod again.
    done = _stage("pod-done", "Pod", [lives, has_ended], {})
    done["spec"]["delay"] = {"durationMilliseconds": _NEVER_MILLISECONDS}
    return [
        run,
        complete,
        _stage(
            "pod-stop", "Pod", [is_deleted, has_not_ended], {"statusTemplate": _ended(143, "Error", "Failed", '""')}
        ),
        # The finalizer of the Job controller stays: a kubelet would not touch it either.
        _stage("pod-delete", "Pod", [is_deleted, has_ended], {"delete": True}),
        done,
    ]


_RUNNING = """
{{ $now := Now }}
conditions:
{{ range $type := list "Initialized" "Ready" "ContainersReady" }}
- type: {{ $type }}
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: true
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
phase: Running
startTime: {{ $now | Quote }}
"""
_ENDED = """
containerStatuses:
- name: {{ (index .spec.containers 0).name | Quote }}
  image: {{ (index .spec.containers 0).image | Quote }}
  ready: false
  restartCount: 0
  started: false
  state:
    terminated:
      exitCode: EXIT_CODE
      reason: REASON
      finishedAt: {{ Now | Quote }}
      message: MESSAGE
phase: PHASE
"""


def _ended(exit_code: int, reason: str, phase: str, message: str) -> str:
    """Template of the status of a pod whose only container has ended."""
    values = {"EXIT_CODE": str(exit_code), "REASON": reason, "PHASE": phase, "MESSAGE": message}
    return re.sub("|".join(values), lambda found: values[found[0]], _ENDED)


def _stage(name: str, kind: str, expressions: Sequence[Object], following: Object) -> Object:
    return {
        "apiVersion": _STAGE,
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": list(expressions)},
            "next": following,
        },
    }


def configuration(stages: Sequence[Object]) -> str:
    """kwok's configuration file: its options and all stages, as YAML documents (JSON is YAML)."""
    options = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {"podPlayStageParallelism": _POD_PARALLELISM, "cidr": _POD_RANGE},
    }
    return "".join(f"---\n{json.dumps(document, indent=1)}\n" for document in (options, *stages))


def node(name: str, *, pods: int = 10_000, gpus: int = 0) -> Object:
    """A node with room for anything but GPUs."""
    room = {"cpu": "10k", "memory": "100Ti", "ephemeral-storage": "1Pi", "pods": str(pods)}
    if gpus:
        room["nvidia.com/gpu"] = str(gpus)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "type": "kwok"}},
        "status": {"allocatable": room, "capacity": room},
    }


class SimulatedCluster(LocalApiServer):
    """The API server of the tests with controllers, and with a scheduler and kwok as `start_nodes` adds them."""

    def __init__(self, folder: Path, programs: Path, kwok: Path) -> None:
        super().__init__(folder, programs)
        self._kwok = kwok

    @property
    def etcd_url(self) -> str:
        return f"https://127.0.0.1:{self._plane.etcd_port}"

    @property
    def etcd_client(self) -> KeyPair:
        """The API server's certificate and key for etcd: full access."""
        return self._plane.pair("apiserver-etcd")

    def start_controllers(self, *, of_nodes: bool = False) -> None:
        """Start the controllers, once. ``of_nodes``: those too that act when a node stops answering, within seconds."""
        if "kube-controller-manager" not in self._running:
            program = controlplane.controller_manager(self._plane)
            more = [f"--kube-api-qps={_CONTROLLER_QPS}", f"--kube-api-burst={_CONTROLLER_BURST}"]
            if of_nodes:
                more += [f"--controllers={','.join(_CONTROLLERS_OF_NODES)}", *_TIMES_OF_NODES]
            self._spawn(replace(program, arguments=[*program.arguments, *more]))
            self._wait("the controllers", self._controllers_ready)

    def start_nodes(self, nodes: Sequence[Object], stages: Sequence[Object]) -> None:
        """Start kwok with these stages and the scheduler, create the nodes, and return when all are Ready."""
        self._start_kwok("kwok", stages, ["--manage-all-nodes", "--node-lease-duration-seconds=0"])
        self.start_scheduler()
        for one in nodes:
            self.add_node(one)
        self._wait("the nodes", self._nodes_ready)

    def add_node(self, one: Object) -> None:
        """One more node for the kwok that `start_nodes` started; it is Ready soon."""
        self.rest.request("POST", "/api/v1/nodes", one)
        # Nodes are born with the taint not-ready, which a controller that does not run here would take away.
        path = f"/api/v1/nodes/{one['metadata']['name']}"
        self.rest.request("PATCH", path, {"spec": {"taints": None}}, content_type=MERGE_PATCH)

    def start_scheduler(self) -> None:
        """Start kube-scheduler."""
        self._spawn(controlplane.scheduler(self._plane))

    def start_node(self, one: Object, stages: Sequence[Object]) -> None:
        """A node with a kwok of its own, which renews its Lease as a kubelet does. Needs the controllers of nodes."""
        name = one["metadata"]["name"]
        lease = f"--node-lease-duration-seconds={_NODE_LEASE_SECONDS}"
        self._start_kwok(f"kwok-{name}", stages, [f"--manage-single-node={name}", lease])
        self.rest.request("POST", "/api/v1/nodes", one)
        self._wait(f"node {name}", lambda: self._takes_pods(name))

    def freeze_node(self, name: str) -> None:
        """From now on nothing is heard of the node, and its pods stay as they are."""
        os.kill(self._running[f"kwok-{name}"].pid, signal.SIGSTOP)

    def thaw_node(self, name: str) -> None:
        """The node answers again, and does what it was told meanwhile."""
        os.kill(self._running[f"kwok-{name}"].pid, signal.SIGCONT)

    def cordon(self, name: str, *, cordoned: bool) -> None:
        """Whether the node takes no new pods."""
        body = {"spec": {"unschedulable": cordoned}}
        self.rest.request("PATCH", f"/api/v1/nodes/{name}", body, content_type=MERGE_PATCH)

    def _start_kwok(self, name: str, stages: Sequence[Object], arguments: Sequence[str]) -> None:
        folder = self._plane.folder
        file = folder / f"{name}.yaml"
        file.write_text(configuration(stages))
        common = [str(self._kwok), f"--kubeconfig={self.kubeconfig}", f"--config={file}", "--v=WARN"]
        # Its working folder is else `~/.kwok`, whose configuration it would read too.
        self._spawn(Program(name, [*common, *arguments], {"KWOK_WORKDIR": str(folder / name)}))

    def _takes_pods(self, name: str) -> bool:
        one = self.rest.request("GET", f"/api/v1/nodes/{name}")
        return _is_ready(one) and not one["spec"].get("taints")

    def pids(self) -> dict[str, int]:
        """Process ids of what runs, by program."""
        return {name: process.pid for name, process in self._running.items()}

    def stop(self) -> None:
        for name in [*self._running]:
            if name.startswith("kwok") or name == "kube-scheduler":
                self._stop_program(name)
        super().stop()

    def _stop_program(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process:
            process.kill()  # neither holds anything that a clean end would save
            process.wait()

    def _nodes_ready(self) -> bool:
        nodes = self.rest.request("GET", "/api/v1/nodes")["items"]
        return all(_is_ready(one) for one in nodes)


@contextmanager
def fresh_cluster(name: str) -> Iterator[tuple[SimulatedCluster, Path]]:
    """A control plane with our types and nothing else, and a folder for what belongs to it; both go at the end."""
    with Progress() as progress:
        programs, kwok = ensure(paths_from_environment(), progress)
    with tempfile.TemporaryDirectory(prefix=f"audiojob-{name}-", ignore_cleanup_errors=True) as folder:
        cluster = SimulatedCluster(Path(folder) / "plane", programs, kwok)
        cluster.start()
        try:
            cluster.apply_crds(repository() / "crds")
            yield cluster, Path(folder)
        finally:
            cluster.stop()


def _is_ready(one: Object) -> bool:
    conditions = one.get("status", {}).get("conditions") or ()
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
