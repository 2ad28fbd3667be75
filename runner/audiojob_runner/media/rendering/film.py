"""Writes a film: a background, subtitles on it, and a sound.

Text is in a subtitles file of our own, named so that it is no part of a filter's language; ffmpeg runs in its folder.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from audiojob_runner.media.containers import CONTAINERS
from audiojob_runner.media.ffmetadata import ffmetadata
from audiojob_runner.media.ffmpeg import (
    MAX_ERROR_RATE,
    Failure,
    FfmpegError,
    ProgressReader,
    Surroundings,
    file_argument,
    guards,
    run_tool,
)
from audiojob_runner.media.rendering.mix import CODEC

SUBTITLES: Final = "words.ass"
MAX_THREADS: Final = 16
MAX_BYTES: Final = 32 * 1024**3
_COLOR: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_X264_EFFORTS: Final = ("ultrafast", "veryfast", "medium")
_CRF: Final = "20"
# libvpx by the same names: its slowest is far slower than x264's.
_VP9_EFFORTS: Final[dict[str, tuple[str, ...]]] = {
    "ultrafast": ("-deadline", "realtime", "-cpu-used", "8"),
    "veryfast": ("-deadline", "realtime", "-cpu-used", "6"),
    "medium": ("-deadline", "good", "-cpu-used", "4"),
}
_VP9_CRF: Final = "32"
_SOUNDS: Final[dict[str, tuple[str, ...]]] = {
    "mp4": ("-c:a", "aac", "-b:a", "192000", "-ar", "44100"),
    "webm": ("-c:a", "libopus", "-b:a", "160000", "-ar", "48000"),
}
# Players seek to whole pictures.
_KEY_SECONDS: Final = 4


@dataclass(frozen=True, slots=True)
class Background:
    """A colour (#rrggbb); or a PNG or a film that :mod:`~audiojob_runner.media.rendering.backdrop` has made."""

    color: str = "#000000"
    picture: Path | None = None
    loop: Path | None = None


@dataclass(frozen=True, slots=True)
class FilmRequest:
    """``folder`` holds the subtitles, and is where ffmpeg runs, with ``variables`` that say which fonts there are.

    ``sound`` is what :func:`~audiojob_runner.media.rendering.mix.mix` wrote. ``frames`` are at ``fps`` a second.
    """

    folder: Path
    target: Path
    container: str
    width: int
    height: int
    fps: int
    frames: int
    sound: Path
    gain_decibels: float
    background: Background
    effort: str = "veryfast"
    threads: int = 1
    tags: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


def write_film(request: FilmRequest, position: Callable[[float], None], cancelled: threading.Event) -> None:
    """Write ``request.target``; ``position(seconds)`` gets the position. Raises :class:`FfmpegError`, and then leaves
    no file."""
    metadata = request.target.with_name(f"{request.target.name}.metadata")
    try:
        metadata.write_text(ffmetadata(request.tags), encoding="utf-8")
        around = Surroundings(request.folder, request.variables)
        run_tool(film_command(request, metadata), ProgressReader(position).feed, cancelled, None, around=around)
        if request.target.stat().st_size >= MAX_BYTES:
            raise FfmpegError(Failure.TOO_LARGE)
    except BaseException:
        request.target.unlink(missing_ok=True)
        raise
    finally:
        metadata.unlink(missing_ok=True)


def film_command(request: FilmRequest, metadata: Path) -> list[str]:
    """The whole ffmpeg command. Raises :class:`FfmpegError` for what is on no list."""
    if request.container not in _SOUNDS or request.effort not in _X264_EFFORTS:
        raise FfmpegError(Failure.REFUSED, f"{request.effort} {request.container}")
    threads = str(max(1, min(request.threads, MAX_THREADS)))
    backdrop = _backdrop(request.background)
    return [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "error",
        "-progress", "pipe:1", "-stats_period", "0.5", "-max_error_rate", str(MAX_ERROR_RATE),
        *guards(("wav",), (CODEC,)), "-f", "wav", "-i", file_argument(request.sound),
        *guards(("ffmetadata",)), "-f", "ffmetadata", "-i", file_argument(metadata),
        *backdrop,
        "-filter_complex_threads", "1", "-filter_complex", film_graph(request),
        "-map", "[film]", "-map", "[sound]", "-map_metadata", "1", "-map_chapters", "-1",
        *_picture_options(request, threads), *_SOUNDS[request.container],
        *_container_options(request), "-fs", str(MAX_BYTES), "-y", file_argument(request.target),
    ]  # fmt: skip


def film_graph(request: FilmRequest) -> str:
    """The filters. Of the request only numbers get in, and a colour."""
    size, fps = f"{request.width}x{request.height}", request.fps
    background = request.background
    if background.picture is not None:
        # Decoded and scaled once: an input that repeats it would do both for each frame.
        drawn = f"[2:0]{cover(request.width, request.height)},loop=-1:1:0,fps={fps},setpts=N/{fps}/TB"
    elif background.loop is not None:
        drawn = f"[2:0]setpts=N/{fps}/TB"
    else:
        if not _COLOR.fullmatch(background.color):
            raise FfmpegError(Failure.REFUSED, "a colour")
        drawn = f"color=c=0x{background.color[1:]}:s={size}:r={fps},format=yuv420p"
    sound = f"[0:0]volume={request.gain_decibels:.3f}dB:precision=double[sound]"
    return f"{drawn},trim=end_frame={request.frames},ass=f={SUBTITLES}[film];{sound}"


def cover(width: int, height: int) -> str:
    """Filters that fill the frame with any picture: what sticks out is cut off on both sides."""
    shape = f"{width}/{height}"
    return (
        f"crop=w='max(1,min(iw,ih*{shape}/sar))':h='max(1,min(ih,iw*sar/({shape})))',"
        f"scale=w={width}:h={height}:flags=bicubic:out_color_matrix=bt601:out_range=tv,setsar=1,format=yuv420p"
    )


def _backdrop(background: Background) -> list[str]:
    if background.picture is not None:
        return [*guards(("png_pipe",), ("png",)), "-f", "png_pipe", "-i", file_argument(background.picture)]
    if background.loop is not None:
        return [
            *guards(("matroska",), ("h264",)), "-stream_loop", "-1", "-f", "matroska",
            "-i", file_argument(background.loop),
        ]  # fmt: skip
    return []


def _picture_options(request: FilmRequest, threads: str) -> list[str]:
    if request.container == "webm":
        coding = ["-c:v", "libvpx-vp9", "-crf", _VP9_CRF, "-b:v", "0", "-row-mt", "1", *_VP9_EFFORTS[request.effort]]
    else:
        coding = ["-c:v", "libx264", "-preset", request.effort, "-crf", _CRF]
    return [
        *coding, "-threads:v", threads, "-g", str(_KEY_SECONDS * request.fps), "-pix_fmt", "yuv420p",
        # What ffmpeg's drawing filters make of colours.
        "-colorspace", "smpte170m", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
    ]  # fmt: skip


def _container_options(request: FilmRequest) -> list[str]:
    options = ["-fflags", "+bitexact", "-flags", "+bitexact", "-f", CONTAINERS[request.container].muxer]
    if request.container == "mp4":
        return [*options, "-movie_timescale", "44100", "-movflags", "+faststart"]
    return [*options, "-cues_to_front", "1"]
