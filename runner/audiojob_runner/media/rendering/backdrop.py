"""What is behind the words, made ready: any picture as a PNG, any film as a plain one that can be repeated."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.media.ffmpeg import (
    DEMUXERS,
    Failure,
    FfmpegError,
    ProgressReader,
    file_argument,
    guards,
    run_tool,
)
from audiojob_runner.media.ffmpeg_still import MAX_PIXELS, VIDEO_DECODERS, StillRequest, still
from audiojob_runner.media.rendering.film import cover
from audiojob_runner.media.tags.pictures import PictureKind

# A picture is taken at up to so many frames' size on each side: one of another shape still fills the frame.
_ROOM: Final = 2
_CRF: Final = "16"


@dataclass(frozen=True, slots=True)
class Frame:
    """Size of the film, and pictures a second."""

    width: int
    height: int
    fps: int


def take_picture(source: Path, kind: PictureKind, target: Path, frame: Frame, cancelled: threading.Event) -> None:
    """Write the picture as PNG, the way up that its camera noted. Raises :class:`FfmpegError`, and then leaves no
    file."""
    request = StillRequest(
        source, target, kind.demuxer, 0, kind.codec, "png", None, _ROOM * frame.width, _ROOM * frame.height,
        upright=True,
    )  # fmt: skip
    still(request, cancelled)


@dataclass(frozen=True, slots=True)
class LoopRequest:
    """A film by what our probe found in it: one stream, of which ``frames`` pictures are needed at most."""

    source: Path
    target: Path
    demuxer: str
    index: int
    codec: str
    frame: Frame
    frames: int
    threads: int = 1


def take_loop(request: LoopRequest, position: Callable[[float], None], cancelled: threading.Event) -> None:
    """Write what of the film decodes, in the size and at the rate of the frame. Raises :class:`FfmpegError`, and then
    leaves no file."""
    try:
        run_tool(loop_command(request), ProgressReader(position).feed, cancelled, total_seconds=None)
    except BaseException:
        request.target.unlink(missing_ok=True)
        raise


def loop_command(request: LoopRequest) -> list[str]:
    """The whole ffmpeg command. What does not decode is passed over, however much it is."""
    if request.demuxer not in DEMUXERS or request.codec not in VIDEO_DECODERS:
        raise FfmpegError(Failure.REFUSED, f"{request.codec} in {request.demuxer}")
    frame, threads = request.frame, str(request.threads)
    filters = f"fps={frame.fps},{cover(frame.width, frame.height)},trim=end_frame={request.frames}"
    return [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "error",
        "-progress", "pipe:1", "-stats_period", "0.5", "-max_error_rate", "1",
        *guards((request.demuxer,), VIDEO_DECODERS[request.codec]), "-max_pixels", str(MAX_PIXELS),
        "-threads", threads, "-f", request.demuxer, "-i", file_argument(request.source),
        "-map", f"0:{request.index}", "-map_metadata", "-1", "-map_chapters", "-1", "-vf", filters,
        "-c:v", "libx264", "-preset", "ultrafast", "-crf", _CRF, "-threads:v", threads,
        "-g", str(frame.fps), "-f", "matroska", "-y", file_argument(request.target),
    ]  # fmt: skip
