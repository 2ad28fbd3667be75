"""Sounds whose notes are known, from numpy: struck strings, noise, drums."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE: Final = 44_100
SCALE: Final = (60, 62, 64, 65, 67, 69, 71, 72)

Samples = NDArray[np.float64]


def struck(pitch: float, seconds: float) -> Samples:
    """A string that is struck and rings: partials that fade, higher ones faster."""
    frequency, times = 440 * 2 ** ((pitch - 69) / 12), np.arange(round(seconds * RATE)) / RATE
    partials = (
        np.sin(2 * np.pi * n * frequency * times) / n**1.2 * np.exp(-times * (1.5 + 0.6 * n))
        for n in range(1, 12)
        if n * frequency < RATE / 2
    )
    ends = np.minimum(1, times / 0.004) * np.minimum(1, (seconds - times) / 0.1)
    return np.asarray(sum(partials, np.zeros(len(times))) * ends)


def tune(pitches: tuple[int, ...] = SCALE, step: float = 0.5, cents: float = 0.0) -> Samples:
    """One note after the other, the first after a quarter of a second."""
    sound = np.zeros(round((0.25 + step * (len(pitches) + 1)) * RATE))
    for number, pitch in enumerate(pitches):
        note, at = struck(pitch + cents / 100, step), round((0.25 + step * number) * RATE)
        sound[at : at + len(note)] += note
    return np.asarray(0.4 * sound / np.abs(sound).max())


def noise(seconds: float) -> Samples:
    """White noise."""
    return 0.1 * np.random.default_rng(1).standard_normal(round(seconds * RATE))


def drums(seconds: float, step: float = 0.5) -> Samples:
    """Kick and snare in turn, with a hi-hat between them."""
    sound, chance = np.zeros(round(seconds * RATE)), np.random.default_rng(2)
    times = np.arange(round(0.2 * RATE)) / RATE
    hiss = chance.standard_normal(len(times))
    kick = np.sin(2 * np.pi * 55 * times + 8 * np.exp(-30 * times)) * np.exp(-18 * times)
    snare = (0.5 * hiss + 0.5 * np.sin(2 * np.pi * 190 * times)) * np.exp(-25 * times)
    hat = np.diff(hiss, prepend=[0.0, 0.0], n=2) * 0.25 * np.exp(-70 * times)
    for number in range(int(seconds / step * 2) - 1):
        stroke = (kick, hat, snare, hat)[number % 4]
        at = round((0.1 + number * step / 2) * RATE)
        sound[at : at + len(times)] += stroke[: len(sound) - at]
    return np.asarray(0.5 * sound / np.abs(sound).max())


def speech() -> Samples:
    """A few sentences by espeak-ng."""
    words = "Good evening ladies and gentlemen. The weather will be fine for the whole of the week, says the minister."
    done = subprocess.run(["espeak-ng", "-v", "en", "--stdout", words], capture_output=True, check=True, timeout=60)
    samples, rate = soundfile.read(io.BytesIO(done.stdout))
    return np.asarray(np.interp(np.arange(0, len(samples), rate / RATE), np.arange(len(samples)), samples))


def write(folder: Path, samples: Samples, rate: int = RATE) -> Path:
    """The samples as a file."""
    path = folder / "sound.wav"
    soundfile.write(path, samples, rate)
    return path
