"""Writes streams of one or more files into a new file: copied or encoded, with tags, cover and chapters.

The second safe entry beside :func:`audiojob_runner.media.ffmpeg.decode_to_wav`, with the same guards. Every input is
read by the demuxer that our own probe found, and nothing else may be opened. Pictures are decoded only for a stream
that is to be encoded, by the decoders of its coding; a copied film is decoded only from MPEG-TS, which does not say
how large its pictures are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from audiojob_runner.media.containers import AUDIO_ENCODERS, CONTAINERS, VIDEO_ENCODERS, Container, CoverForm
from audiojob_runner.media.ffmetadata import Chapter, ffmetadata
from audiojob_runner.media.ffmpeg import (
    AUDIO_DECODERS,
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
from audiojob_runner.media.ffmpeg_still import (
    MAX_PIXELS,
    MAX_SIDE,
    PICTURE_DEMUXERS,
    VIDEO_DECODERS,
    StillRequest,
    still,
)
from audiojob_runner.media.tags.found import TagValue
from audiojob_runner.media.tags.place import id3_version, place_values
from audiojob_runner.media.timing import PLAIN, Timing, timing_filters, timing_options

__all__ = ["COPY", "Chapter", "CoverError", "EncodeRequest", "EncodeStream", "StreamKind", "encode", "encode_command"]

COPY: Final = "copy"
COVER_PIXELS: Final = 1_400
MAX_THREADS: Final = 16
MAX_INPUTS: Final = 4
DEFAULT_BIT_RATES: Final = {"mp3": 192_000, "aac": 160_000, "opus": 128_000}
BIT_RATE_CODECS: Final = (*DEFAULT_BIT_RATES, "vorbis")
VORBIS_QUALITY: Final = "5"  # about 80 kbit/s a channel; unlike a bit rate it fits any number of channels


# Floats may hold infinities and what is no number, which nothing behind may see; and they may be above full scale, by
# up to 36 dB here, which the gain brings down before anything is cut off.
_FINITE: Final = "volume=0.015625:precision=double,aformat=sample_fmts=s32,volume=64:precision=double"


class CoverError(FfmpegError):
    """The cover alone cannot be used; the rest may be written without it."""


class StreamKind(StrEnum):
    """What a stream is."""

    AUDIO = "Audio"
    VIDEO = "Video"
    COVER = "Cover"


@dataclass(frozen=True, slots=True)
class EncodeStream:
    """One stream: of which file, and what becomes of it. ``demuxer`` and ``source_codec`` are what the probe found.

    ``codec`` is ``COPY`` or a coding of :mod:`audiojob_runner.media.containers`. None keeps what the source has.
    ``bit_rate`` is bits a second (of video: at most so many). ``gain_decibels`` changes the level; ``timing``
    says what of the sound is played. ``max_height`` limits the shorter side of the picture, ``fps`` sets pictures
    a second. A cover always becomes a JPEG of at most ``COVER_PIXELS``; its file may be a picture (``jpeg_pipe``,
    ``png_pipe``, ``webp_pipe``), and an ``index`` below 0 counts the pictures among the file's tags.
    """

    path: Path
    demuxer: str
    index: int
    kind: StreamKind
    source_codec: str
    codec: str = COPY
    bit_rate: int | None = None
    sample_rate: int | None = None
    channels: int | None = None
    source_channels: int | None = None
    gain_decibels: float = 0.0
    timing: Timing = PLAIN
    max_height: int | None = None
    fps: int | None = None


@dataclass(frozen=True, slots=True)
class EncodeRequest:
    """What to write. ``container`` is a name of ``CONTAINERS``; ``tags`` have names of ``TAG_NAMES``. Of several covers
    the first that can be read is taken.

    The result plays at most ``max_seconds`` and is smaller than ``max_bytes``. The same request gives the same bytes
    where ``bit_exact`` is set and no picture is encoded on another number of ``threads``.
    """

    streams: tuple[EncodeStream, ...]
    target: Path
    container: str
    max_seconds: int
    max_bytes: int
    tags: Mapping[str, TagValue] = field(default_factory=dict)
    chapters: tuple[Chapter, ...] = ()
    threads: int = 1
    front_index: bool = True  # mp4 and m4a: players can start before they have the whole file
    bit_exact: bool = True
    gapless: bool = True  # mp3: tells players what of it is no sound; those who do not listen play it 25 ms later


@dataclass(frozen=True, slots=True)
class SideFiles:
    """Files of our own that a command reads besides its sources."""

    metadata: Path
    cover: Path | None


def encode(request: EncodeRequest, position: Callable[[float], None], cancelled: threading.Event) -> None:
    """Write ``request.target``; ``position(seconds)`` gets the position.

    Raises :class:`FfmpegError`, and then leaves no file: :class:`CoverError` for a cover that cannot
    be read, Refused for what is on no list or cannot be read, TooLarge, Damaged, DiskFull, Cancelled, TooSlow.
    """
    _check(request)
    try:
        with _side_files(request, cancelled) as side:
            command = encode_command(request, side)
            run_tool(command, ProgressReader(position).feed, cancelled, total_seconds=None)
        # ffmpeg ends at its limit of size as if nothing were wrong.
        if request.target.stat().st_size >= request.max_bytes:
            raise FfmpegError(Failure.TOO_LARGE)
        place_values(request.target, CONTAINERS[request.container].tags, request.tags)
    except BaseException:
        request.target.unlink(missing_ok=True)
        raise


def encode_command(request: EncodeRequest, side: SideFiles) -> list[str]:
    """The whole ffmpeg command. Raises :class:`FfmpegError` for what is on no list."""
    container = _check(request)
    threads = str(max(1, min(request.threads, MAX_THREADS)))
    streams = [stream for stream in request.streams if stream.kind is not StreamKind.COVER]
    inputs = list(dict.fromkeys((stream.path, stream.demuxer) for stream in streams))
    command = [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "error",
        "-progress", "pipe:1", "-stats_period", "0.5", "-max_error_rate", str(MAX_ERROR_RATE),
    ]  # fmt: skip
    for path, demuxer in inputs:
        own = [stream for stream in streams if stream.path == path and stream.demuxer == demuxer]
        command += [*_input_guards(demuxer, own), "-threads", threads, "-f", demuxer]
        timing = next((stream.timing for stream in own if stream.timing is not PLAIN), PLAIN)
        command += [*timing_options(timing), "-i", file_argument(path)]
    shown_cover = side.cover is not None and container.cover is CoverForm.STREAM
    if side.cover is not None and shown_cover:
        command += [*guards(("jpeg_pipe",), ("mjpeg",)), "-f", "jpeg_pipe", "-i", file_argument(side.cover)]
    metadata = len(inputs) + int(shown_cover)
    command += [*guards(("ffmetadata",)), "-f", "ffmetadata", "-i", file_argument(side.metadata)]
    for number, stream in enumerate(streams):
        command += ["-map", f"{inputs.index((stream.path, stream.demuxer))}:{stream.index}"]
        command += _output_options(number, stream, threads)
    if shown_cover:
        number = len(streams)
        command += ["-map", f"{len(inputs)}:0", f"-c:{number}", "copy", f"-disposition:{number}", "attached_pic"]
    return [
        *command, *_tag_options(metadata, container, len(streams) + int(shown_cover)),
        *_attachment(side.cover, container), *_container_options(request, container),
    ]  # fmt: skip


def _check(request: EncodeRequest) -> Container:
    container = CONTAINERS.get(request.container)
    if container is None:
        raise FfmpegError(Failure.REFUSED, f"container {request.container}")
    if not any(stream.kind is not StreamKind.COVER for stream in request.streams):
        raise FfmpegError(Failure.REFUSED, "nothing to write")
    if len({stream.path for stream in request.streams}) > MAX_INPUTS:
        raise FfmpegError(Failure.REFUSED, "too many sources")
    for stream in request.streams:
        _check_stream(stream, container)
    return container


def _check_stream(stream: EncodeStream, container: Container) -> None:
    pictures = stream.kind is StreamKind.COVER
    if stream.demuxer not in DEMUXERS and not (pictures and stream.demuxer in PICTURE_DEMUXERS):
        raise FfmpegError(Failure.REFUSED, f"demuxer {stream.demuxer}")
    if pictures:
        if container.cover is CoverForm.NONE:
            raise FfmpegError(Failure.REFUSED, f"a cover in {container.name}")
        return
    video = stream.kind is StreamKind.VIDEO
    encoders = VIDEO_ENCODERS if video else AUDIO_ENCODERS
    coding = stream.source_codec if stream.codec == COPY else stream.codec
    allowed = container.video if video else container.audio
    if coding not in allowed or (stream.codec != COPY and stream.codec not in encoders):
        raise FfmpegError(Failure.REFUSED, f"{stream.kind} as {coding} in {container.name}")
    if video and stream.codec != COPY and stream.source_codec not in VIDEO_DECODERS:
        raise FfmpegError(Failure.REFUSED, f"video coded as {stream.source_codec}")


def _input_guards(demuxer: str, streams: list[EncodeStream]) -> list[str]:
    decoders = list(AUDIO_DECODERS)
    shown = False
    for stream in streams:
        if stream.kind is StreamKind.VIDEO and (stream.codec != COPY or demuxer == "mpegts"):
            decoders += VIDEO_DECODERS.get(stream.source_codec, ())
            shown = True
    limit = ["-max_pixels", str(MAX_PIXELS)] if shown else []
    return [*guards((demuxer,), decoders), *limit]


def _output_options(number: int, stream: EncodeStream, threads: str) -> list[str]:
    if stream.codec == COPY:
        return [f"-c:{number}", "copy"]
    options = [f"-threads:{number}", threads]
    if stream.kind is StreamKind.VIDEO:
        options += [
            f"-c:{number}",
            VIDEO_ENCODERS[stream.codec],
            f"-preset:{number}",
            "veryfast",
            f"-crf:{number}",
            "23",
        ]
        if stream.bit_rate is not None:
            options += [f"-maxrate:{number}", str(stream.bit_rate), f"-bufsize:{number}", str(2 * stream.bit_rate)]
        return [*options, f"-filter:{number}", video_filters(stream)]
    options += [f"-c:{number}", AUDIO_ENCODERS[stream.codec]]
    bit_rate = stream.bit_rate or DEFAULT_BIT_RATES.get(stream.codec)
    if stream.codec == "vorbis" and bit_rate is None:
        options += [f"-q:{number}", VORBIS_QUALITY]
    elif bit_rate is not None and stream.codec in BIT_RATE_CODECS:
        options += [f"-b:{number}", str(bit_rate)]
    if stream.sample_rate is not None:
        options += [f"-ar:{number}", str(stream.sample_rate)]
    if stream.channels is not None:
        options += [f"-ac:{number}", str(stream.channels)]
    return [*options, f"-filter:{number}", audio_filters(stream)]


def audio_filters(stream: EncodeStream) -> str:
    """The filter chain of a sound stream."""
    filters = timing_filters(stream.timing)
    if stream.source_codec.startswith("pcm_f"):
        filters.append(_FINITE)
    mix = channel_mix(stream.source_channels or 0, stream.channels or stream.source_channels or 0)
    if mix is not None:
        filters.append(mix)
    if stream.gain_decibels:
        filters.append(f"volume={stream.gain_decibels:.3f}dB:precision=double")
    return ",".join(filters) or "anull"


def video_filters(stream: EncodeStream) -> str:
    """The filter chain of a picture stream: even sides, as H.264 wants them, in the form that every player knows.

    Pixels come out square, for not every player stretches them.
    """
    filters = [] if stream.fps is None else [f"fps=fps={stream.fps}"]
    limit = MAX_PIXELS if stream.max_height is None else stream.max_height
    # As it is shown the picture is iw*sar wide. The limit is for the shorter side.
    share = f"min(1,{limit}/min(iw*sar,ih))"
    width, height = (f"min({MAX_SIDE},max(2,2*round({side}*{share}/2)))" for side in ("iw*sar", "ih"))
    filters.append(f"scale=w='{width}':h='{height}':flags=bicubic")
    return ",".join([*filters, "setsar=1", "format=yuv420p"])


def _tag_options(metadata: int, container: Container, streams: int) -> list[str]:
    """Tags of the sources are left behind; ours come from our own file."""
    options = ["-map_metadata", str(metadata)]
    for number in range(streams):
        options += [f"-map_metadata:s:{number}", "-1"]
    return [*options, "-map_chapters", str(metadata) if container.chapters else "-1"]


def _attachment(cover: Path | None, container: Container) -> list[str]:
    if cover is None or container.cover is not CoverForm.ATTACHMENT:
        return []
    return [
        "-attach", file_argument(cover), "-metadata:s:t", "mimetype=image/jpeg", "-metadata:s:t", "filename=cover.jpg",
    ]  # fmt: skip


def _container_options(request: EncodeRequest, container: Container) -> list[str]:
    options = ["-t", str(request.max_seconds), "-fs", str(request.max_bytes)]
    if request.bit_exact:
        options += ["-fflags", "+bitexact", "-flags", "+bitexact"]
    if container.muxer in ("mp4", "ipod"):
        rates = [stream.sample_rate for stream in request.streams if stream.sample_rate is not None]
        # Else the edit list counts in milliseconds, and says so the length.
        options += ["-movie_timescale", str(rates[0])] if rates else []
    if container.front_index and request.front_index:
        options += ["-movflags", "+faststart"]
    if container.name == "wav":
        options += ["-rf64", "auto"]
    if container.name == "mp3":
        options += ["-id3v2_version", str(id3_version(request.tags))]
        options += [] if request.gapless else ["-write_xing", "0"]
    return [*options, "-f", container.muxer, "-y", file_argument(request.target)]


@contextmanager
def _side_files(request: EncodeRequest, cancelled: threading.Event) -> Iterator[SideFiles]:
    container = CONTAINERS[request.container]
    metadata = request.target.with_name(f"{request.target.name}.metadata")
    cover = request.target.with_name(f"{request.target.name}.cover")
    try:
        pictures = [stream for stream in request.streams if stream.kind is StreamKind.COVER]
        if pictures:
            _make_cover(pictures, cover, cancelled)
        inline = cover.read_bytes() if pictures and container.cover is CoverForm.TAG else None
        chapters = request.chapters if container.chapters else ()
        metadata.write_text(ffmetadata(request.tags, chapters, inline, container.tags), encoding="utf-8")
        yield SideFiles(metadata, cover if pictures else None)
    finally:
        metadata.unlink(missing_ok=True)
        cover.unlink(missing_ok=True)


def _make_cover(streams: list[EncodeStream], target: Path, cancelled: threading.Event) -> None:
    for number, stream in enumerate(streams, 1):
        try:
            request = StillRequest(
                source=stream.path,
                target=target,
                demuxer=stream.demuxer,
                index=stream.index,
                codec=stream.source_codec,
                max_width=COVER_PIXELS,
                max_height=COVER_PIXELS,
            )
            still(request, cancelled)
            return
        except FfmpegError as error:
            if error.failure in (Failure.CANCELLED, Failure.DISK_FULL, Failure.MISSING):
                raise
            if number == len(streams):
                raise CoverError(error.failure, error.complaint) from error
