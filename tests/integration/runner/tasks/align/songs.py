"""Songs whose words begin at known times: spoken by espeak-ng, one word after the other, in music from numpy."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE: Final = 22_050
# None of them is a voice that Align speaks with.
VOICES: Final = ("en-gb-x-rp+f3", "en-gb-scotland+m4", "en-gb-x-gbclan+m7", "en-029+f5")
TEXT: Final = (
    "morning light is on the water", "every river knows your name", "carry me over the mountain",
    "nothing will ever be the same", "hold the lantern in the window", "summer rain upon my face",
    "we were dancing in the kitchen", "all the trains have left this place", "sing another verse together",
    "sleep my darling close your eyes",
)  # fmt: skip

Samples = NDArray[np.float64]


@dataclass(frozen=True)
class SungWord:
    """A word and when it sounds, in seconds: known, as it was put there."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Song:
    """The voice alone, and its lines."""

    voice: Samples
    lines: tuple[tuple[SungWord, ...], ...]

    @property
    def seconds(self) -> float:
        return len(self.voice) / RATE


@dataclass(frozen=True)
class Singing:
    """How words are sung: by whom, how many times as long as spoken, how far the pitch moves (of 99)."""

    voice: str = VOICES[0]
    stretch: tuple[float, float] = (1.0, 1.0)
    pitch: tuple[int, int] = (50, 50)
    seed: int = 1


def make_song(folder: Path, singing: Singing = Singing(), text: tuple[str, ...] = TEXT) -> Song:
    """The lines of the text, with pauses that differ between words and lines."""
    chance = np.random.default_rng(singing.seed)
    pieces, lines, at = [np.zeros(RATE)], list[tuple[SungWord, ...]](), RATE
    for line in text:
        words = list[SungWord]()
        for word in line.split():
            sound = _sing(folder, word, singing, chance)
            words.append(SungWord(word, at / RATE, (at + len(sound)) / RATE))
            pause = np.zeros(int(RATE * chance.choice([0.0, 0.0, 0.02, 0.1, 0.3])))
            pieces += [sound, pause]
            at += len(sound) + len(pause)
        rest = np.zeros(int(RATE * chance.uniform(0.5, 2.0)))
        pieces.append(rest)
        at += len(rest)
        lines.append(tuple(words))
    return Song(np.concatenate(pieces), tuple(lines))


def _sing(folder: Path, word: str, singing: Singing, chance: np.random.Generator) -> Samples:
    """One word, without the silence around it."""
    path, pitch = folder / "word.wav", int(chance.integers(*singing.pitch, endpoint=True))
    stretch = chance.uniform(*singing.stretch)
    command = ["espeak-ng", "-v", singing.voice, "-s", "150", "-p", str(pitch), "-w", str(path), word]
    subprocess.run(command, check=True, timeout=60)
    if stretch > 1.0:
        slower = f"atempo={stretch**-0.5:.4f},atempo={stretch**-0.5:.4f}"  # at most twice as slow each
        spoken, path = path, folder / "slow.wav"
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(spoken), "-af", slower, str(path)]
        subprocess.run(command, check=True, timeout=60)
    samples, rate = soundfile.read(path)
    assert rate == RATE
    loud = np.flatnonzero(np.abs(samples) > 0.003)
    return np.asarray(samples[loud[0] : loud[-1] + 1], dtype=np.float64)


def music(seconds: float, seed: int = 1) -> Samples:
    """A band: chords, a bass, a lead, drums; 100 beats a minute."""
    chance, beat = np.random.default_rng(seed), 0.6
    times = np.arange(round(seconds * RATE)) / RATE
    mix = np.zeros(len(times))
    chords = ((48, 52, 55), (45, 48, 52), (41, 45, 48), (43, 47, 50))
    for number in range(int(seconds / beat) + 1):
        low, high = int(number * beat * RATE), int((number + 1) * beat * RATE)
        local = times[low:high] - number * beat
        chord = chords[(number // 4) % 4]
        fade = np.exp(-3 * local)
        mix[low:high] += 0.15 * sum(_tone(local, note + 12, 6) for note in chord)
        mix[low:high] += 0.3 * _tone(local, chord[0] - 12, 4) * fade
        mix[low:high] += 0.15 * _tone(local, int(chance.choice(chord)) + 24, 8) * fade
        mix[low:high] += (
            0.8 * np.sin(2 * np.pi * 50 * local * np.exp(-4 * local)) * np.exp(-12 * local) * (number % 2 == 0)
        )
        mix[low:high] += 0.25 * chance.standard_normal(len(local)) * np.exp(-40 * local)
    return mix


def _tone(times: Samples, note: int, partials: int) -> Samples:
    frequency = 440 * 2 ** ((note - 69) / 12)
    return sum((np.sin(2 * np.pi * frequency * n * times) / n for n in range(1, partials)), np.zeros(len(times)))


def mixed(song: Song, decibels: float | None) -> Samples:
    """The voice in music that is louder by these decibels than the voice is where it sounds; None: alone."""
    if decibels is None:
        return song.voice
    band = music(song.seconds)
    sounding = song.voice[np.abs(song.voice) > 0.003]
    scale = np.sqrt(np.mean(sounding**2) / np.mean(band**2)) * 10 ** (decibels / 20)
    mix = song.voice + scale * band[: len(song.voice)]
    return np.asarray(mix / max(1.0, float(np.abs(mix).max())))
