"""The pipelines of the chart that end in a film, on the kubelet: karaoke, and scenes with a spoken script."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.product import Object, Product

from audiojob_dev.demo.install import RELEASE, RELEASE_NAMESPACE
from audiojob_dev.demo.song import Song, make_song
from audiojob_dev.demo.store import FolderOnThisMachine
from audiojob_dev.paths import repository
from audiojob_types.resources.job import AudioJob, PhaseState, State

pytestmark = [pytest.mark.e2e, pytest.mark.beside_others, pytest.mark.timeout(420)]

PHASES = ["download", "normalize", "lyrics", "separate", "align", "render"]
FPS = 10
QUICK = {"videoSize": "Video240p", "frameRate": FPS, "effort": "Low"}
SLOW = {"videoSize": "Video720p", "frameRate": 30, "effort": "High"}
SLOWEST = {**SLOW, "videoSize": "Video1080p"}
FRAME_SECONDS = 1 / FPS
SCENES = {
    "scenes": [
        {"title": "One", "colour": "#203040", "narration": "speech-1", "texts": [{"content": "First"}]},
        {"title": "Two", "colour": "#402030", "narration": "speech-2", "pauseMilliseconds": 500},
    ]
}


@pytest.fixture(scope="module")
def song(product: Product) -> Song:
    """Two lines of it, served."""
    return make_song(product.media.folder / "karaoke", lines=2)


def spec(product: Product, song: Song, parameters: dict[str, dict[str, Any]] | None = None, **others: Any) -> Object:
    """A job of the pipeline ``karaoke`` with an untrained model; ``parameters`` are laid over its own, by task."""
    changed = parameters or {}
    return {
        "pipeline": "karaoke",
        "source": {"url": product.media.url("karaoke/mix.flac")},
        "inputs": [{"name": "lyrics", "text": song.lrc}],
        "parameters": {
            **changed,
            "separate": {"model": "demucs_unittest", **changed.get("separate", {})},
            "render": {**QUICK, **changed.get("render", {})},
        },
        **others,
    }


def submit(product: Product, wanted: Object) -> str:
    return product.submit(f"film-{uuid.uuid4().hex[:8]}", wanted)


@pytest.fixture(scope="module")
def seen(product: Product, song: Song) -> list[AudioJob]:
    """Every version of a karaoke job that was seen until its end."""
    versions: list[AudioJob] = []

    def ended(job: AudioJob) -> bool:
        versions.append(job)
        return job.status.state.finished

    name = submit(product, spec(product, song))
    product.until(name, ended, "its end", seconds=240)
    assert versions[-1].status.state is State.SUCCEEDED, product.story(name)
    return versions


def manifest(product: Product, job: AudioJob, phase: str) -> tuple[Path, dict[str, Any]]:
    """The folder and the outputs by name of what a phase published."""
    store = product.store()
    assert isinstance(store, FolderOnThisMachine)
    published = next(each for each in job.status.phases if each.name == phase).manifest
    assert published is not None
    outputs = store.manifest(published.key)["outputs"]
    return Path(store.place(published.key)).parent, {each["name"]: each for each in outputs}


def streams(film: Path) -> dict[str, dict[str, Any]]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(film)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)["streams"]
    return {stream["codec_type"]: stream for stream in found}


def is_a_film(product: Product, job: AudioJob, phase: str) -> float:
    """Whether video and thumbnail are there as their manifest says; the film's seconds."""
    folder, outputs = manifest(product, job, phase)
    assert {"video", "thumbnail"} <= {each.name for each in job.status.outputs if each.phase == phase}
    film = streams(folder / outputs["video"]["file"])
    assert (film["video"]["codec_name"], film["audio"]["codec_name"]) == ("h264", "aac")
    assert streams(folder / outputs["thumbnail"]["file"])["video"]["codec_name"] == "mjpeg"
    told = next(each for each in job.status.outputs if (each.phase, each.name) == (phase, "video"))
    assert told.duration_milliseconds is not None
    assert float(film["video"]["duration"]) == pytest.approx(told.duration_milliseconds / 1_000, abs=FRAME_SECONDS)
    return told.duration_milliseconds / 1_000


