"""The main job: a real piece of music through download, normalize and separate."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import soundfile
from tests.e2e.product import Product

from audiojob_dev.demo.store import FolderOnThisMachine
from audiojob_types.resources.job import AudioJob, State

pytestmark = pytest.mark.beside_others

NAME = "main"


@pytest.fixture(scope="module")
def seen(product: Product) -> list[AudioJob]:
    """Every version of the main job that was seen until its end, the last one finished."""
    spec = {
        "pipeline": "separate",
        "source": {"url": product.media.url("song.mp3")},
        "parameters": {"separate": {"model": "demucs_unittest", "stems": "TwoStems"}},
        "reuse": "Never",  # other tests have downloaded the piece before
    }
    product.submit(NAME, spec)
    versions: list[AudioJob] = []

    def ended(job: AudioJob) -> bool:
        versions.append(job)
        return job.status.state.finished

    product.until(NAME, ended, "its end", seconds=240)
    return versions


@pytest.fixture(scope="module")
def done(seen: list[AudioJob], product: Product) -> AudioJob:
    """The finished main job."""
    assert seen[-1].status.state is State.SUCCEEDED, product.story(NAME)
    return seen[-1]


@pytest.fixture(scope="module")
def stems(done: AudioJob, product: Product) -> dict[str, Path]:
    """The published stems by name."""
    manifest = _manifest(done, product, "separate")
    folder = _folder(done, product, "separate")
    return {output["name"]: folder / output["file"] for output in manifest["outputs"]}


def _phase(job: AudioJob, name: str) -> Any:
    return next(phase for phase in job.status.phases if phase.name == name)


def _manifest(job: AudioJob, product: Product, phase: str) -> dict[str, Any]:
    return product.store().manifest(_phase(job, phase).manifest.key)


def _folder(job: AudioJob, product: Product, phase: str) -> Path:
    store = product.store()
    assert isinstance(store, FolderOnThisMachine)
    return Path(store.place(_phase(job, phase).manifest.key)).parent


def test_stems_are_as_long_as_the_input_to_the_sample(done: AudioJob, stems: dict[str, Path], product: Product) -> None:
    audio = soundfile.info(_folder(done, product, "normalize") / "audio.wav")
    assert set(stems) == {"vocals", "accompaniment"}
    for path in stems.values():
        stem = soundfile.info(path)
        assert (stem.frames, stem.samplerate, stem.channels) == (audio.frames, 44_100, 2)


def test_the_normalized_input_is_the_piece_that_was_served(done: AudioJob, product: Product) -> None:
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]
    probed = subprocess.run(
        [*command, str(product.media.folder / "song.mp3")], check=True, capture_output=True, text=True
    )
    audio = soundfile.info(_folder(done, product, "normalize") / "audio.wav")
    assert audio.frames / audio.samplerate == pytest.approx(float(probed.stdout), abs=0.1)


def test_the_stems_are_no_silence_and_differ(stems: dict[str, Path]) -> None:
    vocals, _ = soundfile.read(stems["vocals"])
    accompaniment, _ = soundfile.read(stems["accompaniment"])
    assert abs(vocals).max() > 1e-4
    assert abs(vocals - accompaniment).max() > 1e-4


def test_the_manifest_says_that_the_model_is_untrained(done: AudioJob, product: Product) -> None:
    assert _manifest(done, product, "separate")["metadata"]["untrained"] is True


def test_percent_never_falls_and_ends_at_100(seen: list[AudioJob]) -> None:
    percents = [job.status.percent for job in seen]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def test_the_runner_reported_progress_while_it_worked(done: AudioJob) -> None:
    report = done.status.progress["separate"]
    assert report.percent == 100
    assert report.attempt == 1


def test_get_shows_state_pipeline_percent_phase_and_age(done: AudioJob, product: Product) -> None:
    header, row = product.cluster.kubectl("-n", product.namespace, "get", "aj", NAME).splitlines()
    assert header.split() == ["NAME", "STATE", "PIPELINE", "PERCENT", "PHASE", "AGE"]
    assert row.split()[:5] == [NAME, "Succeeded", "separate", "100", "separate"]


def test_wait_for_complete_returns(done: AudioJob, product: Product) -> None:
    answer = product.cluster.kubectl(
        "-n", product.namespace, "wait", "--for=condition=Complete", f"aj/{NAME}", "--timeout=10s"
    )
    assert "condition met" in answer


def test_describe_tells_the_story(done: AudioJob, product: Product) -> None:
    story = product.cluster.kubectl("-n", product.namespace, "describe", "aj", NAME)
    for word in ("PhaseStarted", "Completed", "vocals", "accompaniment"):
        assert word in story


def test_the_status_lists_outputs_with_checksums(done: AudioJob) -> None:
    by_phase = {(output.phase, output.name) for output in done.status.outputs}
    assert {("separate", "vocals"), ("separate", "accompaniment"), ("normalize", "audio")} <= by_phase


def test_every_phase_ran_once_as_one_job(done: AudioJob, product: Product) -> None:
    assert [phase.attempt for phase in done.status.phases] == [1, 1, 1]
    assert len(product.children(NAME)) == 3


def test_an_upload_takes_the_same_way(product: Product) -> None:
    store = product.store()
    assert isinstance(store, FolderOnThisMachine)
    upload = Path(store.place(f"{product.namespace}/uploads/albums/song.mp3"))
    upload.parent.mkdir(parents=True, exist_ok=True)
    song = (product.media.folder / "song.mp3").read_bytes()
    upload.write_bytes(song)
    name = product.submit("upload", {"pipeline": "download", "source": {"object": {"key": "albums/song.mp3"}}})
    job = product.finished(name)
    assert job.status.state is State.SUCCEEDED, product.story(name)
    published = _folder(job, product, "download") / "source.mp3"
    assert published.read_bytes() == song
