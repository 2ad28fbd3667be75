"""versitygw, a real S3 server whose buckets are folders."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries, processes

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"
_SECONDS = 60.0


@dataclass(frozen=True)
class Gateway:
    """A running S3 server whose buckets are the folders in ``root``."""

    endpoint: str
    root: Path


@contextmanager
def running_gateway(root: Path, sidecar: Path, host: str = "127.0.0.1") -> Iterator[Gateway]:
    """The server; metadata of objects lies in ``sidecar``."""
    with Progress() as progress:
        folder = binaries.ensure(paths_from_environment(), ("versitygw",), progress)
    port = processes.free_port()
    command = [str(folder / "versitygw"), "--port", f"{host}:{port}", "--quiet"]
    command += ["posix", "--sidecar", str(sidecar), str(root)]
    environ = {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + _SECONDS
            while not _listens(host, port) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            assert process.poll() is None, f"versitygw ended with {process.returncode}"
            yield Gateway(f"http://{host}:{port}", root)
        finally:
            process.kill()  # told to end, it waits half a minute for connections that clients keep


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
