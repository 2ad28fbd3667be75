"""Runs ffmpeg and ffprobe. Nothing else in audiojob starts them, or lets a library start them.

Here are the guards, the one place that starts a program, what a file is (`probe`) and what later phases read
(`decode_to_wav`); `ffmpeg_encode` and `ffmpeg_still` build other commands from the same guards.

A media file is an instruction to ffmpeg: a text file named ``song.mp3`` may hold a playlist, and ffmpeg would open
what it lists, another tenant's files or addresses inside the network. So each call names the protocols, containers
and decoders that it may use, and everything else is refused, whatever the file says of itself. Picture decoders are
run only by a call that is to decode a picture, and then only those of its coding.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import resource
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, Final

from audiojob_runner.media.timing import PLAIN, Timing, timing_options

# Containers, by ffmpeg's demuxer names. No playlist, no image sequence, no device, no network format.
DEMUXERS: Final = ("wav", "w64", "aiff", "caf", "au", "flac", "mp3", "aac", "ogg", "mov", "matroska", "mpegts")
AUDIO_DECODERS: Final = (
    "aac", "ac3", "alac", "eac3", "flac", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "opus", "vorbis",
    "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8",
    "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be",
    "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be",
)  # fmt: skip
# ffprobe gives up on a file when it may not open each stream's decoder. These may be opened, which reads a header;
# what finds the streams' properties is held to the audio decoders, so no picture is decoded.
OPENABLE_DECODERS: Final = (
    "h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "mpeg4", "mpeg1video", "mpeg2video", "h263", "theora",
    "prores", "mjpeg", "png", "bmp", "gif", "webp", "tiff",
    "srt", "subrip", "ass", "ssa", "webvtt", "mov_text", "dvdsub", "dvbsub", "pgssub", "cc_dec",
    "libzvbi_teletextdec", "text", "xsub",
    # Pictures and sound that we do not decode, beside sound that we do.
    "8bps", "cfhd", "cinepak", "dirac", "dnxhd", "dvvideo", "ffv1", "ffvhuff", "flv", "h261", "h263p", "hap", "huffyuv",
    "indeo3", "indeo4", "indeo5", "jpeg2000", "libopenjpeg", "mjpegb", "msmpeg4", "msmpeg4v1", "msmpeg4v2", "msvideo1",
    "qtrle", "r210", "rawvideo", "rpza", "rv10", "rv20", "rv30", "rv40", "smc", "svq1", "svq3", "utvideo", "v210",
    "v308", "v408", "v410", "vc1", "vp3", "vp5", "vp6", "vp6a", "vp6f", "vp7", "wmv1", "wmv2", "wmv3",
    "aac_latm", "amrnb", "amrwb", "ape", "cook", "dca", "gsm", "gsm_ms", "mlp", "nellymoser", "pcm_bluray", "pcm_dvd",
    "qcelp", "qdm2", "s302m", "speex", "truehd", "tta", "wavpack", "wmalossless", "wmapro", "wmav1", "wmav2",
)  # fmt: skip
_UNLISTED: Final = re.compile(r"Codec \((\w{1,30})\) not on whitelist")

# A song has one or two streams, a film some dozens. The largest single allocation and the address space bound what
# a forged header can ask for.
MAX_STREAMS: Final = 100
MAX_ALLOCATION_BYTES: Final = 256 * 1024**2
MAX_ADDRESS_SPACE_BYTES: Final = 4 * 1024**3
# Headers can be packed: a Matroska file of a megabyte can hold gigabytes of them, and each is kept several times.
PROBE_ADDRESS_SPACE_BYTES: Final = 1024**3
MAX_ANSWER_BYTES: Final = 16 * 1024**2
MAX_COMPLAINT_BYTES: Final = 16 * 1024
PROBE_SECONDS: Final = 60
# ffmpeg tells its position twice a second; a decoder that stands still for so long will not go on.
IDLE_SECONDS: Final = 120
# Old rips have a few broken frames that nobody hears. More than this share of broken frames is a damaged file.
MAX_ERROR_RATE: Final = 0.02
EXIT_ERROR_RATE: Final = 69

# Which speakers each side hears (ITU-R BS.775). A channel that a file does not have counts for nothing, and `<` scales
# by the sum of those that it has, so that no mix is louder than full scale.
_LEFT: Final = "FL+FLC+DL+0.707107*FC+0.707107*BL+0.707107*SL+0.5*BC"
_RIGHT: Final = "FR+FRC+DR+0.707107*FC+0.707107*BR+0.707107*SR+0.5*BC"
_BOTH: Final = (
    "FC+0.5*FL+0.5*FR+0.5*FLC+0.5*FRC+0.5*DL+0.5*DR+0.353553*BL+0.353553*BR+0.353553*SL+0.353553*SR+0.353553*BC"
)
# Layouts with more channels have speakers that the mix does not name.
_MAX_MIXED: Final = 8

_UNWRITTEN: Final = ("Error writing trailer", "Error closing file")

_ENTRIES: Final = (
    "format=format_name,start_time,duration,nb_streams"
    ":stream=index,codec_type,codec_name,codec_tag_string,channels,sample_rate,duration"
    ",start_time,bits_per_raw_sample,bits_per_sample"
    ":stream_disposition=default,attached_pic:stream_tags=DURATION"
)
# The same and more, for tasks that keep more than the sound. Free text is asked for by name: nothing else can be long.
_TAGS: Final = "title,artist,album,date,comment,track,genre"
_DETAILS: Final = (
    "format=format_name,start_time,duration,nb_streams"
    ":stream=index,codec_type,codec_name,codec_tag_string,channels,sample_rate,duration,width,height,avg_frame_rate"
    ",start_time,bits_per_raw_sample,bits_per_sample"
    f":stream_disposition=default,attached_pic:stream_tags=DURATION,rotate,{_TAGS}:format_tags={_TAGS}"
    ":stream_side_data=rotation:chapter=start_time,end_time:chapter_tags=title"
)
_WITHOUT_TEXT: Final = (
    _DETAILS.replace(f":format_tags={_TAGS}", "").replace(f",{_TAGS}", "").replace(":chapter_tags=title", "")
)
_ALL_TAGS: Final = "format_tags:stream_tags"
# The whole environment of a tool: nothing of ours, in particular no proxy and no credentials.
_ENVIRONMENT_NAMES: Final = ("PATH", "LD_LIBRARY_PATH")


class Failure(StrEnum):
    """Why a call gave no result."""

    REFUSED = "Refused"  # not a container or decoder of the lists, or nothing that can be read
    UNLISTED = "Unlisted"  # a stream whose decoder may not even be opened; ``complaint`` is its name
    DAMAGED = "Damaged"  # too many broken frames
    DISK_FULL = "DiskFull"
    OUT_OF_MEMORY = "OutOfMemory"
    TOO_SLOW = "TooSlow"
    CANCELLED = "Cancelled"
    TOO_LARGE = "TooLarge"  # more bytes than the result may have
    UNWRITTEN = "Unwritten"  # the end of the result did not reach the disk
    MISSING = "Missing"  # the program is not installed


class FfmpegError(Exception):
    """A call failed. ``complaint`` is what the tool wrote, foreign text: for the log, never for a message."""

    def __init__(self, failure: Failure, complaint: str = "") -> None:
        super().__init__(f"{failure.value}: {complaint}" if complaint else failure.value)
        self.failure = failure
        self.complaint = complaint


@dataclass(frozen=True, slots=True)
class WavRequest:
    """What to decode: one stream of one file, by the demuxer that the probe found.

    ``filters`` begin with those of ``timing``.
    The result has ``sample_rate`` Hz, ``channels`` channels of 16 bits, and at most ``max_seconds``.
    """

    source: Path
    target: Path
    demuxer: str
    stream_index: int
    filters: str
    max_seconds: int
    sample_rate: int = 44_100
    channels: int = 2
    timing: Timing = PLAIN


def probe(source: Path, cancelled: threading.Event, details: bool = False) -> dict[str, Any]:
    """ffprobe's JSON about container and streams, with ``details`` also about pictures, tags and chapters.

    Bytes of texts that are not UTF-8 are lone surrogates in it. Raises :class:`FfmpegError`.
    """
    # Tags may be longer than all that is of use in them: then they are left out.
    for entries in (_DETAILS, _WITHOUT_TEXT) if details else (_ENTRIES,):
        answer = _ask(source, entries, cancelled)
        if answer is not None:
            break
    else:
        raise FfmpegError(Failure.REFUSED, "ffprobe's answer is too long")
    return _document(answer)


def probe_tags(source: Path, cancelled: threading.Event) -> dict[str, Any]:
    """The same about all tags of container and streams, whatever they are called; nothing where they are too long.

    Raises :class:`FfmpegError`.
    """
    answer = _ask(source, _ALL_TAGS, cancelled)
    return {} if answer is None else _document(answer)


def _document(answer: bytes) -> dict[str, Any]:
    try:
        document = json.loads(answer.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise FfmpegError(Failure.REFUSED, "ffprobe's answer is not JSON") from error
    return document if isinstance(document, dict) else {}


def _ask(source: Path, entries: str, cancelled: threading.Event) -> bytes | None:
    """ffprobe's answer; None where it is too long."""
    answer = bytearray()

    def keep(data: bytes) -> bool:
        if len(answer) <= MAX_ANSWER_BYTES:
            answer.extend(data)
        return True

    try:
        command = probe_command(source, entries)
        run_tool(command, keep, cancelled, total_seconds=PROBE_SECONDS, address_space=PROBE_ADDRESS_SPACE_BYTES)
    except FfmpegError as error:
        raise _unlisted(error) or error from error
    return bytes(answer) if len(answer) <= MAX_ANSWER_BYTES else None


