"""An API server without nodes, for tests: etcd and kube-apiserver, and the Job controllers where asked for.

Needs no root, takes about five seconds, listens on random loopback ports, lives in one temporary folder.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiojob_dev.cluster import controlplane
from audiojob_dev.cluster.pki import Authority, KeyPair
from audiojob_dev.errors import DevError
from audiojob_dev.kubectl import Kubectl, types_served
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.progress import Progress
from audiojob_dev.rest import Rest, RestError, wait_until
from audiojob_dev.tools import binaries, processes

CONTEXT = "audiojob-apiserver"
_START_SECONDS = 60.0


class LocalApiServer:
    """A running API server. `rest` speaks as cluster admin."""

    def __init__(self, folder: Path, programs: Path) -> None:
        ports = [processes.free_port() for _ in range(4)]
        self._plane = controlplane.ControlPlane(
            folder=folder,
            binaries=programs,
            address="127.0.0.1",
            api_port=ports[0],
            etcd_port=ports[1],
            controller_manager_port=ports[2],
            scheduler_port=ports[3],
            has_nodes=False,
        )
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        authority = Authority(self._plane.certificates, dt.datetime.now(dt.UTC))
        self.kubeconfig: Path = controlplane.write_files(self._plane, authority, CONTEXT)
        self.context = CONTEXT
        self.rest = Rest(self.url, self.authority, self.admin)
        self.kubectl = Kubectl(programs / "kubectl", CONTEXT, self.kubeconfig)

    @property
    def url(self) -> str:
        return self._plane.url

    @property
    def authority(self) -> Path:
        """PEM certificate that signed the server's."""
        return self._plane.authority

    @property
    def admin(self) -> KeyPair:
        """Client certificate and key of a cluster admin."""
        return self._plane.admin

    @property
    def audit_log(self) -> Path:
        """JSON lines, one for each finished write."""
        return self._plane.audit_log

    def start(self) -> None:
        """Start etcd and the API server and return when it is ready; on failure nothing stays behind."""
        has_served = self._plane.folder / "has-served"
        if not has_served.exists():
            # etcd that is killed in its first moments leaves a member that never elects a leader.
            shutil.rmtree(self._plane.etcd_data, ignore_errors=True)
        try:
            self._spawn(controlplane.etcd(self._plane))
            self._spawn(controlplane.api_server(self._plane))
            self._wait("the API server", self._ready)
            has_served.touch()
        except BaseException:
            self.stop()
            raise

    def start_controllers(self) -> None:
        """Start the Job, garbage, TTL, service-account and namespace controllers, once."""
        if "kube-controller-manager" not in self._running:
            self._spawn(controlplane.controller_manager(self._plane))
            self._wait("the controllers", self._controllers_ready)

    def stop(self) -> None:
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            process = self._running.pop(name, None)
            if process:
                processes.stop([process.pid], grace_seconds=8)
                process.wait()

    def apply_crds(self, folder: Path) -> None:
        """Apply every YAML file of `folder` and return when all of its resource types are served."""
        files = sorted(folder.glob("*.yaml"))
        if not files:
            raise DevError(f"{folder} holds no *.yaml: run `make generate`.")
        names = [argument for file in files for argument in ("-f", str(file))]
        self.kubectl("apply", "--server-side", *names)
        self._wait("the resource types", lambda: types_served(json.loads(self.kubectl("get", "-o", "json", *names))))

    def create_namespace(self, name: str, labels: dict[str, str] | None = None) -> None:
        """Create a namespace with its `default` service account, also where no controller would make that."""
        self.rest.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels or {}}})
        self.ensure_service_account(name, "default")

    def ensure_service_account(self, namespace: str, name: str) -> None:
        try:
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
            self.rest.request("POST", path, {"metadata": {"name": name}})
        except RestError as error:
            if error.status != 409:
                raise

    def service_account_token(
        self,
        namespace: str,
        name: str,
        *,
        audiences: tuple[str, ...] = (),
        pod: str | None = None,
        seconds: int = 3600,
    ) -> str:
        """A token of the service account; bound to `pod` (its current uid) where one is named."""
        spec: dict[str, Any] = {"expirationSeconds": seconds, "audiences": list(audiences)}
        if pod:
            found = self.rest.request("GET", f"/api/v1/namespaces/{namespace}/pods/{urllib.parse.quote(pod)}")
            uid = found["metadata"]["uid"]
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        token: str = self.rest.request("POST", path, body)["status"]["token"]
        return token

    def write_token_kubeconfig(self, path: Path, token: str, namespace: str) -> Path:
        """Write a kubeconfig that speaks with a bearer token, for programs that are to run with limited rights."""
        document = json.loads(self.kubeconfig.read_text())
        document["users"][0]["user"] = {"token": token}
        document["contexts"][0]["context"]["namespace"] = namespace
        path.touch(mode=0o600)
        path.write_text(json.dumps(document))
        return path

    def _spawn(self, program: processes.Program) -> None:
        folder = self._plane.folder
        self._running[program.name] = processes.start(program, folder, folder / "logs", die_with_parent=True)

    def _wait(self, what: str, check: Callable[[], bool]) -> None:
        def unless_dead() -> bool:
            for name, process in self._running.items():
                if process.poll() is not None:
                    log = processes.tail(self._plane.folder / "logs" / f"{name}.log")
                    raise DevError(f"{name} ended with status {process.returncode}:\n{log}")
            return bool(check())

        wait_until(what, unless_dead, seconds=_START_SECONDS)

    def _ready(self) -> bool:
        # The post-start hooks create the bootstrap roles and the default namespaces.
        return bool(self.rest.request("GET", "/readyz") == "ok") and bool(
            self.rest.request("GET", "/api/v1/namespaces/default")
        )

    def _controllers_ready(self) -> bool:
        # Service accounts of the controllers prove that they are past their start.
        path = "/api/v1/namespaces/kube-system/serviceaccounts/job-controller"
        return bool(self.rest.request("GET", path))


@contextmanager
def fresh_apiserver(name: str, *, controllers: bool = False) -> Iterator[LocalApiServer]:
    """One with our resource types, in a temporary folder of that name; the Job controllers too where asked for."""
    wanted = ("etcd", "kube-apiserver", "kubectl", *(("kube-controller-manager",) if controllers else ()))
    with Progress() as progress:
        programs = binaries.ensure(paths_from_environment(), wanted, progress)
    with tempfile.TemporaryDirectory(prefix=f"audiojob-{name}-", ignore_cleanup_errors=True) as folder:
        server = LocalApiServer(Path(folder), programs)
        server.start()
        try:
            server.apply_crds(repository() / "crds")
            if controllers:
                server.start_controllers()
            yield server
        finally:
            server.stop()
