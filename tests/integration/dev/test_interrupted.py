"""Commands that Ctrl-C or a crash ends half-way: no process is left, nothing half-written stays, the next one succeeds.

The compiler is a stand-in on PATH that writes half of a program and waits; etcd and the API server are real.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.demo import install
from audiojob_dev.demo.tools import Cluster, ToolError
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.rest import wait_until
from audiojob_dev.tools import binaries, processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

_INTERRUPTED = 130
_GO = """#!/bin/sh
case "$1" in version) echo "go version go1.99.0 linux/amd64"; exit;; esac
target=$GOBIN/helm
while [ $# -gt 0 ]; do [ "$1" = -o ] && target=$2; shift; done
printf half > "$target"
[ -e "$GATE" ] || exec sleep 600
printf ' whole' >> "$target"
chmod +x "$target"
"""
_SLOW_TO_TIDY = """#!{python}
import pathlib, time
try:
    pathlib.Path("{folder}/begun").touch()
    time.sleep(600)
except KeyboardInterrupt:
    time.sleep(0.5)  # longer than subprocess.run would let it live
    pathlib.Path("{folder}/tidy").touch()
"""
_DEMO = """
import sys
from audiojob_dev.demo.__main__ import _command
sys.executable = sys.argv[1]
_command("up", "--images")
"""
_CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: never-bound}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
"""
_SERVER = """
import sys
from pathlib import Path
from audiojob_dev.cluster.apiserver import LocalApiServer
server = LocalApiServer(Path(sys.argv[1]), Path(sys.argv[2]))
server.start()
print("ready", flush=True)
server.stop()
"""


class Command:
    """A command of its own process group, as a shell starts it; ``tag`` marks it and all that it starts."""

    def __init__(self, tag: Path, *arguments: str, **environment: str) -> None:
        self.tag = tag
        # A shell has what it starts in the background ignore SIGINT, and so would all that pytest starts.
        self._command = ["env", "--default-signal=INT", sys.executable, *arguments]
        self._environment = {**os.environ, processes.CLUSTER_VARIABLE: str(tag), **environment}

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command, env=self._environment, capture_output=True, text=True, check=False, timeout=100
        )

    @contextmanager
    def begun(self) -> Iterator[subprocess.Popen[bytes]]:
        """The running command. Whatever is left of it at the end is killed."""
        with subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                for pid in processes.tagged(self.tag):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def until_nothing_is_left(self) -> None:
        wait_until("the end of all that it started", lambda: not processes.tagged(self.tag), seconds=60, interval=0.05)


def end(process: subprocess.Popen[bytes], how: str) -> int:
    """Ctrl-C reaches all of the terminal's group; a crash is of the command alone."""
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    return process.wait(60)


@pytest.mark.parametrize("how", ["Ctrl-C", "crash"])
def test_a_build_that_is_cut_short_leaves_no_program_and_no_compiler(tmp_path: Path, how: str) -> None:
    gate, cache = tmp_path / "gate", tmp_path / "cache"
    go = tmp_path / "path" / "go"
    go.parent.mkdir()
    go.write_text(_GO)
    go.chmod(0o755)
    command = Command(
        tmp_path / "tag",
        *("-m", "audiojob_dev", "tools"),
        PATH=f"{go.parent}:{os.environ['PATH']}",
        AUDIOJOB_CACHE_DIR=str(cache),
        GATE=str(gate),
    )

    def half_written() -> bool:
        return any(file.read_text() == "half" for file in cache.glob("bin/*/.kubectl.new"))

    with command.begun() as process:
        wait_until("half of a program", half_written, seconds=30, interval=0.05)
        status = end(process, how)
        assert status == (_INTERRUPTED if how == "Ctrl-C" else -signal.SIGKILL)
        command.until_nothing_is_left()
    assert not list(cache.glob("bin/*/kubectl"))
    gate.touch()
    done = command.run()
    assert done.returncode == 0, done.stderr
    assert [Path(line).read_text() for line in done.stdout.split()] == ["half whole"] * 2
    assert not list(cache.glob("bin/*/.*.new"))


def test_a_server_that_is_cut_short_in_its_start_leaves_nothing_that_runs_and_starts_again(tmp_path: Path) -> None:
    with Progress() as progress:
        programs = binaries.ensure(paths_from_environment(), ("etcd", "kube-apiserver", "kubectl"), progress)
    server = tmp_path / "server"
    command = Command(server, "-c", _SERVER, str(server), str(programs))
    for how in ("crash", "Ctrl-C"):
        with command.begun() as process:
            wait_until("etcd to run", lambda: "etcd" in processes.tagged(server).values(), seconds=30, interval=0.05)
            end(process, how)
            command.until_nothing_is_left()
    database = server / "etcd" / "member" / "snap" / "db"
    database.parent.mkdir(parents=True, exist_ok=True)
    database.write_bytes(b"half")
    done = command.run()
    assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
    assert not processes.tagged(server)


def test_a_demo_that_is_interrupted_lets_the_cluster_s_command_put_in_order_what_it_has_begun(tmp_path: Path) -> None:
    program = tmp_path / "up"
    program.write_text(_SLOW_TO_TIDY.format(python=sys.executable, folder=tmp_path))
    program.chmod(0o755)
    command = Command(tmp_path / "tag", "-c", _DEMO, str(program))
    with command.begun() as process:
        wait_until("the command to run", (tmp_path / "begun").exists, seconds=30, interval=0.05)
        end(process, "Ctrl-C")
        assert (tmp_path / "tidy").exists()
        command.until_nothing_is_left()


def test_a_chart_whose_installation_was_killed_can_be_installed(controllers: LocalApiServer, tmp_path: Path) -> None:
    """What ``make demo`` does first on a cluster that an interrupted demo left."""
    with Progress() as progress:
        helm = binaries.ensure(paths_from_environment(), ("helm",), progress) / "helm"
    kubectl = controllers.kubectl.program
    cluster = Cluster(str(kubectl), str(helm), controllers.kubeconfig, controllers.context, embedded=True)
    install.ensure_namespace(cluster, install.RELEASE_NAMESPACE)
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: never-ready\nversion: 1.0.0\n")
    (chart / "templates" / "claim.yaml").write_text(_CLAIM)
    again = ["upgrade", "--install", install.RELEASE, str(chart), "-n", install.RELEASE_NAMESPACE]
    flags = ["--kubeconfig", str(controllers.kubeconfig), "--kube-context", controllers.context]
    secrets = f"/api/v1/namespaces/{install.RELEASE_NAMESPACE}/secrets?labelSelector=owner%3Dhelm"

    def begun() -> bool:
        return bool(controllers.rest.request("GET", secrets)["items"])

    with subprocess.Popen([str(helm), *flags, *again, "--wait"], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(
                "helm's record",
                lambda: bool(controllers.rest.request("GET", secrets)["items"]),
                seconds=30,
                interval=0.05,
            )
        finally:
            process.kill()
    with pytest.raises(ToolError, match="another operation"):
        cluster.helm(*again)
    install.forget_interrupted(cluster)
    cluster.helm(*again)
    cluster.helm("uninstall", install.RELEASE, "-n", install.RELEASE_NAMESPACE)
