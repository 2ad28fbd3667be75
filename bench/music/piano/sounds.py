"""Pieces by other keyboards and by plain tones, so that what is fitted is not one sampled piano."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from bench.music.pieces import Piece
from bench.music.render import Sounding, render

RATE: Final = 22_050
PROGRAMS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 11, 24, 46)  # pianos, harpsichord, celesta, vibraphone, guitar, harp
TONES: Final = 0.4  # the share of pieces that are played by tones


def other_sound(piece: Piece, folder: Path) -> Path:
    """A WAV file of the piece as its seed says: by another instrument of the sound font, or by tones."""
    chance = np.random.default_rng(piece.seed + 99)
    if chance.random() < TONES:
        return tones(piece, folder / f"tones-{piece.seed}.wav", chance)
    program = int(chance.choice(PROGRAMS))
    other = replace(piece, programs=dict.fromkeys(piece.programs, program))
    return render(other, folder, Sounding(reverb=bool(chance.random() < 0.5)))


def tones(piece: Piece, target: Path, chance: np.random.Generator) -> Path:
    """Sums of partials that fade: bright or dull, even or only odd ones, as chance has it."""
    played = piece.played()
    sound = np.zeros(int((played[-1].offset + 2) * RATE))
    power, decay = chance.uniform(0.8, 2.0), chance.uniform(0.5, 4)
    count, odd = int(chance.integers(4, 14)), chance.random() < 0.2
    damp = chance.uniform(0, 0.4)
    for note in played:
        length = note.offset - note.onset + 0.05
        times = np.arange(int(length * RATE)) / RATE
        hertz = 440 * 2 ** ((note.pitch - 69) / 12)
        tone = np.zeros(len(times))
        for partial in range(1, count, 2 if odd else 1):
            if hertz * partial < 10_000:
                tone += np.sin(2 * np.pi * hertz * partial * times) * np.exp(-damp * partial * times) / partial**power
        tone *= np.exp(-decay * times) * np.minimum(1, times / 0.003) * np.minimum(1, (length - times) / 0.03)
        first = round(note.onset * RATE)
        sound[first : first + len(tone)] += tone[: len(sound) - first] * (note.velocity / 100) ** 2
    soundfile.write(target, sound / np.abs(sound).max() * 0.7, RATE)
    return target
