"""The recording as a file of the network's rate, in one channel, which any part is read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiojob_runner.media import probe as media
from audiojob_runner.media.decoding import mono_request, write_wav
from audiojob_runner.media.examine import examine_sound
from audiojob_runner.media.ffmpeg import WavRequest
from audiojob_runner.media.lengths.decoded import decoded_samples
from audiojob_runner.task import TaskContext
from audiojob_runner.transcription.network.windows import RATE, WINDOW, Window
from audiojob_runner.transcription.tuning import SIZE, Tuning, TuningMeter

Matrix = NDArray[np.float32]

PEAK: Final = 0.5  # what the network is used to
SILENT: Final = 1e-3  # -60 dB of full scale: what is quieter all along is silence
_BLOCK: Final = RATE * 10
_MOST_TUNING_BLOCKS: Final = 600
LEAST_CENTS: Final = 5.0  # less makes no difference


@dataclass(frozen=True, slots=True)
class Sound:
    """A decoded recording. ``stretch``: how many times as long as the recording it plays."""

    path: Path
    samples: int
    peak: float
    source_rate: int
    stretch: float = 1.0

    @property
    def seconds(self) -> float:
        """How long the recording plays."""
        return self.samples / RATE / self.stretch


def decode(source: Path, max_seconds: int, context: TaskContext, on_progress: Callable[[float], None]) -> Sound:
    """The sound of any media file. ``on_progress`` gets 0 to 1. Raises :class:`PhaseError`."""
    info = examine_sound(source, context.cancelled)
    media.check_length(info, max_seconds)
    target = context.work_dir / "sound.wav"
    length = info.duration_seconds or max_seconds
    # One second more shows that a source without a stated length is too long.
    request = mono_request(source, info, target, RATE, max_seconds + 1)
    write_wav(request, context, lambda position: on_progress(min(1.0, position / length)))
    samples = decoded_samples(target)
    if samples > max_seconds * RATE:
        raise media.too_long(max_seconds)
    media.check_decoded(info, samples / RATE)
    return Sound(target, samples, _peak(target), info.sample_rate)


def measure_tuning(sound: Sound) -> Tuning:
    """How far it is off tune, by blocks from all over it."""
    meter = TuningMeter(RATE)
    step = max(1, sound.samples // SIZE // _MOST_TUNING_BLOCKS) * SIZE
    with soundfile.SoundFile(sound.path) as file:
        for first in range(0, sound.samples - SIZE + 1, step):
            file.seek(first)
            meter.take(file.read(SIZE, dtype="float32"))
    return meter.tuning()


def retuned(sound: Sound, cents: float, context: TaskContext) -> Sound:
    """The same, slower or faster by so much that it is in tune, in a file of its own. Raises :class:`PhaseError`."""
    rate = round(RATE / 2 ** (cents / 1_200))  # as which the samples are played
    target = context.work_dir / "tuned.wav"
    stretch = RATE / rate
    request = WavRequest(
        source=sound.path,
        target=target,
        demuxer="wav",
        stream_index=0,
        filters=f"asetrate={rate},aresample={RATE}",
        max_seconds=int(sound.seconds * stretch) + 2,
        sample_rate=RATE,
        channels=1,
    )
    write_wav(request, context)
    sound.path.unlink()
    return Sound(target, decoded_samples(target), sound.peak, sound.source_rate, stretch)


def blocks(sound: Sound, windows: Iterator[Window]) -> Iterator[tuple[Window, Matrix]]:
    """The samples of each window, at the level that the network is used to, with silence around the recording."""
    scale = np.float32(PEAK / max(sound.peak, SILENT))
    with soundfile.SoundFile(sound.path) as file:
        for window in windows:
            first = max(0, window.first_sample)
            file.seek(min(first, sound.samples))
            found = np.zeros(WINDOW, dtype=np.float32)
            skipped = first - window.first_sample
            read = file.read(WINDOW - skipped, dtype="float32")
            found[skipped : skipped + len(read)] = read * scale
            yield window, found


def _peak(path: Path) -> float:
    peaks = (
        float(np.abs(block).max(initial=0.0)) for block in soundfile.blocks(path, blocksize=_BLOCK, dtype="float32")
    )
    return max(peaks, default=0.0)
