"""containerd through its own client `ctr`: is it there, import images, remove containers and images."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from audiojob_dev.errors import DevError
from audiojob_dev.tools.packages import program

# The namespace that the kubelet uses.
_NAMESPACE = "k8s.io"


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
