"""Listens to a recording from its beginning to its end, window by window, in the same memory for any length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiojob_runner.transcription import drums
from audiojob_runner.transcription.decoding.parts import Heard, Parts, Rules
from audiojob_runner.transcription.decoding.voices import limited
from audiojob_runner.transcription.network.model import Network
from audiojob_runner.transcription.network.windows import FRAME, KEPT, frames_of, kept, windows_of
from audiojob_runner.transcription.sound import PEAK, Sound, blocks

Matrix = NDArray[np.float32]

_DRUM_BLOCK: Final = drums.HOP * 86 * 20  # samples: 20 s


def hear_notes(
    sound: Sound, network: Network, rules: Rules, voices: int, on_share: Callable[[float], None]
) -> list[Heard]:
    """All notes, in order of begin. ``on_share`` gets the share of windows that are done, 0 to 1."""
    parts, heard = Parts(rules), list[Heard]()
    total = -(-frames_of(sound.samples) // KEPT)
    for number, (window, samples) in enumerate(blocks(sound, windows_of(sound.samples)), start=1):
        answer = network.listen(samples)
        rows = kept(window)
        middle = samples[rows.start * FRAME : rows.stop * FRAME].reshape(-1, FRAME)
        heard += parts.take(answer.cut(rows), np.sqrt(np.square(middle).mean(axis=1)))
        on_share(number / total)
    return limited(heard + parts.rest(), voices)


def hear_drums(sound: Sound, sensitivity: str, on_share: Callable[[float], None]) -> list[drums.Stroke]:
    """All strokes, in order of time."""
    levels: list[Matrix] = []
    scale = np.float32(PEAK / sound.peak)
    with soundfile.SoundFile(sound.path) as file:
        for first in range(0, sound.samples, _DRUM_BLOCK):
            before = min(first, drums.SIZE // 2)
            file.seek(first - before)
            samples = file.read(before + _DRUM_BLOCK + drums.SIZE // 2, dtype="float32") * scale
            count = -(-min(_DRUM_BLOCK, sound.samples - first) // drums.HOP)
            levels.append(drums.band_levels(samples, before, count))
            on_share(min(1.0, (first + _DRUM_BLOCK) / sound.samples))
    return drums.strokes(np.concatenate(levels), drums.SENSITIVITIES[sensitivity])
