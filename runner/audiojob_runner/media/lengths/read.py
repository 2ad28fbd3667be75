"""Reads how many samples a file says are played, by the container that the probe found."""

from __future__ import annotations

from pathlib import Path

from audiojob_runner.media.lengths.coded import mp3_samples, opus_samples
from audiojob_runner.media.lengths.mp4 import mp4_samples


def played_samples(path: Path, demuxer: str, codec: str, index: int, rate: int) -> int | None:
    """Samples a channel of that stream at its ``rate``. None where the file does not say it, or ffprobe says it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if demuxer == "mov":
            return mp4_samples(file, size, index, rate)
        if demuxer == "mp3":
            return mp3_samples(file)
        if demuxer == "ogg" and codec == "opus":
            return opus_samples(file, size)
    return None