def _unlisted(error: FfmpegError) -> FfmpegError | None:
    """The failure of a whole file for one stream's decoder; None for other failures."""
    if error.failure is not Failure.REFUSED:
        return None
    named = (name for name in _UNLISTED.findall(error.complaint) if name not in (*AUDIO_DECODERS, *OPENABLE_DECODERS))
    return next((FfmpegError(Failure.UNLISTED, name) for name in named), None)


def decode_to_wav(request: WavRequest, position: Callable[[float], None], cancelled: threading.Event) -> None:
    """Write ``request.target``; ``position(seconds)`` gets the position. Raises :class:`FfmpegError`."""
    reader = ProgressReader(position)
    run_tool(wav_command(request), reader.feed, cancelled, total_seconds=None)


@functools.cache
def version() -> str:
    """The version of the installed ffmpeg, such as ``5.1.9-0+deb12u1``."""
    answer = bytearray()

    def keep(data: bytes) -> bool:
        answer.extend(data)
        return True

    run_tool(["ffmpeg", "-version"], keep, threading.Event(), total_seconds=PROBE_SECONDS)
    words = answer.decode(errors="replace").split(maxsplit=3)
    return words[2] if len(words) > 2 else "unknown"


def probe_command(source: Path, entries: str = _ENTRIES) -> list[str]:
    """The whole ffprobe command for one file."""
    return [
        "ffprobe", "-hide_banner", "-v", "error",
        # On a large node a decoder would start a thread for each CPU, each with memory of its own.
        *guards(), "-threads", "1",
        "-codec_whitelist:v", ",".join(OPENABLE_DECODERS),
        "-codec_whitelist:a", ",".join((*AUDIO_DECODERS, *OPENABLE_DECODERS)),
        "-codec_whitelist:s", ",".join(OPENABLE_DECODERS),
        # Text as it is in the file: what is not UTF-8 is read by `tags.text`, and not thrown away here.
        "-print_format", "json=string_validation=ignore",
        "-show_entries", entries,
        file_argument(source),
    ]  # fmt: skip