def test_a_song_becomes_a_film_and_its_percent_never_falls(product: Product, song: Song, seen: list[AudioJob]) -> None:
    percents = [job.status.percent for job in seen]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    done = seen[-1]
    assert [phase.name for phase in done.status.phases] == PHASES
    assert [(phase.failures, phase.disruptions) for phase in done.status.phases] == [(0, 0)] * len(PHASES)
    assert is_a_film(product, done, "render") == pytest.approx(song.seconds, abs=FRAME_SECONDS)
    folder, outputs = manifest(product, done, "align")
    lines = json.loads((folder / outputs["lyrics"]["file"]).read_text())["lines"]
    assert [[word["text"] for word in line["words"]] for line in lines] == [
        [word.text for word in line] for line in song.lines
    ]


def test_another_look_is_rendered_alone_and_anew_after_its_pod_is_lost(
    product: Product, song: Song, seen: list[AudioJob]
) -> None:
    name = submit(product, spec(product, song, {"render": SLOW}))
    product.until(name, encoding, "progress of the encoder", seconds=120)
    [pod] = [pod["metadata"]["name"] for pod in product.pods(name)]
    product.cluster.kubectl("-n", product.namespace, "delete", "pod", pod, "--grace-period=0", "--force")

    done = product.finished(name, seconds=180)

    assert done.status.state is State.SUCCEEDED, product.story(name)
    *before, render = done.status.phases
    assert {phase.reused_from for phase in before} == {seen[-1].metadata.name}
    assert (render.attempt, render.reused_from) == (2, None)
    assert len(product.children(name)) <= 2
    assert is_a_film(product, done, "render") == pytest.approx(song.seconds, abs=FRAME_SECONDS)


def encoding(job: AudioJob) -> bool:
    """Whether the encoder is under way."""
    report = job.status.progress.get("render")
    return report is not None and 10 < report.percent < 90


@pytest.mark.parametrize(
    ("phase", "changed"),
    [
        pytest.param("download", {"reuse": "Never"}, id="download"),
        pytest.param("separate", {"parameters": {"separate": {"format": "wav"}}}, id="lyrics and separate"),
        pytest.param("align", {"parameters": {"align": {"language": "en-US"}}}, id="align"),
        pytest.param("render", {"parameters": {"render": {**SLOWEST, "rows": 2}}}, id="render"),
    ],
)
def test_cancel_in_a_phase_leaves_nothing(
    product: Product, song: Song, seen: list[AudioJob], phase: str, changed: dict[str, Any]
) -> None:
    name = submit(product, spec(product, song, **changed))

    def at_work(job: AudioJob) -> bool:
        if phase == "render":
            return encoding(job)
        return any(each.name == phase and each.state is PhaseState.RUNNING for each in job.status.phases)

    product.until(name, at_work, f"phase {phase}", seconds=120)
    product.patch(name, {"cancel": True})
    job = product.finished(name)

    assert job.status.state is State.CANCELLED
    product.nothing_runs(name)
    left = remains(product, job)
    if phase != "render":  # short ones may have published all before they were stopped
        whole = {path.rpartition("/")[0] for path in left if path.endswith("/manifest.json")}
        left = [path for path in left if path.rpartition("/")[0] not in whole]
    assert left == []


def remains(product: Product, job: AudioJob) -> list[str]:
    """What lies in the store of phases that did not succeed, but for logs and what a next download would go on with."""
    succeeded = {each.name for each in job.status.phases if each.state is PhaseState.SUCCEEDED}
    files = [path for path in product.published(job) if path.split("/", 1)[0] not in succeeded]
    return [path for path in files if not {"log", "partial"} & set(path.split("/"))]


