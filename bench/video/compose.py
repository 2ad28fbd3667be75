"""Compose over the same plan by hand: ``python bench/video/compose.py [--scenes N] [--size NAME] [--memory]``.

A is `python -m audiojob_runner run Compose` on scenes of a picture, three seconds of narration and a text. B is what a
person would write: for each scene one ffmpeg for its pictures (same size, colours, coding, text) and one for its sound,
then the pictures put together without coding them again, with the sound coded once, and a thumbnail. They run in turn;
wall and processor time are of the process and its children. ``--memory`` runs A alone, with music, cross-fades and
clips, and tells the most that its processes had together.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SIZES: Final = {"Video720p": (1_280, 720), "Video1080p": (1_920, 1_080), "Video360p": (640, 360)}
PICTURES: Final = 10
SECONDS: Final = 3
FPS: Final = 30
FONT: Final = "/usr/share/fonts/truetype/noto/NotoSans-Bold.ttf"
CODING: Final = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-g", "150", "-pix_fmt", "yuv420p")


@dataclass(frozen=True)
class Cost:
    """Of one run, in seconds."""

    wall: float
    cpu: float


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=50)
    parser.add_argument("--size", choices=SIZES, default="Video720p")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-compose-") as name:
        folder = Path(name)
        make_media(folder, SIZES[arguments.size], arguments.scenes)
        if arguments.memory:
            command = compose(folder, varied(arguments.scenes), arguments.size, arguments.scenes)
            print(f"{arguments.scenes} scenes, {arguments.size}: {peak_of(command):.0f} MiB")
            return
        pairs = [
            (
                cost(lambda: run(compose(folder, plain(arguments.scenes), arguments.size, arguments.scenes))),
                cost(lambda: by_hand(folder, SIZES[arguments.size], arguments.scenes)),
            )
            for _ in range(arguments.pairs)
        ]
    for ours, hand in pairs:
        print(f"Compose {ours.wall:.1f} s ({ours.cpu:.1f} CPU s), by hand {hand.wall:.1f} s ({hand.cpu:.1f} CPU s)")
    wall = statistics.median(ours.wall / hand.wall for ours, hand in pairs)
    cpu = statistics.median(ours.cpu / hand.cpu for ours, hand in pairs)
    print(f"wall {wall:.2f}, processor {cpu:.2f} (medians of {len(pairs)})")


def ffmpeg(*arguments: str) -> None:
    """As a person calls it."""
    run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments])


def run(command: list[str]) -> None:
    """To its end, without its output."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_media(folder: Path, size: tuple[int, int], scenes: int) -> None:
    """Photos of noise and shapes, larger than the film; speech as noise that comes and goes; a clip and music."""
    width, height = size[0] * 3 // 2, size[1] * 3 // 2
    for number in range(PICTURES):
        shapes = f"gradients=s={width}x{height}:seed={number + 1}:nb_colors=6,noise=alls=12"
        ffmpeg("-f", "lavfi", "-i", shapes, "-frames:v", "1", "-q:v", "3", str(folder / f"picture-{number}.jpg"))
    speech = "anoisesrc=r=22050:a=0.2:d=3,tremolo=f=3:d=0.9"
    ffmpeg("-f", "lavfi", "-i", speech, str(folder / "voice.wav"))
    for number in range(scenes):
        shutil.copy(folder / "voice.wav", folder / f"voice-{number}.wav")
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size[0]}x{size[1]}:r=30:d=6", "-c:v", "libx264", "-preset", "ultrafast",
           str(folder / "clip.mp4"))  # fmt: skip
    ffmpeg("-f", "lavfi", "-i", "sine=f=200:d=60", str(folder / "music.mp3"))


def plain(scenes: int) -> dict[str, Any]:
    """A picture, a narration and a text each, with cuts between."""
    return {"scenes": [scene(number) for number in range(scenes)]}


def scene(number: int, **more: Any) -> dict[str, Any]:
    """One scene."""
    texts = [{"content": f"This is scene {number + 1}", "position": "Bottom"}]
    return {"picture": f"picture-{number % PICTURES}", "narration": f"voice-{number}", "texts": texts, **more}


