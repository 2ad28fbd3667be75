"""Extracts one picture from a video, a cover or a picture file, with the limits of `ffmpeg`.

Of covers and picture files the decoder is given the bare picture: what else they hold, it would keep in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from audiojob_runner.media.ffmpeg import DEMUXERS, Failure, FfmpegError, file_argument, guards, run_tool
from audiojob_runner.media.tags.bare import bare_picture
from audiojob_runner.media.tags.pictures import exif_orientation, picture_kind
from audiojob_runner.media.tags.read import read

# Decoders by the coding that the probe names. A call may run those of one coding and no other.
VIDEO_DECODERS: Final[dict[str, tuple[str, ...]]] = {
    "h264": ("h264",),
    "hevc": ("hevc",),
    "av1": ("libdav1d", "av1"),
    "vp8": ("vp8",),
    "vp9": ("vp9",),
    "mpeg4": ("mpeg4",),
    "mpeg1video": ("mpeg1video",),
    "mpeg2video": ("mpeg2video",),
    "theora": ("theora",),
    "prores": ("prores",),
}
PICTURE_DECODERS: Final[dict[str, tuple[str, ...]]] = {"mjpeg": ("mjpeg",), "png": ("png",), "webp": ("webp",)}
# Picture files, by demuxers that read one file and know no patterns in names.
PICTURE_DEMUXERS: Final[dict[str, str]] = {"jpeg_pipe": "mjpeg", "png_pipe": "png", "webp_pipe": "webp"}
PICTURE_ENCODERS: Final[dict[str, str]] = {"jpeg": "mjpeg", "png": "png", "webp": "libwebp"}

# Turns that a camera asks for in EXIF, as filters. 1 is upright.
_TURNS: Final = {
    2: "hflip", 3: "hflip,vflip", 4: "vflip", 5: "transpose=cclock_flip", 6: "transpose=clock",
    7: "transpose=clock_flip", 8: "transpose=cclock",
}  # fmt: skip

# 8K with a margin: the largest picture that any decoder may make room for.
MAX_PIXELS: Final = 8_192 * 4_352
MAX_SIDE: Final = 16_384
STILL_SECONDS: Final = 120
MAX_STILL_BYTES: Final = 64 * 1024**2
MAX_COVER_BYTES: Final = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class StillRequest:
    """One picture: of stream ``index`` of a file, by the demuxer and the coding that the probe found. An ``index``
    below 0 counts the pictures among the file's tags.

    ``seconds`` is the time in the film; None takes the first picture. The result is ``form`` (jpeg, png or webp), at
    most ``max_width`` by ``max_height`` pixels, never enlarged. ``quality`` is 1 to 100, of jpeg and webp. ``upright``
    turns a picture file as its camera noted.
    """

    source: Path
    target: Path
    demuxer: str
    index: int
    codec: str
    form: str = "jpeg"
    seconds: float | None = None
    max_width: int = 1_920
    max_height: int = 1_920
    quality: int = 85
    upright: bool = False


def turn_of(codec: str, content: bytes) -> str:
    """The filter that brings a picture upright as its camera noted, or empty. Only of JPEG is the note read."""
    return _TURNS.get(exif_orientation(content), "") if codec == "mjpeg" else ""


def seconds_of_picture(milliseconds: int, fps: int, frames: int) -> float:
    """Where to look for the picture that is seen at a time of a film of ours, the last one for times after it.

    A picture is found by the time before it: this is half a picture ahead, as near its own no rounding may go wrong.
    """
    number = min(milliseconds * fps // 1_000, frames - 1)
    return max(0.0, (number - 0.5) / fps)


def still(request: StillRequest, cancelled: threading.Event) -> None:
    """Write ``request.target``. Raises :class:`FfmpegError`, and then leaves no file."""
    try:
        with _bare(request, cancelled) as (bare, turn):
            _decode(bare, turn, cancelled)
        if _size(request.target) >= MAX_STILL_BYTES:
            raise FfmpegError(Failure.TOO_LARGE)
    except BaseException:
        request.target.unlink(missing_ok=True)
        raise


def _decode(request: StillRequest, turn: str, cancelled: threading.Event) -> None:
    # Some files have no index to seek by: then what lies before the time is decoded and thrown away.
    for slow in (False, True) if request.seconds else (False,):
        run_tool(still_command(request, slow, turn), lambda _: True, cancelled, total_seconds=STILL_SECONDS)
        if _size(request.target) > 0:
            return
    raise FfmpegError(Failure.REFUSED, "no picture came out")


@contextmanager
def _bare(request: StillRequest, cancelled: threading.Event) -> Iterator[tuple[StillRequest, str]]:
    """Of a film the request itself; of a cover or picture file the same for a file that holds the bare picture, and
    the filter that turns it."""
    if request.codec not in PICTURE_DECODERS:
        yield request, ""
        return
    path = request.target.with_name(f"{request.target.name}.bare")
    try:
        content = _picture_bytes(request, path, cancelled)
        # By its first bytes, whatever a tag or an attachment calls it.
        kind = picture_kind(content)
        bare = bare_picture(kind.codec, content) if kind else None
        if kind is None or bare is None:
            raise FfmpegError(Failure.REFUSED, "there is no picture in it")
        path.write_bytes(bare)
        turn = turn_of(kind.codec, content) if request.upright else ""
        yield replace(request, source=path, demuxer=kind.demuxer, index=0, codec=kind.codec), turn
    finally:
        path.unlink(missing_ok=True)


def _picture_bytes(request: StillRequest, path: Path, cancelled: threading.Event) -> bytes:
    """The picture as it is in the file; ``path`` may be used for it."""
    if request.index < 0:
        _, pictures = read(request.source, request.demuxer)
        return pictures[-request.index - 1].data if -request.index <= len(pictures) else b""
    source = request.source
    if request.demuxer not in PICTURE_DEMUXERS:
        run_tool(copy_command(request, path), lambda _: True, cancelled, total_seconds=STILL_SECONDS)
        source = path
    with source.open("rb") as file:
        content = file.read(MAX_COVER_BYTES + 1)
    if len(content) > MAX_COVER_BYTES:
        raise FfmpegError(Failure.REFUSED, "the picture is too large")
    return content


def copy_command(request: StillRequest, target: Path) -> list[str]:
    """The whole ffmpeg command that copies a cover out of its file, undecoded."""
    if request.demuxer not in DEMUXERS:
        raise FfmpegError(Failure.REFUSED, f"{request.codec} in {request.demuxer}")
    return [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "error",
        *guards((request.demuxer,)), "-f", request.demuxer, "-i", file_argument(request.source),
        "-map", f"0:{request.index}", "-map_metadata", "-1", "-map_chapters", "-1", "-frames:v", "1", "-c:v", "copy",
        "-fs", str(MAX_COVER_BYTES + 1), "-f", "image2pipe", "-y", file_argument(target),
    ]  # fmt: skip


def still_command(request: StillRequest, slow: bool = False, turn: str = "") -> list[str]:
    """The whole ffmpeg command for one picture; ``slow`` finds its time by decoding, ``turn`` is a filter before it.

    Raises :class:`FfmpegError` for what is on no list.
    """
    decoders = (VIDEO_DECODERS | PICTURE_DECODERS).get(request.codec)
    if decoders is None or request.demuxer not in (*DEMUXERS, *PICTURE_DEMUXERS):
        raise FfmpegError(Failure.REFUSED, f"{request.codec} in {request.demuxer}")
    seek = [] if request.seconds is None else ["-ss", f"{request.seconds:.3f}"]
    # As it is shown: pixels need not be square. Both sides come out within the box and at least 1, never enlarged.
    share = f"min(1,min({request.max_width}/(iw*sar),{request.max_height}/ih))"
    size = f"scale=w='max(1,round(iw*sar*{share}))':h='max(1,round(ih*{share}))',setsar=1"
    return [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "error",
        *guards((request.demuxer,), decoders), "-max_pixels", str(MAX_PIXELS), "-threads", "1",
        *([] if slow else seek), "-f", request.demuxer, "-i", file_argument(request.source), *(seek if slow else []),
        "-map", f"0:{request.index}", "-map_metadata", "-1", "-map_chapters", "-1", "-frames:v", "1",
        "-vf", f"{turn},{size}" if turn else size,
        *_encoder(request), "-fs", str(MAX_STILL_BYTES),
        "-fflags", "+bitexact", "-flags:v", "+bitexact", "-f", "image2pipe", "-y", file_argument(request.target),
    ]  # fmt: skip


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _encoder(request: StillRequest) -> list[str]:
    encoder = PICTURE_ENCODERS.get(request.form)
    if encoder is None:
        raise FfmpegError(Failure.REFUSED, f"picture form {request.form}")
    options = ["-c:v", encoder, "-threads", "1"]
    if request.form == "jpeg":
        # ffmpeg's scale runs from 2 (best) to 31.
        return [*options, "-pix_fmt", "yuvj420p", "-q:v", str(round(31 - 29 * request.quality / 100))]
    if request.form == "webp":
        return [*options, "-pix_fmt", "yuv420p", "-quality", str(request.quality)]
    return [*options, "-pix_fmt", "rgb24"]
