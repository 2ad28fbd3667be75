"""What the tests of Compose share: small media, a frame of a film, the sound of a film."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.task import TaskInput, TaskResult
from audiojob_types.tasks import Task

RATE: Final = 48_000
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True)


def picture(path: Path, color: str, size: str = "320x180", *more: str) -> Path:
    ffmpeg("-f", "lavfi", "-i", f"color={color}:s={size}", "-frames:v", "1", *more, str(path))
    return path


def clip(path: Path, first: str, then: str, *more: str) -> Path:
    """Two seconds of one colour and two of another, with a tone of 1 kHz."""
    ffmpeg(
        "-f", "lavfi", "-i", f"color={first}:s=256x144:r=24:d=2",
        "-f", "lavfi", "-i", f"color={then}:s=256x144:r=24:d=2",
        "-f", "lavfi", "-i", "sine=f=1000:d=4", "-filter_complex", "[0][1]concat", "-c:v", "libx264", "-g", "24",
        "-pix_fmt", "yuv420p", "-c:a", "aac", *more, str(path),
    )  # fmt: skip
    return path


def tone(path: Path, hertz: float, seconds: float, level: float = 0.25, rate: int = RATE) -> Path:
    at = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, level * np.sin(2 * np.pi * hertz * at), rate)
    return path


def compose(bench: Bench, scenes: dict[str, Any], media: dict[str, Path], **parameters: Any) -> TaskResult:
    listed = bench.root / "scenes.json"
    listed.write_text(json.dumps(scenes), encoding="utf-8")
    inputs = [TaskInput("scenes", path=listed), *(TaskInput(name, path=path) for name, path in media.items())]
    return bench.run_on(Task.COMPOSE, inputs, **{"size": "Video180p", **parameters})


def frames(video: Path, *numbers: int) -> list[NDArray[np.uint8]]:
    """Pictures of the film by their numbers, in RGB."""
    size = probe(video)["streams"][0]
    wanted = "+".join(f"eq(n\\,{number})" for number in numbers)
    command = ["ffmpeg", "-v", "error", "-i", str(video), "-vf", f"select={wanted}", "-vsync", "0", "-f", "rawvideo",
               "-pix_fmt", "rgb24", "-"]  # fmt: skip
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(-1, size["height"], size["width"], 3))


def mean(frame: NDArray[np.uint8]) -> tuple[float, ...]:
    return tuple(float(each) for each in frame.reshape(-1, 3).mean(axis=0))


def sound(video: Path) -> NDArray[np.float32]:
    """The left side, as a player plays it."""
    command = ["ffmpeg", "-v", "error", "-i", str(video), "-vn", "-af", "pan=mono|c0=c0", "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)


def level(samples: NDArray[np.float32], hertz: float, start: float, end: float) -> float:
    """Decibels of one frequency between two times."""
    piece = samples[round(start * RATE) : round(end * RATE)]
    at = np.arange(len(piece)) / RATE
    amplitude = 2 * abs(np.mean(piece * np.exp(-2j * np.pi * hertz * at)))
    return float(20 * np.log10(max(amplitude, 1e-6)))


def probe(video: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters", "-of", "json", str(video)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found