def wav_command(request: WavRequest) -> list[str]:
    """The whole ffmpeg command that decodes one stream to WAV."""
    if request.demuxer not in DEMUXERS:
        raise FfmpegError(Failure.REFUSED, f"demuxer {request.demuxer}")
    return [
        "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "error",
        "-progress", "pipe:1", "-stats_period", "0.5",
        "-max_error_rate", str(MAX_ERROR_RATE),
        *guards(), "-f", request.demuxer, *timing_options(request.timing), "-i", file_argument(request.source),
        "-map", f"0:{request.stream_index}", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1",
        "-t", str(request.max_seconds), "-af", request.filters,
        "-ar", str(request.sample_rate), "-ac", str(request.channels), "-c:a", "pcm_s16le",
        "-fflags", "+bitexact", "-flags:a", "+bitexact", "-f", "wav", "-rf64", "auto",
        "-y", file_argument(request.target),
    ]  # fmt: skip


def channel_mix(source_channels: int, channels: int) -> str | None:
    """The filter that brings any layout to one or two channels, each source at its own level; None where ffmpeg does.

    It goes by the speakers' names: ffmpeg makes the filters anew where the layout changes within a file.
    """
    if source_channels > _MAX_MIXED or channels not in (1, 2):
        return None
    return f"pan=mono|FC<{_BOTH}" if channels == 1 else f"pan=stereo|FL<{_LEFT}|FR<{_RIGHT}"


