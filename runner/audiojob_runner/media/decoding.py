"""Sound as WAV files, decoded for those who work on samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audiojob_runner.media import ffmpeg
from audiojob_runner.media.examine import explained
from audiojob_runner.media.ffmpeg import FfmpegError, WavRequest
from audiojob_runner.media.probe import MediaInfo
from audiojob_runner.media.timing import timing_filters
from audiojob_runner.task import TaskContext


def mono_request(source: Path, info: MediaInfo, target: Path, rate: int, max_seconds: int) -> WavRequest:
    """The sound of ``source``, at ``rate`` Hz and on the times that it has there, as ``target``."""
    mix = ffmpeg.channel_mix(info.channels, 1)
    return WavRequest(
        source=source,
        target=target,
        demuxer=info.demuxer,
        stream_index=info.stream_index,
        filters=",".join([*timing_filters(info.timing), *([mix] if mix else [])]) or "anull",
        max_seconds=max_seconds,
        sample_rate=rate,
        channels=1,
        timing=info.timing,
    )


def write_wav(request: WavRequest, context: TaskContext, on_position: Callable[[float], None] = lambda _: None) -> None:
    """Decode; ``on_position`` gets seconds. Raises :class:`PhaseError`; what ffmpeg itself said is in the log."""
    try:
        ffmpeg.decode_to_wav(request, on_position, context.cancelled)
    except FfmpegError as error:
        context.log.warning("ffmpeg: %s", error)
        raise explained(error, request.source) from error
