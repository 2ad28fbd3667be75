"""Reads ffprobe's output into a record, and explains each way a file can be bad in a sentence. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.media.ffmpeg import AUDIO_DECODERS, DEMUXERS, Failure
from audiojob_runner.media.streams import clock_seconds
from audiojob_runner.media.timing import PLAIN, Timing
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

# How many bytes of a file `sniff` needs.
HEAD_BYTES: Final = 64
MAX_CHANNELS: Final = 8
MAX_SAMPLE_RATE: Final = 768_000
# Containers whose header tells the true length. MP3 and ADTS have none: ffmpeg guesses from the bit rate.
EXACT_LENGTH: Final = frozenset({"wav", "w64", "aiff", "caf", "flac", "mov", "matroska"})
# Containers that say when a stream starts beside the others, and their sound may start late.
TIMELINES: Final = frozenset({"mov", "matroska"})
# Those that say when each piece of sound plays, and it may have gaps.
_STAMPED: Final = frozenset({*TIMELINES, "mpegts"})
LEAST_LATE_SECONDS: Final = 0.01
# A file that ends earlier than it says is damaged; encoders' padding and rounding stay below this.
MAX_MISSING_SECONDS: Final = 0.25
MAX_MISSING_SHARE: Final = 0.02
PAST_END: Final = "The source's header names an end before its sound ends: what follows was read too."


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """One file and the sound in it. ``duration_seconds`` is what the file says; None where it says nothing.

    ``exact`` tells whether that duration can be held against what is decoded. ``bits`` is how fine its samples are,
    0 where the coding has no such thing. ``start_seconds``: what the timeline of the file has before its sound.
    """

    demuxer: str
    codec: str
    stream_index: int
    sample_rate: int
    channels: int
    duration_seconds: float | None
    exact: bool
    has_video: bool
    bits: int = 0
    start_seconds: float = 0.0
    timing: Timing = PLAIN


def sniff(head: bytes) -> str | None:
    """The container that the first bytes announce, or None. For telling a damaged file from no media file."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "mov"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    for magic, name in (
        (b"fLaC", "flac"),
        (b"OggS", "ogg"),
        (b"\x1aE\xdf\xa3", "matroska"),
        (b"ID3", "mp3"),
        (b"caff", "caf"),
        (b".snd", "au"),
        (b"riff\x2e\x91\xcf\x11", "w64"),
    ):
        if head.startswith(magic):
            return name
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x18 != 0x08:
        return "mp3"
    return None


def read_probe(document: Mapping[str, Any]) -> MediaInfo:
    """ffprobe's answer as :class:`MediaInfo`. Raises :class:`PhaseError` for what we do not take."""
    container = document.get("format") or {}
    demuxer = str(container.get("format_name", "")).split(",")[0]
    if demuxer not in DEMUXERS:
        raise _not_media("The source's container format is not supported.")
    streams = document.get("streams") or []
    sound = [stream for stream in streams if stream.get("codec_type") == "audio"]
    pictures = [
        stream
        for stream in streams
        if stream.get("codec_type") == "video" and not (stream.get("disposition") or {}).get("attached_pic")
    ]
    if not sound:
        what = "is a video without a sound track" if pictures else "has no sound track"
        raise PhaseError(ExitCode.NOT_MEDIA, Reason.EMPTY_MEDIA, f"The source {what}.", "Use a file that has sound.")
    stream = next((s for s in sound if (s.get("disposition") or {}).get("default")), sound[0])
    return _sound(demuxer, stream, container, len(streams), bool(pictures))


def _sound(
    demuxer: str, stream: Mapping[str, Any], container: Mapping[str, Any], count: int, has_video: bool
) -> MediaInfo:
    codec = str(stream.get("codec_name", "unknown"))
    if str(stream.get("codec_tag_string", "")) in ("enca", "drms"):
        raise _not_media("The source's sound is encrypted (DRM).", "Use a file without copy protection.")
    # ffprobe names the coding, the list names decoders: mp3 is decoded by mp3float.
    if codec not in AUDIO_DECODERS and f"{codec}float" not in AUDIO_DECODERS:
        raise not_supported(codec, "'s sound is")
    channels = int(stream.get("channels") or 0)
    rate = int(stream.get("sample_rate") or 0)
    if channels < 1 or rate < 1:
        raise _corrupt("The source's sound track has no usable header.")
    if channels > MAX_CHANNELS:
        raise _not_media(f"The source has {channels} channels; at most {MAX_CHANNELS} are supported.")
    if rate > MAX_SAMPLE_RATE:
        raise _not_media(f"The source has a sample rate of {rate} Hz; at most {MAX_SAMPLE_RATE} is supported.")
    own = _seconds(stream.get("duration"))
    if own is None:
        own = clock_seconds((stream.get("tags") or {}).get("DURATION"))
    whole = _seconds(container.get("duration"))
    # The container's length is that of its longest stream: it says nothing about the sound of a video.
    exact = demuxer in EXACT_LENGTH and (own is not None or (count == 1 and whole is not None))
    return MediaInfo(
        demuxer=demuxer,
        codec=codec,
        stream_index=int(stream.get("index") or 0),
        sample_rate=rate,
        channels=channels,
        duration_seconds=own if own is not None else whole,
        exact=exact,
        has_video=has_video,
        bits=_bits(stream),
        start_seconds=(_seconds(stream.get("start_time")) or 0.0) if demuxer in TIMELINES else 0.0,
        timing=_timing(demuxer, codec, stream, container),
    )


