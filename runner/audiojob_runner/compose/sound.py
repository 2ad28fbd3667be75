"""The film's sound: what is said and heard in each scene, in its place, with music that gives way to it.

Everything is read in pieces, so that memory does not grow with the film. Levels of the voice are kept for the whole
film, a hundred a second: music is turned down before somebody speaks, which only who knows what comes can do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiojob_runner.compose.frame import SAMPLE_RATE
from audiojob_types.documents.scenes import Music

CHANNELS: Final = 2
STEP: Final = SAMPLE_RATE // 100
PIECE: Final = 2 * SAMPLE_RATE
# What is quieter is breath and noise.
SPEECH_DECIBELS: Final = -45.0
# Music goes down a little before somebody speaks, stays down in short pauses, and comes back slowly.
ATTACK_SECONDS: Final = 0.25
HOLD_SECONDS: Final = 0.5
RELEASE_SECONDS: Final = 0.8
_QUIETEST: Final = 1e-6

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Part:
    """Sound of a scene: a WAV file of 48 kHz and two channels, from ``start`` of the film for at most ``samples``."""

    path: Path
    start: int
    samples: int
    gain_decibels: float = 0.0
    speech: bool = True


class Voice:
    """All parts in their places. They are in order; two of one scene begin together."""

    def __init__(self, parts: Sequence[Part], total: int) -> None:
        self._parts = parts
        self._total = total

    def pieces(self) -> Iterator[tuple[int, Samples, Samples]]:
        """Where a piece begins, the piece, and only what is speech in it."""
        open_files: dict[Part, Any] = {}
        with ExitStack() as stack:
            for start in range(0, self._total, PIECE):
                size = min(PIECE, self._total - start)
                heard, speech = (np.zeros((size, CHANNELS), np.float32) for _ in range(2))
                for part in self._parts:
                    if part.start >= start + size or part.start + part.samples <= start:
                        continue
                    if part not in open_files:
                        open_files[part] = stack.enter_context(soundfile.SoundFile(part.path))
                    at = max(0, part.start - start)
                    wanted = min(size, part.start + part.samples - start) - at
                    got = open_files[part].read(wanted, dtype="float32", always_2d=True)
                    got *= np.float32(10 ** (part.gain_decibels / 20))
                    heard[at : at + len(got)] += got
                    if part.speech:
                        speech[at : at + len(got)] += got
                for part in [part for part in open_files if part.start + part.samples <= start + size]:
                    open_files.pop(part).close()
                yield start, heard, speech


def levels(speech: Samples) -> NDArray[np.float32]:
    """Decibels of full scale, a hundred a second; the last may be of less than a hundredth."""
    steps = -(-len(speech) // STEP)
    padded = np.zeros((steps * STEP, CHANNELS), np.float32)
    padded[: len(speech)] = speech
    power = np.square(padded).mean(axis=1).reshape(steps, STEP).mean(axis=1)
    found: NDArray[np.float32] = (10 * np.log10(np.maximum(power, _QUIETEST**2))).astype(np.float32)
    return found


def envelope(speech_levels: NDArray[np.float32], music: Music) -> NDArray[np.float32]:
    """Decibels by which the music is turned down, a hundred a second."""
    spoken = speech_levels > SPEECH_DECIBELS
    depth = float(music.ducking_decibels)
    if not depth or not spoken.any():
        return np.zeros(len(spoken), np.float32)
    number = np.arange(len(spoken))
    # Hundredths since somebody spoke last, and until somebody speaks next.
    since = number - np.maximum.accumulate(np.where(spoken, number, -(10**7)))
    until = np.minimum.accumulate(np.where(spoken, number, 10**7)[::-1])[::-1] - number
    after = np.clip(1 - (since / 100 - HOLD_SECONDS) / RELEASE_SECONDS, 0, 1)
    before = np.clip(1 - until / 100 / ATTACK_SECONDS, 0, 1)
    down: NDArray[np.float32] = (-depth * np.maximum(after, before)).astype(np.float32)
    return down


def music_gain(down: NDArray[np.float32], music: Music, total: int) -> Callable[[int, int], Samples]:
    """The factor of each sample of the music, from and to a place in the film."""
    times = (np.arange(len(down)) + 0.5) * STEP
    fade = min(round(music.fade_milliseconds * SAMPLE_RATE / 1_000), total)

    def gain(start: int, end: int) -> Samples:
        at = np.arange(start, end)
        decibels = np.interp(at, times, down) + music.level_decibels
        factor = np.power(10.0, decibels / 20)
        if fade:
            factor *= np.clip((total - at) / fade, 0, 1)
        column: Samples = factor.astype(np.float32)[:, None]
        return column

    return gain


def repeated(path: Path) -> Iterator[Samples]:
    """The music, again from the beginning for ever, in pieces of any length. It must not be empty."""
    with soundfile.SoundFile(path) as file:
        while True:
            file.seek(0)
            while len(piece := file.read(PIECE, dtype="float32", always_2d=True)):
                yield piece


class Cutter:
    """Pieces of any length as pieces of a wanted one."""

    def __init__(self, pieces: Iterator[Samples]) -> None:
        self._pieces = pieces
        self._rest = np.zeros((0, CHANNELS), np.float32)

    def take(self, size: int) -> Samples:
        """The next samples."""
        while len(self._rest) < size:
            self._rest = np.concatenate((self._rest, next(self._pieces)))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def write_sound(
    target: Path, voice: Voice, bed: tuple[Path, Music] | None, total: int, beat: Callable[[float], None]
) -> int:
    """The whole as a WAV file; ``beat`` gets the share that is done and may raise. Returns how many samples were
    beyond full scale and cut off."""
    bed_gain, cutter = None, None
    if bed is not None:
        path, music = bed
        measured = np.concatenate([levels(speech) for _, _, speech in voice.pieces()])
        bed_gain, cutter = music_gain(envelope(measured, music), music, total), Cutter(repeated(path))
    cut_off = 0
    with soundfile.SoundFile(target, "w", SAMPLE_RATE, CHANNELS, "PCM_16", format="WAV") as file:
        for start, heard, _ in voice.pieces():
            if bed_gain is not None and cutter is not None:
                np.add(heard, cutter.take(len(heard)) * bed_gain(start, start + len(heard)), out=heard)
            cut_off += int(np.count_nonzero(np.abs(heard) > 1.0))
            file.write(np.clip(heard, -1.0, 1.0))
            beat((start + len(heard)) / total)
    return cut_off