def varied(scenes: int) -> dict[str, Any]:
    """Everything that takes memory."""
    listed = []
    for number in range(scenes):
        each = scene(number, transition="CrossFade", pauseMilliseconds=500)
        if number % 3 == 2:
            each["clip"] = "clip"
            del each["picture"]
        listed.append(each)
    return {"music": {"input": "music"}, "scenes": listed}


def compose(folder: Path, listed: dict[str, Any], size: str, scenes: int) -> list[str]:
    """The command of A."""
    (folder / "scenes.json").write_text(json.dumps(listed), encoding="utf-8")
    inputs = {"scenes": "scenes.json", "clip": "clip.mp4", "music": "music.mp3"}
    inputs |= {f"picture-{number}": f"picture-{number}.jpg" for number in range(PICTURES)}
    inputs |= {f"voice-{number}": f"voice-{number}.wav" for number in range(scenes)}
    given = [word for name, file in inputs.items() for word in ("--input", f"{name}={folder / file}")]
    return [sys.executable, "-m", "audiojob_runner", "run", "Compose", *given, "--param", f"size={size}", "--param",
            f"framesPerSecond={FPS}", "--out", str(folder / "out"), "--force"]  # fmt: skip


def by_hand(folder: Path, size: tuple[int, int], scenes: int) -> None:
    """B."""
    work = folder / "hand"
    work.mkdir(exist_ok=True)
    for number in range(scenes):
        (work / "text.txt").write_text(f"This is scene {number + 1}", encoding="utf-8")
        text = f"drawtext=textfile={work}/text.txt:expansion=none:fontfile={FONT}:fontsize={size[1] // 15}"
        graph = (
            f"scale={size[0]}:{size[1]}:force_original_aspect_ratio=increase:out_color_matrix=bt709,crop={size[0]}:{size[1]},setsar=1,"
            f"format=yuv420p,{text}:fontcolor=white:borderw=3:x=(w-tw)/2:y=h-2*th,loop=loop=-1:size=1:start=0,"
            f"settb=1/{FPS},setpts=N"
        )
        ffmpeg("-i", str(folder / f"picture-{number % PICTURES}.jpg"), "-vf", graph, "-frames:v", str(SECONDS * FPS),
               "-r", str(FPS), *CODING, str(work / f"{number}.mp4"))  # fmt: skip
        ffmpeg("-i", str(folder / f"voice-{number}.wav"), "-af", "apad", "-t", str(SECONDS), "-ar", "48000", "-ac", "2",
               str(work / f"{number}.wav"))  # fmt: skip
    for form in ("mp4", "wav"):
        (work / f"{form}.txt").write_text("".join(f"file '{number}.{form}'\n" for number in range(scenes)))
    ffmpeg("-f", "concat", "-i", str(work / "mp4.txt"), "-f", "concat", "-i", str(work / "wav.txt"), "-c:v", "copy",
           "-c:a", "aac", "-b:a", "192k", "-movflags", "+faststart", str(work / "film.mp4"))  # fmt: skip
    ffmpeg("-ss", "15", "-i", str(work / "film.mp4"), "-frames:v", "1", str(work / "thumbnail.jpg"))


def cost(work: Any) -> Cost:
    """What it takes, with all processes that it starts."""
    before, began = os.times(), time.monotonic()
    work()
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(time.monotonic() - began, cpu)


def peak_of(command: list[str]) -> float:
    """The most memory, in MiB, that the command and its children had together, counting shared pages by their share."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, sum(map(proportional, family(process.pid))))

    watching = threading.Thread(target=watch)
    watching.start()
    code = process.wait()
    done.set()
    watching.join()
    if code:
        raise SystemExit(f"Compose ended with {code}")
    return most / 1_024


def family(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for each in found:
        try:
            tasks = list(Path(f"/proc/{each}/task").iterdir())
            found += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def proportional(pid: int) -> int:
    """KiB of a process, of what it shares only its share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
