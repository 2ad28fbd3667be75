"""How far Align's words are from where they were put: speech of espeak-ng's other voices in generated music.

Repeat: ``python bench/karaoke/align.py``. Prints a table: sung how, music, line times or none; the median error in
milliseconds, the share within 150 ms, the share spread, seconds of work for a minute of song.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration.runner.tasks.align.songs import RATE, VOICES, Singing, Song, make_song, mixed

from audiojob_runner.alignment.activity import measure
from audiojob_runner.alignment.align import align
from audiojob_runner.alignment.listen import Listener
from audiojob_runner.alignment.sound import Sound
from audiojob_runner.alignment.voice import speaker
from audiojob_types.documents.lyrics import Line, Word

WAYS: Final = {
    "1x": ((1.0, 1.0), (50, 50)),
    "1.5-2x": ((1.5, 2.0), (30, 70)),
    "2-3x": ((2.0, 3.0), (30, 70)),
    "2-3x, wide": ((2.0, 3.0), (0, 99)),
}
MUSIC: Final = (None, -12, -6, 0)


@dataclass(frozen=True)
class Outcome:
    """One song: errors in milliseconds, words that were spread, seconds of work."""

    errors: tuple[float, ...]
    spread: int
    seconds: float


def main() -> None:
    """Run all songs of all ways."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--voices", type=int, default=3)
    arguments = options.parse_args()
    print("| sung | music (dB) | line times | median (ms) | <= 150 ms | spread | s per minute |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for way, (stretch, pitch) in WAYS.items():
            singings = [Singing(voice, stretch, pitch, n + 1) for n, voice in enumerate(VOICES[: arguments.voices])]
            songs = [make_song(folder, singing) for singing in singings]
            minutes = sum(song.seconds for song in songs) / 60
            for decibels in MUSIC:
                for known in (True, False):
                    row([run(folder, song, decibels, known) for song in songs], (way, decibels, known), minutes)


def row(found: list[Outcome], about: tuple[str, int | None, bool], minutes: float) -> None:
    """Print one line."""
    way, decibels, known = about
    errors = np.array([error for each in found for error in each.errors])
    music, lines = "alone" if decibels is None else decibels, "yes" if known else "no"
    spread, seconds = sum(each.spread for each in found) / len(errors), sum(each.seconds for each in found) / minutes
    print(
        f"| {way} | {music} | {lines} | {np.median(errors):.0f} | {np.mean(errors <= 150):.2f} | {spread:.2f} "
        f"| {seconds:.1f} |",
        flush=True,
    )


def run(folder: Path, song: Song, decibels: int | None, known: bool) -> Outcome:
    """Align one song."""
    path = folder / "voice.wav"
    soundfile.write(path, resampled(mixed(song, decibels)), 16_000)
    sound = Sound(path, round(song.seconds * 1_000), silent=False)
    begins = [round(line[0].start * 1_000) for line in song.lines] + [sound.milliseconds]
    lines = [
        Line(
            words=tuple(Word(text=word.text) for word in line),
            start_milliseconds=begins[number] if known else None,
            end_milliseconds=begins[number + 1] if known else None,
        )
        for number, line in enumerate(song.lines)
    ]
    started = time.process_time()
    listener = Listener(sound, speaker("en", "", folder, threading.Event()))
    result = align(lines, listener, measure(path), lambda _: None)
    seconds = time.process_time() - started
    truth = [word.start * 1_000 for line in song.lines for word in line]
    heard = [word.start_milliseconds or 0 for line in result.lines for word in line.words]
    errors = tuple(abs(one - other) for one, other in zip(heard, truth, strict=True))
    return Outcome(errors, result.spread, seconds)


def resampled(samples: np.ndarray) -> np.ndarray:
    """At 16 kHz, as Align reads it: by the spectrum, so that nothing above is folded."""
    count = round(len(samples) * 16_000 / RATE)
    return np.fft.irfft(np.fft.rfft(samples)[: count // 2 + 1], count) * count / len(samples)


if __name__ == "__main__":
    main()
