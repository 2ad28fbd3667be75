"""The embedded cluster as a whole: up, down, status. One per machine; its state lies in one folder."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from audiojob_dev.cluster import addons, controlplane, host, node, pause, volumes
from audiojob_dev.cluster.containers import Containers, containerd_alone
from audiojob_dev.cluster.controlplane import ControlPlane
from audiojob_dev.cluster.node import Node
from audiojob_dev.cluster.pki import Authority
from audiojob_dev.errors import DevError
from audiojob_dev.kubectl import Kubectl
from audiojob_dev.paths import Paths
from audiojob_dev.progress import Progress
from audiojob_dev.rest import Rest, wait_until
from audiojob_dev.tools import binaries, packages, processes
from audiojob_dev.tools.locks import locked
from audiojob_dev.tools.processes import Program

CONTEXT = "audiojob-embedded"
FREE_VOLUMES = 30
DEFAULT_ADDRESS = "10.254.0.1"
_CGROUP = "/audiojob"
_START_SECONDS = 120.0
_LOCK_SECONDS = 600.0
PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kubectl",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
)
# Those that make service rules, of Kubernetes' distributions in one program too.
_NODE_PROGRAMS = ("kubelet", "kube-proxy", "k3s", "k0s", "kubelite")
_DAEMONS = (*(name for name in PROGRAMS if name != "kubectl"), "containerd")


@dataclass(frozen=True, slots=True)
class Record:
    """What the state folder remembers of the cluster that was started in it (`cluster.json`)."""

    address: str
    binaries: str
    etcd_port: int
    forwarding_was_off: bool


@dataclass(frozen=True, slots=True)
class Status:
    """`running` and `missing` name programs; `ready` is the node's condition as the API server tells it."""

    running: tuple[str, ...]
    missing: tuple[str, ...]
    ready: bool

    @property
    def up(self) -> bool:
        return self.ready and not self.missing

    @property
    def absent(self) -> bool:
        return not self.running


