"""Results in a library, and the sweeper, on a kubelet: mounts, accounts and what a person finds on the volume."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from pathlib import Path

import pytest
from tests.e2e.conftest import LIBRARY
from tests.e2e.product import Product, assert_explained

from audiojob_dev.demo.store import folder_of
from audiojob_dev.demo.tools import wait_until
from audiojob_types.constants import STORE_CLAIM
from audiojob_types.resources.job import AudioJob, State

pytestmark = [pytest.mark.e2e, pytest.mark.beside_others, pytest.mark.timeout(300)]

OLD_SECONDS = 3 * 86_400


def volume_of(product: Product) -> Path:
    """The folder behind the claim of the tests' namespace, once a job has used it."""
    folder = folder_of(product.cluster, product.namespace, STORE_CLAIM)
    assert folder is not None
    return folder


def publish(product: Product, library: str = LIBRARY) -> AudioJob:
    """Download the piece and publish it under a title of its own."""
    spec = {
        "pipeline": "download",
        "source": {"url": product.media.url("song.mp3")},
        "destination": {"library": library, "layout": "Artist"},
        "reuse": "Never",  # other tests have downloaded the piece; here a folder of the job's own is looked at
        "parameters": {"publish": {"title": "Blue / ../Sky", "artist": "The Testers"}},
    }
    return product.finished(product.submit(f"publish-{uuid.uuid4().hex[:6]}", spec), seconds=180)


def test_a_piece_is_found_in_the_library_under_its_title_and_never_twice(product: Product) -> None:
    first, second = publish(product), publish(product)
    assert (first.status.state, second.status.state) == (State.SUCCEEDED, State.SUCCEEDED), first.status
    shelf = volume_of(product) / "library" / LIBRARY / "The Testers"
    found = [path for path in shelf.iterdir() if not path.name.startswith(".")]
    assert [path.suffix for path in found] == [".mp3"], "the same bytes again are the same file"
    assert found[0].name.startswith("Blue")
    served = (product.media.folder / "song.mp3").read_bytes()
    assert hashlib.sha256(found[0].read_bytes()).digest() == hashlib.sha256(served).digest()


def test_an_unknown_library_is_refused_naming_those_there_are(product: Product) -> None:
    assert_explained(publish(product, "theirs"), "InvalidSpec", LIBRARY)


def test_the_sweeper_takes_what_never_published_and_leaves_results_alone(product: Product) -> None:
    job = publish(product)
    kept = product.published(job)
    jobs_folder = volume_of(product) / product.namespace / str(job.metadata.uid)
    stray = jobs_folder / "download" / "9-deadbeef"
    stray.mkdir()
    (stray / "half.mp3").write_bytes(b"half of it")
    for path in (stray / "half.mp3", stray):
        os.chown(path, 10001, 10001)
        os.utime(path, (time.time() - OLD_SECONDS,) * 2)
    name = f"sweep-{uuid.uuid4().hex[:6]}"
    where = ("-n", product.namespace)
    product.cluster.kubectl(*where, "create", "job", name, "--from=cronjob/audiojob-sweep")

    def ended() -> str | None:
        conditions = product.cluster.get(*where, "job", name)["status"].get("conditions") or []
        return next((each["type"] for each in conditions if each["status"] == "True"), None)

    end = wait_until("the sweeper's end", 120, ended)
    log = product.cluster.kubectl(*where, "logs", f"job/{name}")
    assert end in ("Complete", "SuccessCriteriaMet"), log
    assert not stray.exists(), log
    assert product.published(job) == kept
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert any("9-deadbeef" in json.dumps(line) for line in lines), "each removal is told"