class ProgressReader:
    """Reads what ``-progress`` writes: lines of ``key=value``."""

    def __init__(self, position: Callable[[float], None]) -> None:
        self._position = position
        self._rest = b""
        self._last = -1

    def feed(self, data: bytes) -> bool:
        """Take a piece of the stream; true when it says that the work has moved on."""
        moved = False
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-1_000:]
        for line in lines:
            key, _, value = line.strip().partition(b"=")
            # "N/A" until the first frame is out.
            if key == b"out_time_us" and value.isdigit() and int(value) > self._last:
                self._last = int(value)
                self._position(self._last / 1e6)
                moved = True
        return moved


def guards(demuxers: Sequence[str] = DEMUXERS, decoders: Sequence[str] = AUDIO_DECODERS) -> list[str]:
    """Options that every call carries before each of its inputs: what may read that input, and how much of it."""
    return [
        "-protocol_whitelist", "file",
        "-format_whitelist", ",".join(demuxers),
        "-codec_whitelist", ",".join(decoders),
        "-max_streams", str(MAX_STREAMS),
        "-max_alloc", str(MAX_ALLOCATION_BYTES),
    ]  # fmt: skip


def file_argument(path: Path) -> str:
    """A path that ffmpeg takes neither for an option nor for an address."""
    return f"file:{path.absolute()}"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a tool runs, and what its environment has besides what every tool's has."""

    folder: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


def run_tool(
    command: Sequence[str],
    on_output: Callable[[bytes], bool],
    cancelled: threading.Event,
    total_seconds: float | None,
    address_space: int = MAX_ADDRESS_SPACE_BYTES,
    around: Surroundings = Surroundings(),
) -> str:
    """Run a tool to its end in our process group, and never leave it running. Returns the last that it wrote to stderr.

    ``on_output`` takes pieces of stdout and says whether they show that the work has moved on. Raises
    :class:`FfmpegError`. For the modules beside this one, whose commands start with :func:`guards`.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT_NAMES if name in os.environ}
    environment |= {"LC_ALL": "C", "AV_LOG_FORCE_NOCOLOR": "1", "MALLOC_ARENA_MAX": "2", **around.variables}
    try:
        process = subprocess.Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment, cwd=around.folder)
    except FileNotFoundError as error:
        raise FfmpegError(Failure.MISSING, command[0]) from error
    with process:
        try:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_AS, (address_space, address_space))
            complaint = _pump(process, on_output, cancelled, total_seconds)
        except BaseException:
            process.kill()
            raise
    if (failure := failure_of(process.returncode, complaint)) is not None:
        raise FfmpegError(failure, complaint)
    return complaint


def failure_of(returncode: int, complaint: str) -> Failure | None:
    """Class of a tool that ended by itself with an error; None if its result is whole.

    ffmpeg ends with 0 also when the last bytes of the result did not reach the disk.
    """
    # What the tool says itself. Where it also lists its inputs, their tags are indented.
    own = "\n".join(line for line in complaint.splitlines() if not line.startswith(" "))
    unwritten = any(text in own for text in _UNWRITTEN)
    if returncode == 0 and not unwritten:
        return None
    if "No space left on device" in own or "Disk quota exceeded" in own:
        return Failure.DISK_FULL
    if "Cannot allocate memory" in own or returncode == -9:
        return Failure.OUT_OF_MEMORY
    if returncode == EXIT_ERROR_RATE:
        return Failure.DAMAGED
    return Failure.UNWRITTEN if unwritten else Failure.REFUSED


def _pump(
    process: subprocess.Popen[bytes],
    on_output: Callable[[bytes], bool],
    cancelled: threading.Event,
    total_seconds: float | None,
) -> str:
    """Feed stdout to ``on_output`` until both streams end; returns the last of stderr."""
    assert process.stdout is not None
    assert process.stderr is not None
    started = moved = time.monotonic()
    complaint = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(timeout=0.5)
            now = time.monotonic()
            for key, _ in ready:
                data = os.read(key.fd, 65_536)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    complaint = (complaint + data)[-MAX_COMPLAINT_BYTES:]
                elif on_output(data):
                    moved = now
            if cancelled.is_set():
                raise FfmpegError(Failure.CANCELLED)
            if now - moved > IDLE_SECONDS or (total_seconds is not None and now - started > total_seconds):
                raise FfmpegError(Failure.TOO_SLOW, complaint.decode(errors="replace"))
    return complaint.decode(errors="replace")
