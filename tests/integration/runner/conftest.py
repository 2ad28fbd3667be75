from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.runner.pods import PodFolder, make_pod
from tests.integration.runner.prefetch.filling import Filling
from tests.integration.runner.stores import StoreFolder
from tests.integration.runner.tasks.web import Web, running
from tests.support.buckets.gateway import ACCESS_KEY, SECRET_KEY, Gateway, running_gateway

from audiojob_runner.models import fetch as weightfetch


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """versitygw, a real S3 server, for the whole run."""
    with running_gateway(tmp_path_factory.mktemp("buckets"), tmp_path_factory.mktemp("metadata")) as found:
        yield found


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
