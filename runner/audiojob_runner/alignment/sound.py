"""The voice as a file that any part of is read from: 16 kHz, one channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from audiojob_runner.alignment.features import Samples
from audiojob_runner.media import ffmpeg
from audiojob_runner.media import probe as media
from audiojob_runner.media.examine import examine_sound, explained
from audiojob_runner.media.ffmpeg import FfmpegError, WavRequest
from audiojob_runner.media.timing import timing_filters
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
    mix = ffmpeg.channel_mix(info.channels, 1)
    request = WavRequest(
        source=source,
        target=target,
        demuxer=info.demuxer,
        stream_index=info.stream_index,
        filters=",".join([*timing_filters(info.timing), *([mix] if mix else [])]) or "anull",
        max_seconds=max_seconds,
        sample_rate=RATE,
        channels=1,
        timing=info.timing,
    )
    length = info.duration_seconds or max_seconds
    try:
        ffmpeg.decode_to_wav(request, lambda position: on_progress(min(1.0, position / length)), context.cancelled)
    except FfmpegError as error:
        context.log.warning("ffmpeg: %s", error)
        raise explained(error, source) from error
    return Sound(target, round(soundfile.info(target).frames * 1_000 / RATE), _is_silent(target))


def _is_silent(path: Path) -> bool:
    return all(
        float(np.abs(block).max(initial=0.0)) < _SILENT
        for block in soundfile.blocks(path, blocksize=_BLOCK, dtype="float32")
    )