def awaits_review(job: AudioJob) -> bool:
    """Whether people are asked; a job that ended before is a fault."""
    assert not job.status.state.finished, job.status
    return any((each.type, each.reason) == ("Progressing", "AwaitingReview") for each in job.status.conditions)


def approve(product: Product, name: str, phase: str, text: str, of: str) -> None:
    product.patch(name, {"reviews": [{"phase": phase, "approved": True, "inputs": [{"name": of, "text": text}]}]})


def test_words_without_times_are_asked_about_and_the_film_shows_what_was_corrected(
    product: Product, song: Song, seen: list[AudioJob]
) -> None:
    """``karaoke-reviewed``, and beside it examples/review.yaml as it is."""
    pipeline, example = yaml.safe_load_all((repository() / "examples" / "review.yaml").read_text())
    product.apply(pipeline)
    guessed = submit(product, example["spec"])
    plain = "\n".join(" ".join(word.text for word in line) for line in song.lines)
    wanted = spec(product, song, pipeline="karaoke-reviewed", inputs=[{"name": "lyrics", "text": plain}])
    name = submit(product, wanted)

    asked = product.until(guessed, awaits_review, "its question")
    assert [(each.review_asked, each.review_takes) for each in asked.status.phases] == [
        ("This is a guess; is it right?", None),
        (None, ("output",)),
    ]
    approve(product, guessed, "use", "a better text", "output")
    asked = product.until(name, awaits_review, "its question", seconds=180)
    phases = {phase.name: phase for phase in asked.status.phases}
    assert phases["separate"].reused_from == seen[-1].metadata.name
    assert phases["align"].review_asked
    assert phases["corrected"].review_takes == ("lyrics", "accompaniment", "vocals")
    assert phases["render"].state is PhaseState.WAITING
    approve(product, name, "corrected", "[00:01.20]Here be dragons\n[00:04.00]la la\n", "lyrics")

    done = product.finished(name, seconds=180)
    assert done.status.state is State.SUCCEEDED, product.story(name)
    assert is_a_film(product, done, "render") == pytest.approx(song.seconds, abs=FRAME_SECONDS)
    folder, outputs = manifest(product, done, "corrected")
    lines = json.loads((folder / outputs["lyrics"]["file"]).read_text())["lines"]
    assert [[word["text"] for word in line["words"]] for line in lines] == [["Here", "be", "dragons"], ["la", "la"]]
    assert [line["startMilliseconds"] for line in lines] == [1_200, 4_000]
    used = product.finished(guessed)
    assert (used.status.state, used.status.phases[1].review_inputs) == (State.SUCCEEDED, ("output",))


def test_a_script_and_scenes_become_a_film(product: Product, speak_image: str) -> None:
    product.apply(video_pipeline(product, speak_image))
    paragraphs = "It begins on a quiet evening.\n\nAnd there it ends."
    name = submit(
        product,
        {
            "pipeline": "video",
            "inputs": [{"name": "script", "text": paragraphs}, {"name": "scenes", "text": json.dumps(SCENES)}],
            "parameters": {"compose": {"size": "Video180p", "framesPerSecond": 24}},
        },
    )

    job = product.finished(name, seconds=180)

    assert job.status.state is State.SUCCEEDED, product.story(name)
    speech, spoken = manifest(product, job, "speech")
    said = sum(float(streams(speech / spoken[f"speech-{number}"]["file"])["audio"]["duration"]) for number in (1, 2))
    assert is_a_film(product, job, "compose") == pytest.approx(said + 0.5, abs=0.2)


def video_pipeline(product: Product, image: str) -> Object:
    """The chart's, which is there only with an image that speaks."""
    chart = str(repository() / "charts" / "audiojob")
    values = ["--set", f"images.speak={image}", "--set", f"jobNamespaces={{{product.namespace}}}"]
    shown = ["--show-only", "templates/pipelines/video.yaml"]
    text = product.cluster.helm("template", RELEASE, chart, "-n", RELEASE_NAMESPACE, *values, *shown)
    pipeline: Object = yaml.safe_load(text)
    return pipeline
