"""The voice as a file that any part of is read from: 16 kHz, one channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from audiojob_runner.alignment.features import Samples
from audiojob_runner.media import probe as media
from audiojob_runner.media.decoding import mono_request, write_wav
from audiojob_runner.media.examine import examine_sound
from audiojob_runner.task import TaskContext
from audiojob_types.documents.lyrics import MAX_MILLISECONDS

RATE: Final = 16_000
_BLOCK: Final = RATE * 10
# What is quieter all along is silence: -60 dB of full scale.
_SILENT: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Sound:
    """A decoded recording."""

    path: Path
    milliseconds: int
    silent: bool

    def read(self, start: int, end: int) -> Samples:
        """What sounds between two times in milliseconds, as far as there is anything."""
        with soundfile.SoundFile(self.path) as file:
            first, last = (min(round(time * RATE / 1_000), file.frames) for time in (start, end))
            file.seek(first)
            samples: Samples = file.read(last - first, dtype="float32")
            return samples


def decode(source: Path, context: TaskContext, on_progress: Callable[[float], None]) -> Sound:
    """The sound of any media file. ``on_progress`` gets 0 to 1. Raises :class:`PhaseError`."""
    max_seconds = context.limits.max_duration_seconds or MAX_MILLISECONDS // 1_000
    info = examine_sound(source, context.cancelled)
    media.check_length(info, max_seconds)
    target = context.work_dir / "voice.wav"
    length = info.duration_seconds or max_seconds
    request = mono_request(source, info, target, RATE, max_seconds)
    write_wav(request, context, lambda position: on_progress(min(1.0, position / length)))
    return Sound(target, round(soundfile.info(target).frames * 1_000 / RATE), _is_silent(target))


def _is_silent(path: Path) -> bool:
    return all(
        float(np.abs(block).max(initial=0.0)) < _SILENT
        for block in soundfile.blocks(path, blocksize=_BLOCK, dtype="float32")
    )
