from __future__ import annotations

import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.runner.pods import PodFolder, eventually, make_pod
from tests.integration.runner.prefetch.filling import Filling
from tests.integration.runner.stores import StoreFolder
from tests.integration.runner.tasks.web import Web, running

from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries, processes
from audiojob_runner.models import fetch as weightfetch

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"


@dataclass(frozen=True)
class Gateway:
    """A running S3 server whose buckets are the folders in ``root``."""

    endpoint: str
    root: Path


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """versitygw, a real S3 server, for the whole run."""
    with Progress() as progress:
        folder = binaries.ensure(paths_from_environment(), ("versitygw",), progress)
    root = tmp_path_factory.mktemp("buckets")
    sidecar = tmp_path_factory.mktemp("metadata")
    port = processes.free_port()
    command = [str(folder / "versitygw"), "--port", f"127.0.0.1:{port}", "--quiet"]
    command += ["posix", "--sidecar", str(sidecar), str(root)]
    environ = {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _listens(port) or process.poll() is not None, "versitygw listens")
            assert process.poll() is None, f"versitygw ended with {process.returncode}"
            yield Gateway(f"http://127.0.0.1:{port}", root)
        finally:
            process.kill()  # told to end, it waits half a minute for connections that clients keep


@pytest.fixture
def folder_store(tmp_path: Path) -> StoreFolder:
    root = tmp_path / "store"
    root.mkdir()
    return StoreFolder("Folder", root, {"kind": "Folder", "root": str(root)})


@pytest.fixture
def s3_store(gateway: Gateway) -> StoreFolder:
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    root = gateway.root / bucket
    root.mkdir()
    config = {"kind": "S3", "bucket": bucket, "endpoint": gateway.endpoint, "allowHttp": True}
    return StoreFolder("S3", root, config, {"accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY})


@pytest.fixture(params=["Folder", "S3"])
def store(request: pytest.FixtureRequest) -> StoreFolder:
    """Each kind of store in turn."""
    found: StoreFolder = request.getfixturevalue("folder_store" if request.param == "Folder" else "s3_store")
    return found


@pytest.fixture
def pod(tmp_path: Path, store: StoreFolder) -> PodFolder:
    return make_pod(tmp_path / "pod", store)


@pytest.fixture
def folder_pod(tmp_path: Path, folder_store: StoreFolder) -> PodFolder:
    """For what does not depend on the kind of store."""
    return make_pod(tmp_path / "pod", folder_store)


@pytest.fixture
def web() -> Iterator[Web]:
    """A server on an address that may be fetched from, where a test allows it."""
    with running("127.0.0.1") as server:
        yield server


@pytest.fixture
def filling(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> Filling:
    """An empty volume and a server that has all files for it."""
    monkeypatch.setattr(weightfetch, "LONGEST_PAUSE_SECONDS", 0.01)
    found = Filling(tmp_path / "models", web)
    found.serve_all()
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
