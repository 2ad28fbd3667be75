"""A song with known words, made here: espeak-ng says each word on its beat, over generated music."""

from __future__ import annotations

import io
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiojob_dev.models.proof_music import RATE, make_piece

LINES: Final = (
    "Paper boats on quiet water",
    "Carry candles through the night",
    "Every window shows another",
    "Every river takes the light",
    "Morning finds them by the harbour",
    "Little ships of gold and grey",
    "Someone folds another letter",
    "Someone sends it on its way",
)
TITLE: Final = "Paper Boats"
ARTIST: Final = "espeak-ng and a random seed"
_SEED: Final = 11
_BEAT_SECONDS: Final = 0.6
_LEAD_IN_SECONDS: Final = 6.0
_TAIL_SECONDS: Final = 5.0
_LINE_BEATS: Final = 7
_PITCHES: Final = (45, 55, 62, 55, 70, 62, 50)  # of espeak-ng, by beat: a tune of a kind
_VOICE_LEVEL: Final = 0.5
_MUSIC_DECIBELS: Final = -9.0  # below the voice

Mono = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sung:
    """A word, and when it is heard. Seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Song:
    """The files of a song in one folder, and its words by line."""

    folder: Path
    lines: tuple[tuple[Sung, ...], ...]
    seconds: float

    @property
    def lrc(self) -> str:
        """The words with the times of lines alone, as people have them."""
        head = f"[ti:{TITLE}]\n[ar:{ARTIST}]\n[la:en]\n"
        return head + "".join(f"{_stamp(line[0].start)}{' '.join(word.text for word in line)}\n" for line in self.lines)


def make_song(folder: Path, lines: int = len(LINES)) -> Song:
    """Write ``vocals.flac``, ``accompaniment.flac`` and ``mix.flac``: the first lines of the song.

    The same files each time, as far as espeak-ng is the same.
    """
    seconds = _LEAD_IN_SECONDS + lines * _LINE_BEATS * _BEAT_SECONDS + _TAIL_SECONDS
    vocals = np.zeros(round(seconds * RATE), dtype=np.float32)
    sung = []
    for number, line in enumerate(LINES[:lines]):
        start = _LEAD_IN_SECONDS + number * _LINE_BEATS * _BEAT_SECONDS
        sung.append(tuple(_sing(vocals, line.split(), start)))
    music = make_piece(_SEED, seconds).mix.T
    loud = 10 ** (_MUSIC_DECIBELS / 20) * _loudness(vocals[np.abs(vocals) > 0.01]) / _loudness(music)
    accompaniment = np.clip(music * loud, -1, 1)
    voice = np.repeat(vocals[:, None], 2, axis=1)
    folder.mkdir(parents=True, exist_ok=True)
    for name, sound in (("vocals", voice), ("accompaniment", accompaniment), ("mix", (voice + accompaniment) * 0.7)):
        soundfile.write(folder / f"{name}.flac", sound, RATE)
    return Song(folder, tuple(sung), seconds)


def _sing(into: Mono, words: list[str], start: float) -> list[Sung]:
    """Add the words of a line, one a beat."""
    found = []
    for beat, word in enumerate(words):
        spoken = _spoken(word, _PITCHES[beat % len(_PITCHES)])
        first = round((start + beat * _BEAT_SECONDS) * RATE)
        into[first : first + len(spoken)] += _VOICE_LEVEL * spoken
        found.append(Sung(word, first / RATE, (first + len(spoken)) / RATE))
    return found


def _spoken(word: str, pitch: int) -> Mono:
    """The word at 44.1 kHz without the silence around it, its peak at 1."""
    command = ["espeak-ng", "-v", "en-us+f2", "-s", "165", "-p", str(pitch), "--stdout", word]
    done = subprocess.run(command, check=True, capture_output=True)
    # Written to a pipe, the header does not know the length: only the samples are read.
    sound, rate = soundfile.read(io.BytesIO(done.stdout[44:]), dtype="float32", samplerate=22_050, channels=1,
                                 format="RAW", subtype="PCM_16")  # fmt: skip
    heard = np.flatnonzero(np.abs(sound) > 0.02)
    sound = sound[heard[0] : heard[-1] + 1]
    places = np.arange(round(len(sound) * RATE / rate)) * rate / RATE
    resampled = np.interp(places, np.arange(len(sound)), sound)
    return np.asarray(resampled / np.abs(resampled).max(), dtype=np.float32)


def _loudness(sound: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def _stamp(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"[{int(minutes):02}:{rest:05.2f}]"
