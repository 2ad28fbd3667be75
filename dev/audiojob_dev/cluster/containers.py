"""containerd through its own client `ctr`: import images, remove containers and images; and containerd on its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from audiojob_dev.cluster import host
from audiojob_dev.errors import DevError
from audiojob_dev.rest import wait_until
from audiojob_dev.tools import processes
from audiojob_dev.tools.packages import program

# The namespace that the kubelet uses.
_NAMESPACE = "k8s.io"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


@contextmanager
def containerd_alone(root: Path, logs: Path) -> Iterator[Containers]:
    """containerd over `root` without a node, so that images are unpacked before a cluster starts; it ends with this.

    Raises DevError where containerd does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="audiojob-containerd-") as name:
        folder = Path(name)
        configuration = folder / "config.toml"
        configuration.write_text(_configuration(root, folder))
        command = [program("containerd") or "containerd", "--config", str(configuration)]
        # Tagged with its own folder: to the cluster's commands it is no part of the cluster.
        process = processes.start(processes.Program("containerd", command), folder, logs, die_with_parent=True)
        containers = Containers(folder / "containerd.sock")
        try:
            wait_until("containerd", containers.answers, seconds=_START_SECONDS)
            yield containers
        finally:
            processes.stop([process.pid], grace_seconds=_STOP_SECONDS)
            host.unmount_below([folder, root])


def _configuration(root: Path, folder: Path) -> str:
    return f"""version = 2
root = {json.dumps(str(root))}
state = {json.dumps(str(folder / "state"))}
disabled_plugins = ["io.containerd.grpc.v1.cri"]

[grpc]
address = {json.dumps(str(folder / "containerd.sock"))}

[plugins."io.containerd.internal.v1.opt"]
path = {json.dumps(str(folder / "opt"))}
"""


class Containers:
    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def _command(self) -> list[str]:
        path = program("ctr")
        if path is None:
            raise DevError("ctr is not on PATH; it comes with Debian's package containerd.")
        return [path, "--address", str(self._socket), "--namespace", _NAMESPACE]

    def _ctr(self, *arguments: str, timeout: float = 60) -> str:
        command = [*self._command(), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
        if done.returncode:
            raise DevError(f"ctr {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def answers(self) -> bool:
        """Whether containerd listens and serves."""
        if not self._socket.exists():
            return False
        try:
            self._ctr("version", timeout=10)
        except (DevError, subprocess.TimeoutExpired):
            return False
        return True

    def import_archive(self, archive: Path) -> None:
        """Import a docker or OCI archive and unpack it for the kubelet."""
        self._ctr("images", "import", str(archive), timeout=1800)

    def images(self) -> list[str]:
        """References of all images, digests included."""
        return self._ctr("images", "list", "--quiet").split()

    def blobs(self) -> set[str]:
        """Digests of all content: manifests, configurations, layers."""
        return set(self._ctr("content", "list", "--quiet").split())

    def used_images(self) -> set[str]:
        """References that existing containers were made from."""
        lines = self._ctr("containers", "list").splitlines()[1:]
        return {fields[1] for line in lines if len(fields := line.split()) > 1}

    def import_stream(self, write: Callable[[IO[bytes]], None]) -> None:
        """Import the archive that `write` produces, without a file in between."""
        command = [*self._command(), "images", "import", "-"]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
            assert process.stdin is not None
            try:
                # A broken pipe means that ctr ended early: its own message says why.
                with suppress(BrokenPipeError), process.stdin:
                    write(process.stdin)
            except BaseException:
                process.kill()
                raise
            finally:
                process.wait()
            output.seek(0)
            if process.returncode:
                raise DevError(f"ctr images import: {output.read().decode(errors='replace').strip()[-2000:]}")

    def remove_images(self, references: Sequence[str]) -> None:
        """Remove images and wait until containerd has freed their room."""
        if references:
            self._ctr("images", "remove", "--sync", *references, timeout=600)

    def remove_all(self) -> None:
        """Remove every container; its processes must be dead already."""
        containers = self._ctr("containers", "list", "--quiet").split()
        for task in self._ctr("tasks", "list", "--quiet").split():
            try:
                self._ctr("tasks", "delete", "--force", task)
            except DevError as error:
                if "not found" not in str(error):
                    raise
        if containers:
            self._ctr("containers", "delete", *containers, timeout=300)
