"""The pipelines of the chart that only ask, convert or draw: each from an address to the file that it is for."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import SONG_SECONDS
from tests.e2e.product import Product

from audiojob_dev.demo.store import FolderOnThisMachine
from audiojob_types.resources.job import State

pytestmark = [pytest.mark.e2e, pytest.mark.beside_others, pytest.mark.timeout(300)]


def probed(path: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    return found


def tells_of_the_file(path: Path, product: Product) -> None:
    told = json.loads(path.read_text())
    assert (told["kind"], told["bytes"]) == ("File", (product.media.folder / "song.mp3").stat().st_size)


def is_the_song_as_flac(path: Path, _: Product) -> None:
    found = probed(path)
    assert [stream["codec_name"] for stream in found["streams"] if stream["codec_type"] == "audio"] == ["flac"]
    assert float(found["format"]["duration"]) == pytest.approx(SONG_SECONDS, abs=0.5)


def is_a_small_picture(path: Path, _: Product) -> None:
    [picture] = probed(path)["streams"]
    assert (picture["codec_name"], picture["width"], picture["height"]) == ("png", 80, 60)


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent to a pipeline, the phases that run, and what the last one's output must be."""

    source: str
    parameters: dict[str, Any]
    phases: list[str]
    output: tuple[str, str]  # name and media type
    check: Callable[[Path, Product], None]


CASES = {
    "inspect": Case("song.mp3", {}, ["inspect"], ("info", "application/json"), tells_of_the_file),
    "transcode": Case(
        "song.mp3",
        {"transcode": {"format": "flac"}},
        ["download", "transcode"],
        ("media", "audio/flac"),
        is_the_song_as_flac,
    ),
    "thumbnail": Case(
        "film.mp4",
        {"thumbnail": {"format": "png", "maxWidth": 80}},
        ["download", "thumbnail"],
        ("picture", "image/png"),
        is_a_small_picture,
    ),
}


@pytest.fixture(scope="module")
def submitted(product: Product) -> dict[str, str]:
    """All of them at once; the tests only wait."""
    return {
        pipeline: product.submit(
            f"light-{pipeline}",
            {
                "pipeline": pipeline,
                "source": {"url": product.media.url(case.source)},
                "parameters": case.parameters,
            },
        )
        for pipeline, case in CASES.items()
    }


@pytest.mark.parametrize("pipeline", CASES)
def test_an_address_becomes_what_the_pipeline_is_for(
    product: Product, submitted: dict[str, str], pipeline: str
) -> None:
    case = CASES[pipeline]
    job = product.finished(submitted[pipeline], seconds=180)
    assert job.status.state is State.SUCCEEDED, product.story(submitted[pipeline])
    done = [phase for phase in job.status.phases if phase.manifest is not None]
    assert [phase.name for phase in done] == case.phases
    last = done[-1].manifest
    assert last is not None
    store = product.store()
    assert isinstance(store, FolderOnThisMachine)
    [output] = store.manifest(last.key)["outputs"]
    assert (output["name"], output["mediaType"]) == case.output
    path = Path(store.place(last.key)).parent / output["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == output["sha256"]
    case.check(path, product)