class Cluster:
    """The cluster of one pair of folders, running or not."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._record_file = paths.state / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        return self.paths.kubeconfig

    @property
    def rest(self) -> Rest:
        """Speaks as cluster admin. Raises DevError where the cluster is not up."""
        plane = self.plane(self._record())
        return Rest(plane.url, plane.authority, plane.admin)

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(Path(self._record().binaries) / "kubectl", CONTEXT, self.kubeconfig)

    @property
    def containers(self) -> Containers:
        return Containers(self.paths.state / "containerd.sock")

    def status(self) -> Status:
        found = set(processes.tagged(self.paths.state).values())
        running = tuple(name for name in _DAEMONS if name in found)
        ready = False
        if self._record_file.exists() and "kube-apiserver" in running:
            try:
                ready = addons.node_is_ready(self.rest, timeout=5)
            except (OSError, ValueError, DevError):
                ready = False
        return Status(running, tuple(name for name in _DAEMONS if name not in found), ready)

    def up(self, progress: Progress, gpus: int | None = None) -> None:
        """Start the cluster unless it is up; what a crash left is cleaned up first.

        `gpus` sets the number of fake GPUs that the node offers; None leaves it as it is.
        Raises DevError; nothing but logs stays behind then.
        """
        require_root()
        self.paths.state.mkdir(parents=True, exist_ok=True, mode=0o755)
        with self._locked():
            status = self.status()
            if not status.up:
                self._prepare(progress, status)
                self._start_or_clean_up(progress)
            volumes.ensure(self.rest, self.paths.state / "volumes", FREE_VOLUMES)
            if gpus is not None:
                addons.offer_gpus(self.rest, gpus)

    def before_start(self, use: Callable[[Containers], None]) -> None:
        """Call `use` with a containerd of its own over the cluster's images, unless the cluster runs or has run."""
        require_root()
        packages.ensure(packages.NODE_REQUIREMENTS, announce=lambda _: None)
        self.paths.state.mkdir(parents=True, exist_ok=True, mode=0o755)
        with self._locked():
            if self.status().absent and not self._record_file.exists():
                with containerd_alone(self.paths.containerd_root, self.paths.logs) as containers:
                    use(containers)

    def down(self, progress: Progress) -> None:
        """Stop everything and remove all state. Images stay in the cache. Safe to repeat at any time."""
        require_root()
        if self.paths.state.exists():
            with self._locked(), progress.step("stop the embedded cluster"):
                self._tear_down()
        # buildah leaves its storage mounted on itself, which would keep the cache from being removed.
        host.unmount_idle(self.paths.cache / "containers")

    def require_up(self) -> None:
        """Raises DevError unless the cluster is up."""
        if not self.status().up:
            raise DevError("the embedded cluster is not up: python -m audiojob_dev up")

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.paths.state / ".lock", seconds=_LOCK_SECONDS, holder="another up or down of this cluster")

    def _record(self) -> Record:
        try:
            return Record(**json.loads(self._record_file.read_text()))
        except FileNotFoundError:
            raise DevError("the embedded cluster is not up: python -m audiojob_dev up") from None

    def write_record(self, record: Record) -> None:
        """Aside first: a record that was cut short could neither be started over nor be taken down."""
        fresh = self._record_file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(record)))
        fresh.replace(self._record_file)

    def plane(self, record: Record) -> ControlPlane:
        return ControlPlane(
            folder=self.paths.state,
            binaries=Path(record.binaries),
            address=record.address,
            api_port=6443,
            etcd_port=record.etcd_port,
            controller_manager_port=10257,
            scheduler_port=10259,
            has_nodes=True,
        )

    def _prepare(self, progress: Progress, status: Status) -> None:
        if not status.absent or self._record_file.exists():
            with progress.step("clean up what an earlier run left"):
                self._tear_down()
        claim_machine(self.paths, progress)

    def _start_or_clean_up(self, progress: Progress) -> None:
        with progress.step("system packages") as step:
            packages.ensure(packages.NODE_REQUIREMENTS, announce=lambda text: setattr(step, "detail", text))
        folder = binaries.ensure(self.paths, PROGRAMS, progress)
        with progress.step("pause image"):
            pause_archive = pause.archive(self.paths)
        try:
            _Start(self, folder, progress).run(pause_archive)
        except BaseException:
            self._tear_down(keep_logs=True)
            raise

    def _tear_down(self, *, keep_logs: bool = False) -> None:
        state = self.paths.state
        record = self._record() if self._record_file.exists() else None
        # Address, rules and cgroups are the machine's: a record left by a reboot must not hurt a cluster that runs now.
        owns_machine = record is not None and not _others(state)
        self._stop("kubelet")
        if owns_machine:
            host.remove_cgroups(_CGROUP)
            self._remove_containers()
        self._stop(*_DAEMONS)
        # Shims, and whatever else was started below.
        processes.stop(list(processes.tagged(state)), grace_seconds=2)
        host.unmount_below([state, self.paths.containerd_root])
        if record and owns_machine:
            host.forget_service_rules(Path(record.binaries) / "kube-proxy")
            host.restore_network(record.address, turn_forwarding_off=record.forwarding_was_off)
        kept = {".lock", "logs"} if keep_logs else {".lock"}
        for entry in state.iterdir():
            if entry.name not in kept:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()

    def _stop(self, *names: str) -> None:
        found = processes.tagged(self.paths.state)
        processes.stop([pid for pid, name in found.items() if name in names], grace_seconds=3)

    def _remove_containers(self) -> None:
        """containerd keeps containers on disk: after a crash it is started once more to forget them."""
        configuration = self.paths.state / "containerd.toml"
        if not configuration.exists():
            return
        if "containerd" not in processes.tagged(self.paths.state).values():
            path = packages.program("containerd")
            if path is None:
                return
            program = Program("containerd", [path, "--config", str(configuration)])
            processes.start(program, self.paths.state, self.paths.logs)
        wait_until("containerd", self.containers.answers, seconds=_START_SECONDS)
        self.containers.remove_all()


