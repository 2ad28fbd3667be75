"""Code that has taken over a worker, on a kubelet with Pod Security `restricted`: what the kernel refuses it, and why
what it can forge does not matter."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.product import Product, simulate_pipeline

from audiojob_dev.demo.store import FolderOnThisMachine
from audiojob_operator.building.template import CONTAINER
from audiojob_types.resources.job import AudioJob, State

pytestmark = [pytest.mark.e2e, pytest.mark.beside_others, pytest.mark.timeout(300)]

READ = {
    "name": "read",
    "task": "Normalize",
    "resources": {"cpu": "50m", "memory": "256Mi", "scratch": "64Mi"},
    "retry": {"limit": 1},
}
NOT_DONE = {"EPERM", "EACCES", "EROFS", "EBUSY"}


@pytest.fixture(scope="module")
def suffix(product: Product) -> str:
    """Of the names of this module's pipelines: one whose first phase is taken over, and its victims'."""
    suffix = uuid.uuid4().hex[:6]
    attacked = simulate_pipeline(f"taken-{suffix}", parameters={"simulate": {"durationMilliseconds": 120_000}})
    source = {"name": "source", "from": "one", "output": "output"}
    attacked["spec"]["phases"].append({**READ, "inputs": [source]})
    product.apply(attacked)
    victims = simulate_pipeline(f"victims-{suffix}")
    download = {**READ, "name": "download", "task": "Download", "inputs": [{"name": "source", "from": "Job"}]}
    victims["spec"]["phases"] = [download, {**READ, "inputs": [source | {"from": "download", "output": "source"}]}]
    product.apply(victims)
    return suffix


@pytest.fixture(scope="module")
def song(product: Product, suffix: str) -> Path:
    """A song that no other job has read, so that nobody else's result is reused: its ID3v1 tag is its own."""
    song = product.media.folder / f"song-{suffix}.mp3"
    tag = b"TAG" + suffix.encode().ljust(30, b"\0") + bytes(95)
    song.write_bytes((product.media.folder / "song.mp3").read_bytes() + tag)
    return song


def run_in(product: Product, job: AudioJob, attempt: int, *words: str) -> dict[str, Any]:
    """What the attacker, as a process in the container of the first phase's attempt, has to tell."""

    def works(job: AudioJob) -> bool:
        progress = job.status.progress.get("one")
        return progress is not None and progress.attempt == attempt

    product.until(job.metadata.name, works, f"attempt {attempt} at work")
    pod = product.phase_pods(job.metadata.name, "one")[-1]["metadata"]["name"]
    code = (Path(__file__).parent / "attacker.py").read_text(encoding="utf-8")
    inside = ("exec", "-i", pod, "-c", CONTAINER, "--", "python", "-", *words)
    told: dict[str, Any] = json.loads(product.cluster.kubectl("-n", product.namespace, *inside, stdin=code))
    return told


@pytest.fixture(scope="module")
def attacker(product: Product, suffix: str) -> AudioJob:
    name = product.submit(f"attacker-{suffix}", {"pipeline": f"taken-{suffix}"})
    return product.job(name)


@pytest.fixture(scope="module")
def refused(product: Product, attacker: AudioJob) -> dict[str, str]:
    """What came of each thing that the attacker tried in its first attempt."""
    here = run_in(product, attacker, 1, "look")
    for pair in ("credentials", "namespaces"):
        mine, workers = here[pair]
        assert mine == workers, "the attacker must stand where the worker does"
    assert here["worker's memory"] == "done", "nothing but what the supervisor does for itself is looked at here"
    return run_in(product, attacker, 1, "attack")


def test_the_kernel_refuses_to_touch_the_supervisor_or_its_files(refused: dict[str, str]) -> None:
    tried = {what: answer for what, answer in refused.items() if not what.startswith(("SIG", "seen"))}
    assert len(tried) == 18
    assert {what: answer for what, answer in tried.items() if answer not in NOT_DONE} == {}
    assert {what: answer for what, answer in refused.items() if what.startswith("SIG")} == {
        "SIGSTOP to the supervisor": "it is S",
        "SIGKILL to the supervisor": "it is S",
    }


def test_a_link_in_the_phases_own_folder_leads_nowhere(
    product: Product, attacker: AudioJob, refused: dict[str, str]
) -> None:
    assert refused["seen by way of a link"] == str(attacker.metadata.uid), "no other job's folder is mounted"
    place = folder(product, attacker)
    assert (place / "one" / "steal").is_symlink()
    assert [path.name for path in place.iterdir() if path.is_symlink()] == []


def folder(product: Product, job: AudioJob) -> Path:
    store = product.store()
    assert isinstance(store, FolderOnThisMachine)
    return Path(store.place(f"{product.namespace}/{job.metadata.uid}"))


def victim(product: Product, suffix: str, song: Path, number: int) -> AudioJob:
    """A job with the song, each from another address."""
    spec = {"pipeline": f"victims-{suffix}", "source": {"url": f"{product.media.url(song.name)}?victim={number}"}}
    job = product.finished(product.submit(f"victim-{suffix}-{number}", spec))
    assert job.status.state is State.SUCCEEDED, product.story(job.metadata.name)
    return job


def test_who_forges_a_result_with_anothers_sha256_poisons_nobody(
    product: Product, suffix: str, song: Path, attacker: AudioJob, refused: dict[str, str]
) -> None:
    sha256 = hashlib.sha256(song.read_bytes()).hexdigest()
    forged = run_in(product, attacker, 2, "forge", sha256)
    assert forged["told the supervisor"] == "done"
    job = product.finished(attacker.metadata.name)
    first, reader = job.status.phases
    assert (first.state, first.attempt) == ("Succeeded", 2), "the first ended with SIGTERM and a message of success"
    assert first.manifest is not None
    assert first.manifest.key == forged["key"], "the claim stands until somebody reads the bytes"
    assert [(each.name, each.sha256) for each in job.status.outputs] == [("output", sha256)]
    assert (job.status.state, reader.reason) == (State.FAILED, "ChecksumMismatch"), product.story(job.metadata.name)

    honest, again = victim(product, suffix, song, 1), victim(product, suffix, song, 2)
    assert [phase.reused_from for phase in honest.status.phases] == [None, None], product.story(honest.metadata.name)
    assert [each.sha256 for each in honest.status.outputs if each.name == "source"] == [sha256]
    # The same song by another way: its pod compares, and then the honest job's result stands for its own. One that
    # began early goes before, as nobody could know that it would be the same song.
    assert [phase.reused_from for phase in again.status.phases] == [None, honest.metadata.name]
    read = again.status.phases[1]
    assert (read.attempt - (read.early_attempt or 0), read.failures) == (1, 0)
    normalized = [[each.sha256 for each in job.status.outputs if each.phase == "read"] for job in (honest, again)]
    assert normalized[0] == normalized[1] != []
