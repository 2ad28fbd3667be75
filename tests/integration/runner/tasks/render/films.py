"""Songs to render, and looking at the films that come out."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.task import TaskInput, TaskResult
from audiojob_types.tasks import Task

Picture = npt.NDArray[np.int16]
WIDTH, HEIGHT = 426, 240
SMALL: Final[dict[str, Any]] = {"videoSize": "Video240p", "effort": "Low"}
SUNG, SECOND_SUNG = (255, 200, 0), (48, 176, 255)


@dataclass(frozen=True)
class Word:
    """A word from and to milliseconds."""

    text: str
    start: int
    end: int


def words(text: str, start: int, each: int = 500) -> list[Word]:
    """The words of a text, one after the other."""
    return [Word(word, start + n * each, start + (n + 1) * each) for n, word in enumerate(text.split())]


def line(sung: list[Word], voice: str | None = None) -> dict[str, Any]:
    """A line of the record."""
    written = [
        {"text": word.text, "startMilliseconds": word.start, "endMilliseconds": word.end, "joined": False}
        for word in sung
    ]
    found = {"words": written, "startMilliseconds": sung[0].start, "endMilliseconds": sung[-1].end, "voice": voice}
    return {name: value for name, value in found.items() if value is not None}


def record(*lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A whole ``lyrics.json``."""
    return {"version": 1, "timing": "Words", "origin": {"place": "Input"}, "lines": list(lines), **more}


def tone(folder: Path, seconds: float, *more: str, name: str = "song.wav") -> Path:
    """A sound of that many seconds."""
    path = folder / name
    source = f"sine=440:sample_rate=44100:duration={seconds}"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", source, "-ac", "2", *more, str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


def render(bench: Bench, lyrics: dict[str, Any], song: Path, *more: TaskInput, **parameters: Any) -> TaskResult:
    """The film of these words."""
    path = bench.root / f"lyrics-{bench.runs}.json"
    path.write_text(json.dumps(lyrics))
    given = [TaskInput("lyrics", path=path), TaskInput("accompaniment", path=song), *more]
    return bench.run_on(Task.RENDER, given, **{**SMALL, **parameters})


def film_of(result: TaskResult) -> Path:
    """The film."""
    return next(each.path for each in result.outputs if each.name == "video")


def pictures(film: Path, fps: int = 30) -> Picture:
    """All frames, as red, green and blue."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(film), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3).astype(np.int16)


def like(picture: Picture, color: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    """Where a picture has nearly that colour."""
    return np.asarray(np.abs(picture - np.array(color)).sum(axis=-1) < 130)


def lengths(film: Path) -> dict[str, float]:
    """Seconds of picture and sound, by what a decoder gives, and pictures in all."""
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_type,nb_read_frames", "-of",
               "json", str(film)]  # fmt: skip
    streams = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)["streams"]
    frames = next(int(each["nb_read_frames"]) for each in streams if each["codec_type"] == "video")
    sound = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(film), "-map", "0:a", "-f", "s16le", "-ac", "1", "-ar",
             "44100", "-"]  # fmt: skip
    samples = len(subprocess.run(sound, check=True, capture_output=True, timeout=60).stdout) // 2
    return {"frames": frames, "sound": samples / 44_100}