class _Start:
    """One start, step by step."""

    def __init__(self, cluster: Cluster, folder: Path, progress: Progress) -> None:
        self._cluster = cluster
        self._paths = cluster.paths
        self._progress = progress
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        # Those of a start that failed.
        shutil.rmtree(self._paths.logs, ignore_errors=True)
        address = _address()
        with progress.step("network"):
            # Written before the machine is changed, so that a crash from here on can be undone.
            was_off = host.forwarding_is_off()
            self._record = Record(address, str(folder), processes.free_port(), was_off)
            cluster.write_record(self._record)
            host.prepare_network(address)
            host.prepare_cgroups(_CGROUP)
        self._plane = cluster.plane(self._record)
        self._node = Node(
            plane=self._plane,
            containerd_root=self._paths.containerd_root,
            containerd_program=packages.program("containerd") or "containerd",
            may_lower_oom_score=host.may_lower_oom_score(Path("/proc/self/status").read_text()),
            cgroup_root=_CGROUP,
        )

    def run(self, pause_archive: Path) -> None:
        with self._progress.step("certificates and configuration"):
            self._write_files()
        with self._progress.step("etcd, API server, containerd"):
            self._spawn(controlplane.etcd(self._plane))
            self._spawn(node.containerd(self._node))
            self._spawn(controlplane.api_server(self._plane))
            self._wait("containerd", self._cluster.containers.answers)
            self._cluster.containers.import_archive(pause_archive)
            self._wait("the API server", lambda: bool(self._cluster.rest.request("GET", "/readyz") == "ok"))
        with self._progress.step("controllers, scheduler, node"):
            self._spawn(controlplane.controller_manager(self._plane))
            self._spawn(controlplane.scheduler(self._plane))
            self._spawn(node.kubelet(self._node))
            self._spawn(node.kube_proxy(self._node))
            rest = self._cluster.rest
            addons.install(rest, self._plane.address)
            self._spawn(node.coredns(self._node))
            self._wait("the node to be Ready", lambda: addons.node_is_ready(rest))
            self._wait("the default service account", lambda: addons.has_default_service_account(rest))

    def _write_files(self) -> None:
        authority = Authority(self._plane.certificates, dt.datetime.now(dt.UTC))
        controlplane.write_files(self._plane, authority, CONTEXT)
        user, groups = f"system:node:{node.NODE_NAME}", ("system:nodes",)
        controlplane.write_client(self._plane, authority, "kubelet", user, groups)
        controlplane.write_client(self._plane, authority, "coredns", "system:coredns")
        authority.issue("kubelet-serving", node.NODE_NAME, hosts=[node.NODE_NAME, self._plane.address])
        resolv = Path("/etc/resolv.conf")
        forwards = resolv.exists() and host.has_name_servers(resolv.read_text())
        node.write_files(self._node, forwards_dns=forwards)

    def _spawn(self, program: Program) -> None:
        self._started[program.name] = processes.start(program, self._paths.state, self._paths.logs)

    def _wait(self, what: str, check: Callable[[], bool]) -> None:
        def unless_dead() -> bool:
            # Not by the tag: a program that is still being loaded from a cold disk has no environment to look at yet.
            for name, process in self._started.items():
                if process.poll() is not None:
                    log = processes.tail(self._paths.logs / f"{name}.log")
                    raise DevError(f"{name} ended with status {process.returncode}:\n{log}")
            return check()

        try:
            wait_until(what, unless_dead, seconds=_START_SECONDS)
        except DevError as error:
            raise DevError(f"{error}\nLogs: {self._paths.logs}") from None


def require_root() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise DevError(
            "the embedded cluster needs root on Linux (containers, mounts, network rules). "
            "Run as root, or name a cluster of yours: CONTEXT=<context>."
        )


def _others(state: Path) -> set[str]:
    """State folders of other embedded clusters that run now."""
    return processes.clusters_running("kubelet") - {str(state)}


def _address() -> str:
    return os.environ.get("AUDIOJOB_NODE_ADDRESS") or DEFAULT_ADDRESS


def claim_machine(paths: Paths, progress: Progress) -> None:
    """Two nodes on one machine would share network rules and cgroups, and break each other.

    What an embedded cluster left behind that was killed, and whose folder is another one or no more, is removed.
    Raises DevError where another node runs, or may run.
    """
    others = _others(paths.state)
    if others:
        other = min(others)
        raise DevError(
            f"another embedded cluster runs on this machine; stop it: AUDIOJOB_STATE_DIR={other} "
            "python -m audiojob_dev down"
        )
    if host.has_service_rules() and host.has_rules_of_ours() and not processes.any_running(_NODE_PROGRAMS):
        folder = binaries.ensure(paths, PROGRAMS, progress)
        with progress.step("clean up what another embedded cluster left"):
            host.remove_cgroups(_CGROUP)
            host.forget_service_rules(folder / "kube-proxy")
            host.restore_network(_address(), turn_forwarding_off=False)
    if host.has_service_rules():
        raise DevError(
            "this machine already has a Kubernetes node (iptables chain KUBE-SERVICES), which a second one would "
            "disturb. Use that cluster: CONTEXT=<context>; or remove its rules if it is gone: kube-proxy --cleanup"
        )
