"""One or two sound tracks as one exact WAV, which says how long the film is to the sample."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.media.ffmpeg import (
    DEMUXERS,
    MAX_ERROR_RATE,
    Failure,
    FfmpegError,
    ProgressReader,
    channel_mix,
    file_argument,
    guards,
    run_tool,
)
from audiojob_runner.media.probe import MediaInfo
from audiojob_runner.media.timing import timing_filters, timing_options

# Room for two tracks at full scale; what is measured behind it makes up for it.
HEADROOM_DECIBELS: Final = -6.0
CODEC: Final = "pcm_s24le"


@dataclass(frozen=True, slots=True)
class MixRequest:
    """``info`` is what our probe found in ``source``; so of ``guide``, which is as long as the source at most."""

    source: Path
    info: MediaInfo
    target: Path
    sample_rate: int
    max_seconds: int
    guide: tuple[Path, MediaInfo, float] | None = None  # with its level in decibels


def mix(request: MixRequest, position: Callable[[float], None], cancelled: threading.Event) -> None:
    """Write ``request.target``: two channels of 24 bits. Raises :class:`FfmpegError`."""
    run_tool(mix_command(request), ProgressReader(position).feed, cancelled, total_seconds=None)


def mix_command(request: MixRequest) -> list[str]:
    """The whole ffmpeg command."""
    tracks = [(request.source, request.info, 0.0)] + ([request.guide] if request.guide is not None else [])
    command = [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "error",
        "-progress", "pipe:1", "-stats_period", "0.5", "-max_error_rate", str(MAX_ERROR_RATE),
    ]  # fmt: skip
    graph, names = list[str](), ""
    for number, (path, info, decibels) in enumerate(tracks):
        if info.demuxer not in DEMUXERS:
            raise FfmpegError(Failure.REFUSED, f"demuxer {info.demuxer}")
        command += [*guards((info.demuxer,)), "-f", info.demuxer, *timing_options(info.timing)]
        command += ["-i", file_argument(path)]
        graph.append(f"[{number}:{info.stream_index}]{_filters(info, decibels, request.sample_rate)}[t{number}]")
        names += f"[t{number}]"
    together = f"amix=inputs={len(tracks)}:duration=first:normalize=0" if len(tracks) > 1 else "anull"
    graph.append(f"{names}{together}[mixed]")
    return [
        *command, "-filter_complex", ";".join(graph), "-map", "[mixed]", "-map_metadata", "-1", "-map_chapters", "-1",
        "-t", str(request.max_seconds), "-c:a", CODEC, "-fflags", "+bitexact", "-flags:a", "+bitexact",
        "-f", "wav", "-rf64", "auto", "-y", file_argument(request.target),
    ]  # fmt: skip


def _filters(info: MediaInfo, decibels: float, rate: int) -> str:
    filters = timing_filters(info.timing)
    speakers = channel_mix(info.channels, 2)
    filters += [speakers] if speakers else []
    filters.append(f"volume={decibels + HEADROOM_DECIBELS:.3f}dB:precision=double")
    filters.append(f"aformat=sample_fmts=dbl:sample_rates={rate}:channel_layouts=stereo")
    return ",".join(filters)