def _timing(demuxer: str, codec: str, stream: Mapping[str, Any], container: Mapping[str, Any]) -> Timing:
    if demuxer not in _STAMPED:
        return PLAIN
    own, first = _number(stream.get("start_time")) or 0.0, _number(container.get("start_time")) or 0.0
    late = own - first if own - max(0.0, first) >= LEAST_LATE_SECONDS else 0.0
    # Opus is told by its own header, and its decoder cuts it.
    lead = max(0.0, -first) if own < 0 and demuxer in TIMELINES and codec != "opus" else 0.0
    return Timing(timeline=True, late_seconds=late, lead_seconds=lead, shifted=late > 0 and demuxer == "mpegts")


def _bits(stream: Mapping[str, Any]) -> int:
    """Bits of a sample, of codings that keep them."""
    for name in ("bits_per_raw_sample", "bits_per_sample"):
        text = str(stream.get(name, ""))
        if text.isdigit() and 0 < int(text) <= 64:
            return int(text)
    return 0


def check_length(info: MediaInfo, max_seconds: int) -> None:
    """Refuse, before any work, what says that it plays too long. An estimate refuses nothing."""
    if info.exact and info.duration_seconds is not None and info.duration_seconds > max_seconds:
        raise too_long(max_seconds, info.duration_seconds)


def too_long(max_seconds: int, seconds: float | None = None) -> PhaseError:
    """The error for a source that plays longer than allowed."""
    said = "longer" if seconds is None else f"{seconds:.0f} s"
    return PhaseError(
        ExitCode.NOT_MEDIA, Reason.TOO_LONG, f"The source plays {said}; at most {max_seconds} s are allowed."
    )


def check_decoded(info: MediaInfo, decoded_seconds: float) -> None:
    """Refuse a decoded file that is empty, or shorter than its header promised."""
    promised = info.duration_seconds if info.exact and info.duration_seconds is not None else 0.0
    if info.demuxer == "matroska":
        promised -= info.start_seconds  # it names the end of a stream, and not its length
    if promised - decoded_seconds > MAX_MISSING_SECONDS + MAX_MISSING_SHARE * promised:
        raise _corrupt(f"The source ends after {decoded_seconds:.1f} s, but its header says {promised:.1f} s.")
    if decoded_seconds <= 0:
        raise PhaseError(ExitCode.NOT_MEDIA, Reason.EMPTY_MEDIA, "The source has 0 seconds of sound.")


def not_supported(coding: str, what: str = " holds a stream that is") -> PhaseError:
    """The error for a coding that we do not take, by ffmpeg's name of it."""
    name = coding if coding.replace("_", "").isalnum() and len(coding) <= 30 else "unknown"
    return _not_media(f"The source{what} coded as {name}, which is not supported.")


def explain(failure: Failure, head: bytes, size: int) -> PhaseError:
    """The error for a failed ffmpeg or ffprobe call, from its class and the file's first bytes."""
    if failure in _FAILURES:
        exit_code, reason, message, suggestion = _FAILURES[failure]
        return PhaseError(exit_code, reason, message, suggestion)
    if size == 0:
        return _not_media("The source is an empty file.")
    container = sniff(head)
    if container is None:
        return _not_media("The source is not audio or video in a supported format.")
    return _corrupt(f"The source starts as {container} but cannot be read.")


# Failures that need no look at the file. REFUSED is the other one.
_FAILURES: Final[dict[Failure, tuple[ExitCode, Reason, str, str]]] = {
    Failure.DISK_FULL: (
        ExitCode.DISK_FULL,
        Reason.DISK_FULL,
        "The disk filled up while the sound was decoded.",
        "",
    ),
    Failure.CANCELLED: (ExitCode.STOPPED, Reason.STOPPED, "The phase was stopped.", ""),
    Failure.MISSING: (
        ExitCode.USAGE,
        Reason.INVALID_SPEC,
        "ffmpeg is not installed here.",
        "Install ffmpeg, or ask the administrator to check the runner's image.",
    ),
    Failure.OUT_OF_MEMORY: (
        ExitCode.NOT_MEDIA,
        Reason.CORRUPT_MEDIA,
        "The source asks for more memory than any sound needs.",
        "",
    ),
    Failure.TOO_SLOW: (
        ExitCode.NOT_MEDIA,
        Reason.CORRUPT_MEDIA,
        "The source cannot be decoded: the decoder stands still.",
        "",
    ),
    Failure.UNWRITTEN: (
        ExitCode.TEMPORARY,
        Reason.TEMPORARY_FAILURE,
        "The end of the result could not be written.",
        "",
    ),
    Failure.TOO_LARGE: (
        ExitCode.NOT_MEDIA,
        Reason.TOO_LARGE,
        "The result is larger than allowed.",
        "Choose a smaller form (lower bit rate or height), or ask for a higher limit.",
    ),
    Failure.DAMAGED: (
        ExitCode.NOT_MEDIA,
        Reason.CORRUPT_MEDIA,
        "Too much of the source cannot be decoded.",
        "",
    ),
}


def _seconds(value: object) -> float | None:
    seconds = _number(value)
    return seconds if seconds is not None and seconds >= 0 else None


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _not_media(message: str, suggestion: str = "") -> PhaseError:
    return PhaseError(ExitCode.NOT_MEDIA, Reason.NOT_MEDIA, message, suggestion)


def _corrupt(message: str) -> PhaseError:
    return PhaseError(ExitCode.NOT_MEDIA, Reason.CORRUPT_MEDIA, message)
