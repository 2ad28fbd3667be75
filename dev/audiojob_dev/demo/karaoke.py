"""``make demo PIPELINE=karaoke``: a song that is made here, with known words, into a karaoke film."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from audiojob_dev.demo.song import Song, Sung, make_song
from audiojob_dev.demo.store import FolderOnThisMachine, Store
from audiojob_dev.demo.tools import Cluster, ToolError, wait_until
from audiojob_dev.demo.view import next_name
from audiojob_dev.paths import repository
from audiojob_dev.tools import packages
from audiojob_types.resources.job import AudioJob

PIPELINE = "karaoke-from-stems"
IMAGES = ("control", "runner", "runner-music")
REQUIREMENTS = (packages.Requirement("ffmpeg", "ffmpeg"), packages.Requirement("espeak-ng", "espeak-ng"))
_FILES_POD = "audiojob-files"
FOLDER = "demo"
_SHEET_COLUMNS, _SHEET_ROWS = 3, 4


def make(cluster: Cluster, namespace: str, image: str, console: Console) -> tuple[Song, str]:
    """Make the song, upload its stems as a user would, and start the job; the song and the job's name."""
    song = make_song(repository() / "build" / "demo" / "song")
    console.print(f"  {song.seconds:.0f} s, {sum(map(len, song.lines))} words at known times, in {song.folder}")
    upload(cluster, namespace, image, [song.folder / f"{stem}.flac" for stem in ("vocals", "accompaniment")])
    taken = {item["metadata"]["name"] for item in cluster.get("-n", namespace, "audiojobs")["items"]}
    manifest = request(song, next_name("karaoke", taken))
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(manifest))
    return song, manifest["metadata"]["name"]


def request(song: Song, name: str) -> dict[str, Any]:
    """The job: the accompaniment as its source, the vocals and the words beside it. Only lines have times."""
    return {
        "apiVersion": "audiojobs.dev/v1alpha1",
        "kind": "AudioJob",
        "metadata": {"name": name},
        "spec": {
            "pipeline": PIPELINE,
            "source": {"object": {"key": f"{FOLDER}/accompaniment.flac"}},
            "inputs": [
                {"name": "vocals", "object": {"key": f"{FOLDER}/vocals.flac"}},
                {"name": "lyrics", "text": song.lrc},
            ],
            "parameters": {"render": {"videoSize": "Video720p", "guideVocalDecibels": -6}},
            "reuse": "Never",
        },
    }


def upload(cluster: Cluster, namespace: str, image: str, files: list[Path]) -> None:
    """Copy the files into the namespace's uploads by examples/files-pod.yaml."""
    pod = yaml.safe_load((repository() / "examples" / "files-pod.yaml").read_text())
    pod["spec"]["containers"][0] |= {"image": image, "imagePullPolicy": "IfNotPresent"}
    cluster.kubectl("-n", namespace, "delete", "pod", _FILES_POD, "--ignore-not-found", "--grace-period=0")
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod))

    def running() -> bool:
        return bool(cluster.get("-n", namespace, "pod", _FILES_POD)["status"].get("phase") == "Running")

    wait_until("the start of the pod that takes uploads", 180, running)
    command = ["-n", namespace, "exec", _FILES_POD, "--", "mkdir", "-p", f"/uploads/{FOLDER}"]
    cluster.kubectl(*command)
    for file in files:
        cluster.kubectl(
            "-n", namespace, "cp", "--no-preserve", str(file), f"{_FILES_POD}:/uploads/{FOLDER}/{file.name}"
        )
    cluster.kubectl("-n", namespace, "delete", "pod", _FILES_POD, "--wait=false", "--grace-period=0")


def show(job: AudioJob, song: Song, store: Store, console: Console) -> None:
    """Say where the film is, and draw its contact sheet: a frame in the middle of words all over the song."""
    folder = repository() / "build" / "demo"
    film, sheet = folder / "karaoke.mp4", folder / "karaoke.png"
    fetch(store, key_of(job, store, "render", "video"), film)
    contact_sheet(film, song, sheet)
    errors = onset_errors(json.loads(_text(store, key_of(job, store, "align", "lyrics"))), song)
    median = sorted(errors)[len(errors) // 2]
    console.print(f"  film           {film}", markup=False, soft_wrap=True)
    console.print(f"  contact sheet  {sheet}", markup=False, soft_wrap=True)
    console.print(
        f"  Align had the times of lines. Of {len(errors)} words it found the beginning to {1_000 * median:.0f} ms in "
        f"the median, {1_000 * max(errors):.0f} ms at the worst. They are spoken; real singing is harder.",
        style="dim",
    )


def onset_errors(lyrics: dict[str, Any], song: Song) -> list[float]:
    """Seconds between where each word begins in the record and where it was put."""
    found = [word["startMilliseconds"] / 1_000 for line in lyrics["lines"] for word in line["words"]]
    known = [word.start for line in song.lines for word in line]
    if len(found) != len(known):
        raise ToolError(f"the record has {len(found)} words, the song {len(known)}")
    return [abs(one - other) for one, other in zip(found, known, strict=True)]


def shown_moments(song: Song, count: int) -> list[float]:
    """Seconds: the title, then the middles of words at even distances through the song."""
    words: list[Sung] = [word for line in song.lines for word in line]
    chosen = [words[round(number * (len(words) - 1) / (count - 2))] for number in range(count - 1)]
    return [2.0, *((word.start + word.end) / 2 for word in chosen)]


def contact_sheet(film: Path, song: Song, sheet: Path) -> None:
    """One PNG of frames of the film."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    moments = shown_moments(song, _SHEET_COLUMNS * _SHEET_ROWS)
    for moment in moments:
        command += ["-ss", f"{moment:.3f}", "-i", str(film)]
    frames = "".join(f"[{number}:v]trim=end_frame=1,scale=480:-1[f{number}];" for number in range(len(moments)))
    joined = "".join(f"[f{number}]" for number in range(len(moments)))
    tiles = f"{joined}concat=n={len(moments)},tile={_SHEET_COLUMNS}x{_SHEET_ROWS}:padding=4"
    command += ["-filter_complex", frames + tiles, "-frames:v", "1", str(sheet)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"ffmpeg: {done.stderr.strip()[-500:]}")


def key_of(job: AudioJob, store: Store, phase: str, output: str) -> str:
    """The key of an output."""
    manifest = next(each.manifest for each in job.status.phases if each.name == phase)
    assert manifest is not None
    outputs = store.manifest(manifest.key)["outputs"]
    file: str = next(each["file"] for each in outputs if each["name"] == output)
    return f"{manifest.key.rpartition('/')[0]}/{file}"


def fetch(store: Store, key: str, target: Path) -> None:
    """Copy a file of the store to this machine."""
    place = store.place(key)
    if isinstance(store, FolderOnThisMachine):
        shutil.copyfile(place, target)
        return
    words = place.split()
    done = subprocess.run([*words[:-1], str(target)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{place}: {done.stderr.strip()}")


def _text(store: Store, key: str) -> str:
    return json.dumps(store.manifest(key))  # a JSON document is read like a manifest
