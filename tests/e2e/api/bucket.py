"""A bucket for the store, on a kubelet: a song goes in through the API and comes out as another format.

By `make bucket`, not in `make test`: the whole installation gets another store for it.
"""

from __future__ import annotations

import http.client
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.e2e.conftest import NAMESPACE, WITHOUT_CLAIM, install_with, settings
from tests.e2e.product import Product
from tests.support.buckets.gateway import ACCESS_KEY, SECRET_KEY, Gateway, running_gateway

from audiojob_client import Client
from audiojob_dev.demo import request
from audiojob_dev.demo.install import RELEASE, RELEASE_NAMESPACE
from audiojob_types.constants import API_AUDIENCE
from audiojob_types.resources.job import State

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BUCKET, SECRET = "audio", "audiojob-store"
NAME = "in-a-bucket"


@pytest.fixture(scope="module")
def bucket(
    product: Product, node_address: str, issuer: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """The store of the installation, with a key for each of its namespaces."""
    root, sidecar = (tmp_path_factory.mktemp(name) for name in ("buckets", "metadata"))
    (root / BUCKET).mkdir()
    keys = [f"--from-literal=accessKeyId={ACCESS_KEY}", f"--from-literal=secretAccessKey={SECRET_KEY}"]
    with running_gateway(root, sidecar, node_address) as gateway:
        for namespace in (NAMESPACE, WITHOUT_CLAIM):
            product.cluster.kubectl("-n", namespace, "create", "secret", "generic", SECRET, *keys)
        s3 = {"bucket": BUCKET, "prefix": "jobs", "endpoint": gateway.endpoint, "allowHttp": True}
        other = {"store.kind": "S3", "store.s3": s3, "files.publicUrl": gateway.endpoint}
        install_with(product.cluster, product.images, product.media, {**settings(issuer), **other})
        yield gateway


@dataclass(frozen=True)
class Caller:
    """The API with an account of the cluster."""

    api: Client
    url: str
    token: str

    def link(self, path: str) -> str:
        """Where the API leads a client that asks for a link of its own."""
        parts = urlsplit(self.url)
        with closing(http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)) as connection:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            assert answer.status == 307, answer.read()
            return str(answer.headers["Location"])


@pytest.fixture(scope="module")
def caller(bucket: Gateway, product: Product) -> Iterator[Caller]:
    """Once the API that belongs to the bucket is ready."""
    assert bucket.endpoint
    product.apply(*request.caller(NAMESPACE))
    create = ("-n", NAMESPACE, "create", "token", request.CALLER, "--audience", API_AUDIENCE)
    token = product.cluster.kubectl(*create).strip()
    with product.cluster.port_forward(RELEASE_NAMESPACE, f"service/{RELEASE}-api", 80) as port:
        url = f"http://127.0.0.1:{port}"
        with Client(url, token=token) as api:
            yield Caller(api, url, token)


def test_a_song_goes_into_the_bucket_and_comes_out_as_another_format(
    caller: Caller, bucket: Gateway, product: Product, tmp_path: Path
) -> None:
    api, song = caller.api, product.media.folder / "song.mp3"
    upload = api.uploads.send(song)
    flac = {"transcode": {"format": "flac"}}
    api.jobs.create({"name": NAME, "pipeline": "transcode", "source": {"upload": upload.id}, "parameters": flac})
    job = product.finished(NAME)
    assert job.status.state is State.SUCCEEDED, product.story(NAME)
    stored = bucket.root / BUCKET / "jobs" / NAMESPACE
    assert (stored / "uploads" / upload.id / "song.mp3").read_bytes() == song.read_bytes()
    phases = {path.name for path in (stored / str(job.metadata.uid)).iterdir()}
    assert phases == {phase.name for phase in job.status.phases}

    media = next(output for output in api.outputs.list(NAME).outputs if output.name == "media")
    saved = api.outputs.save(NAME, "media", tmp_path / "media").read_bytes()  # whose sha256 it compares
    assert (saved[:4], len(saved)) == (b"fLaC", media.bytes)
    with zipfile.ZipFile(api.outputs.save_zip(NAME, tmp_path / "all.zip")) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {media.file: saved}
    assert api.outputs.log(NAME, phase="transcode")
    link = caller.link(f"/api/v1/jobs/{NAME}/outputs/media?direct=true")
    assert link.startswith(f"{bucket.endpoint}/{BUCKET}/")
    with urllib.request.urlopen(link, timeout=30) as answer:
        assert answer.read() == saved
