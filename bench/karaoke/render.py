"""Render over bare ffmpeg with the same command: ``python bench/karaoke/render.py [--minutes M] [--cases NAME ...]``.

A is `python -m audiojob_runner run Render` on a song of noise and words for each second; B is the ffmpeg command that
Render itself ran in the end, on the same files. They run in turn, held to ``--cpus`` processors; wall time, processor
time and peak memory are of the process and its children. ``--only`` leaves B out (``--minutes 60 --only`` for memory).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

WORDS: Final = ("here", "be", "dragons", "flying", "far", "away", "over", "mountains", "and", "the", "wide", "sea")
LINE_WORDS: Final = 8
PICTURE, FILM = "picture.jpg", "loop.mp4"
# Runs the task as the command line does, and keeps what ffmpeg was given: its files are gone afterwards.
KEEPING: Final = """
import json, shutil, sys
from pathlib import Path
from audiojob_runner.media.rendering import film
from audiojob_runner.tasks import render
kept, write = Path(sys.argv.pop(1)), film.write_film
def write_film(request, position, cancelled):
    metadata = kept / "tags"
    metadata.write_text(";FFMETADATA1\\n")
    shutil.copytree(request.folder, kept / "making", symlinks=True)
    command = film.film_command(request, metadata)
    moved = [part.replace(str(request.folder), str(kept / "making")) for part in command]
    configuration = kept / "making" / "fonts.conf"
    configuration.write_text(configuration.read_text().replace(str(request.folder), str(kept / "making")))
    moved[-1] = "file:" + str(kept / request.target.name)
    (kept / "command.json").write_text(json.dumps(moved))
    write(request, position, cancelled)
render.write_film = write_film
from audiojob_runner.cli import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Case:
    """What is rendered, and on what."""

    parameters: tuple[str, ...]
    background: str | None = None


CASES: Final[dict[str, Case]] = {
    "720p colour": Case(("videoSize=Video720p",)),
    "1080p colour": Case(()),
    "1080p picture": Case((), PICTURE),
    "1080p loop": Case((), FILM),
    "2160p colour": Case(("videoSize=Video2160p",)),
    "1080p colour, Low": Case(("effort=Low",)),
    "1080p webm": Case(("format=webm",)),
}


@dataclass(frozen=True)
class Cost:
    """Of one run, in seconds and MiB: the largest of its processes."""

    wall: float
    cpu: float
    peak: float


def main() -> None:
    """Run the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--cases", nargs="*", default=["1080p colour", "1080p picture"], choices=CASES)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--only", action="store_true")
    wanted = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: wanted.cpus])
    with tempfile.TemporaryDirectory(prefix="render-") as folder:
        root = Path(folder)
        make_sources(root, wanted.minutes, {CASES[name].background for name in wanted.cases})
        for name in wanted.cases:
            for _ in range(wanted.pairs):
                ours = rendered(root, CASES[name], keep=not wanted.only)
                bare = None if wanted.only else bare_ffmpeg(root)
                print(line(name, wanted.minutes * 60, ours, bare), flush=True)
                shutil.rmtree(root / "kept", ignore_errors=True)


def line(name: str, seconds: float, ours: Cost, bare: Cost | None) -> str:
    """One row for people."""
    text = (
        f"{name}: wall {ours.wall:.1f} s ({ours.wall / seconds:.2f} of the song), processor {ours.cpu:.1f} s "
        f"({ours.cpu / seconds:.2f}), peak {ours.peak:.0f} MiB"
    )
    if bare is None:
        return text
    return (
        f"{text}; ffmpeg alone {bare.wall:.1f}, {bare.cpu:.1f} s, {bare.peak:.0f} MiB; "
        f"ratio {ours.wall / bare.wall:.3f} wall, {ours.cpu / bare.cpu:.3f} processor"
    )


def make_sources(root: Path, minutes: float, backgrounds: set[str | None]) -> None:
    """A song of noise, its words, and what is behind them: a picture of twelve megapixels, a film of 20 seconds."""
    seconds = minutes * 60
    ffmpeg(root, "-f", "lavfi", "-i", f"anoisesrc=a=0.1:c=pink:r=44100:d={seconds}:seed=1", "-ac", "2", "song.wav")
    if PICTURE in backgrounds:
        drawn = ["-f", "lavfi", "-i", "testsrc2=size=4000x3000", "-frames:v", "1", "-q:v", "3"]
        ffmpeg(root, *drawn, PICTURE)
    if FILM in backgrounds:
        moving = ["-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=25:d=20", "-c:v", "libx264"]
        ffmpeg(root, *moving, "-preset", "ultrafast", FILM)
    (root / "lyrics.json").write_text(json.dumps(lyrics(int(seconds) - 5)))


def lyrics(seconds: int) -> dict[str, Any]:
    """A word each half second, a pause of ten seconds each minute."""
    lines, at = [], 8_000
    while at + LINE_WORDS * 500 < seconds * 1_000:
        words = [
            {"text": WORDS[(at // 500 + number) % len(WORDS)], "startMilliseconds": at + number * 500,
             "endMilliseconds": at + (number + 1) * 500}
            for number in range(LINE_WORDS)
        ]  # fmt: skip
        end = at + LINE_WORDS * 500
        lines.append({"words": words, "startMilliseconds": at, "endMilliseconds": end})
        at = end + (10_000 if end // 60_000 > at // 60_000 else 500)
    return {"timing": "Words", "origin": {"place": "Input"}, "title": "Dragons", "lines": lines}


def rendered(root: Path, case: Case, *, keep: bool) -> Cost:
    """The task, by the command line."""
    kept = root / "kept"
    kept.mkdir()
    command = [sys.executable, *(("-c", KEEPING, str(kept)) if keep else ("-m", "audiojob_runner"))]
    command += ["run", "Render", "--out", str(root / "out"), "--force"]
    command += ["--input", f"lyrics={root / 'lyrics.json'}", "--input", f"accompaniment={root / 'song.wav'}"]
    if case.background is not None:
        command += ["--input", f"background={root / case.background}"]
    for pair in case.parameters:
        command += ["--param", pair]
    return cost_of(command, root)


def bare_ffmpeg(root: Path) -> Cost:
    """The command that the task ran."""
    making = root / "kept" / "making"
    os.environ["FONTCONFIG_FILE"] = str(making / "fonts.conf")
    return cost_of(json.loads((root / "kept" / "command.json").read_text()), making)


def cost_of(command: list[str], folder: Path) -> Cost:
    """Run it in a process of its own, which then knows what its children took."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = folder / "peak"
    watched = [sys.executable, "-c", PEAK, str(peak), *command]
    subprocess.run(watched, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.monotonic() - began, cpu, float(peak.read_text()))


PEAK: Final = """
import resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True)
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024))
"""


def ffmpeg(folder: Path, *arguments: str) -> None:
    """Make a file for the bench."""
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments], cwd=folder, check=True)


if __name__ == "__main__":
    main()
