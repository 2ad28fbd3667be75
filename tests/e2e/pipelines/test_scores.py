"""The pipeline transcribe on the kubelet: a tune that is made here, into a score."""

from __future__ import annotations

import uuid
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile
from tests.e2e.product import Product

from audiojob_dev.demo.store import FolderOnThisMachine
from audiojob_types.resources.job import State

pytestmark = [pytest.mark.e2e, pytest.mark.beside_others, pytest.mark.timeout(300)]

RATE = 44_100
QUARTER_SECONDS = 0.6
TUNE = (60, 62, 64, 65, 67, 67, 65, 64, 62, 64, 60, 60)  # keys of MIDI


def tune(target: Path) -> Path:
    """Plucked strings: a tune of quarters at 100 a minute."""
    sound = np.zeros(round((len(TUNE) + 2) * QUARTER_SECONDS * RATE))
    for number, key in enumerate(TUNE):
        times = np.arange(round(QUARTER_SECONDS * RATE)) / RATE
        hertz = 440 * 2 ** ((key - 69) / 12)
        # Soft, as of a harp: of bright tones the network hears the fourth partial as a note (docs/sheet-music.md).
        partials = (np.sin(2 * np.pi * hertz * n * times) * np.exp(-2 * n * times) / n**1.5 for n in range(1, 4))
        start = round((number + 0.5) * QUARTER_SECONDS * RATE)
        sound[start : start + len(times)] += 0.3 * sum(partials)
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(target, sound, RATE)
    return target


def test_a_tune_becomes_a_score(product: Product) -> None:
    tune(product.media.folder / "scores" / "tune.flac")
    name = product.submit(
        f"score-{uuid.uuid4().hex[:8]}",
        {
            "pipeline": "transcribe",
            "source": {"url": product.media.url("scores/tune.flac")},
            "parameters": {"transcribe": {"instrument": "Piano"}, "engrave": {"title": "R&D <1>"}},
        },
    )

    job = product.finished(name, seconds=240)

    assert job.status.state is State.SUCCEEDED, product.story(name)
    assert [phase.name for phase in job.status.phases] == ["download", "normalize", "transcribe", "engrave"]
    told = {each.name for each in job.status.outputs if each.phase == "engrave"}
    assert told == {"score", "score-mxl", "pdf", "preview", "midi", "midi-piano", "page-1"}
    store = product.store()
    assert isinstance(store, FolderOnThisMachine)
    published = next(each for each in job.status.phases if each.name == "engrave").manifest
    assert published is not None
    outputs = {each["name"]: each for each in store.manifest(published.key)["outputs"]}
    folder = Path(store.place(published.key)).parent
    score = ET.parse(folder / outputs["score"]["file"])
    assert score.findtext("work/work-title") == "R&D <1>"
    heard = [f"{pitch.findtext('step')}{pitch.findtext('octave')}" for pitch in score.iter("pitch")]
    assert heard == ["C4", "D4", "E4", "F4", "G4", "G4", "F4", "E4", "D4", "E4", "C4", "C4"]
    assert (folder / outputs["pdf"]["file"]).read_bytes().startswith(b"%PDF")
    assert outputs["score"]["metadata"]["title"] == "R&D <1>"
