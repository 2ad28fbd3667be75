"""``make demo PIPELINE=sheet-music``: a piece that is made here, tones and beats, into a score with a part for each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import soundfile
from rich.console import Console

from audiojob_dev.demo.karaoke import FOLDER, fetch, key_of, upload
from audiojob_dev.demo.models import MODEL
from audiojob_dev.demo.store import Store
from audiojob_dev.demo.tools import Cluster
from audiojob_dev.demo.view import next_name
from audiojob_dev.models.proof_music import RATE, make_piece
from audiojob_dev.paths import repository
from audiojob_types.resources.job import AudioJob

PIPELINE = "sheet-music"
IMAGES = ("control", "runner", "runner-torch", "runner-music")
SECONDS = 30.0
_SEED = 11
_FILE = "piece.flac"
# By output: what it is called on this machine.
_SHOWN = {"pdf": "score.pdf", "preview": "score.png", "score": "score.musicxml", "midi": "score.mid"}


def make(cluster: Cluster, namespace: str, image: str, console: Console) -> str:
    """Make the piece, upload it as a user would, and start the job; the job's name."""
    folder = repository() / "build" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / _FILE, make_piece(_SEED, SECONDS).mix.T, RATE)
    console.print(f"  {SECONDS:.0f} s of tones and beats by chance, {folder / _FILE}")
    upload(cluster, namespace, image, [folder / _FILE])
    taken = {item["metadata"]["name"] for item in cluster.get("-n", namespace, "audiojobs")["items"]}
    manifest = request(next_name("sheet-music", taken))
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(manifest))
    return str(manifest["metadata"]["name"])


def request(name: str) -> dict[str, Any]:
    """The job. Its model makes two stems: the other parts stay empty, and are not written."""
    return {
        "apiVersion": "audiojobs.dev/v1alpha1",
        "kind": "AudioJob",
        "metadata": {"name": name},
        "spec": {
            "pipeline": PIPELINE,
            "source": {"object": {"key": f"{FOLDER}/{_FILE}"}},
            "parameters": {
                "separate": {"model": MODEL},
                "engrave": {"title": "Tones and beats", "instruments": {"other": "Piano"}},
            },
            "reuse": "Never",
        },
    }


def show(job: AudioJob, store: Store, console: Console) -> None:
    """Copy the score here, and say where it is."""
    folder: Path = repository() / "build" / "demo"
    for output, file in _SHOWN.items():
        fetch(store, key_of(job, store, "engrave", output), folder / file)
        console.print(f"  {output:8} {folder / file}", markup=False, soft_wrap=True)
    console.print(
        f"  {MODEL} tells tones from beats and nothing else, and the piece is chance: what is shown is the way, not "
        "how well music is heard (docs/sheet-music.md).",
        style="dim",
    )
