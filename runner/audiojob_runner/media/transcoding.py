"""Plans what Transcode does with each stream of a file, from its contents and the parameters. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.media.containers import CONTAINERS, TAG_NAMES, Container, CoverForm
from audiojob_runner.media.ffmetadata import MAX_CHAPTERS, Chapter
from audiojob_runner.media.ffmpeg_encode import COPY, EncodeStream, StreamKind
from audiojob_runner.media.ffmpeg_still import PICTURE_DECODERS
from audiojob_runner.media.films import check_film, first_film, limited_frame_rate
from audiojob_runner.media.probe import PAST_END, MediaInfo
from audiojob_runner.media.streams import MediaFile
from audiojob_runner.media.tags.found import TagValue
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.transcode import TranscodeParameters

# Shorter side in pixels, and the most bits a second that the picture may use.
VIDEO_SIZES: Final = {
    "Video1080p": (1_080, 8_000_000),
    "Video720p": (720, 5_000_000),
    "Video480p": (480, 2_500_000),
    "Video360p": (360, 1_000_000),
}
# More channels than the format's encoder takes are mixed down; bits a second that one channel may use at most.
MAX_CHANNELS: Final = {"mp3": 2}
MAX_BITS_PER_CHANNEL: Final = {"mp3": 320_000, "opus": 256_000, "vorbis": 240_000, "aac": 288_000}
# What is finer than 16 bits stays so in WAV: integers by their bits, floats by their names.
FLOAT_CODINGS: Final = ("pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be")
MAX_FLAC_RATE: Final = 384_000
MIN_VORBIS_BITS_PER_CHANNEL: Final = 32_000
# Below this rate Vorbis, MP3 and AAC have their own small limits of bits: the encoder refuses what a user would ask.
LOW_SAMPLE_RATE: Final = 32_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is written, and what of the source is not: ``warnings`` are sentences for people."""

    container: Container
    streams: tuple[EncodeStream, ...]
    tags: dict[str, TagValue]
    chapters: tuple[Chapter, ...]
    warnings: tuple[str, ...]


def plan(
    source: Path, found: MediaFile, sound: MediaInfo | None, wanted: TranscodeParameters, gain_decibels: float = 0.0
) -> Plan:
    """The plan. Raises :class:`PhaseError` for a source that lacks what the format is for."""
    container = CONTAINERS[wanted.format]
    streams: list[EncodeStream] = []
    warnings: list[str] = []
    if container.video:
        streams.append(_film(source, found, wanted))
    elif found.films:
        warnings.append(f"The film was left out: {container.name} holds sound only.")
    if sound is not None:
        streams.append(_sound(source, sound, container, wanted, gain_decibels))
        warnings += [PAST_END] if sound.timing.past_end else []
        warnings += _channels(sound, streams[-1], container, wanted)
    elif not container.video:
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.EMPTY_MEDIA,
            "The source has no sound track.",
            "Use a file that has sound, or format mp4 for a film without sound.",
        )
    streams += _cover(source, found, container, wanted, warnings)
    tags, chapters = _texts(found, container, wanted, warnings)
    warnings += _left_out(found, container)
    return Plan(container, tuple(streams), tags, chapters, tuple(warnings))


def _film(source: Path, found: MediaFile, wanted: TranscodeParameters) -> EncodeStream:
    film = first_film(found)
    if film is None:
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.EMPTY_MEDIA,
            "The source has no film, and format mp4 is for films.",
            "Use format m4a, which holds the same sound.",
        )
    check_film(film)
    height, bits = VIDEO_SIZES[wanted.video_size]
    return EncodeStream(
        path=source,
        demuxer=found.demuxer,
        index=film.index,
        kind=StreamKind.VIDEO,
        source_codec=film.codec,
        codec="h264",
        bit_rate=bits,
        max_height=height,
        fps=limited_frame_rate(film, wanted.max_frame_rate),
    )


def _sound(
    source: Path, sound: MediaInfo, container: Container, wanted: TranscodeParameters, gain_decibels: float
) -> EncodeStream:
    base = EncodeStream(
        source, sound.demuxer, sound.stream_index, StreamKind.AUDIO, sound.codec, source_channels=sound.channels,
        sample_rate=sound.sample_rate, timing=sound.timing,
    )  # fmt: skip
    changed = (wanted.bitrate_kilobits, wanted.sample_rate, wanted.channels, wanted.loudness_lufs)
    if wanted.copy_sound and container.holds(sound.codec) and changed == (None,) * 4:
        return base
    codec = container.audio[0]
    if container.name == "wav" and (sound.bits > 16 or sound.codec in FLOAT_CODINGS):
        codec = "pcm_s24le"
    channels = min(wanted.channels or sound.channels, MAX_CHANNELS.get(codec, 8))
    most = MAX_BITS_PER_CHANNEL.get(codec, 0) * (1 if codec == "mp3" else channels)
    least = MIN_VORBIS_BITS_PER_CHANNEL * channels if codec == "vorbis" else 0
    bits = None if wanted.bitrate_kilobits is None else max(least, min(wanted.bitrate_kilobits * 1_000, most))
    rate = wanted.sample_rate
    if codec in ("mp3", "vorbis", "aac") and (rate or sound.sample_rate) < LOW_SAMPLE_RATE:
        rate = 44_100
    return EncodeStream(
        path=source,
        demuxer=sound.demuxer,
        index=sound.stream_index,
        kind=StreamKind.AUDIO,
        source_codec=sound.codec,
        codec=codec,
        bit_rate=bits,
        sample_rate=supported_rate(codec, rate or sound.sample_rate),
        channels=channels,
        source_channels=sound.channels,
        gain_decibels=gain_decibels,
        timing=sound.timing,
    )


def supported_rate(codec: str, rate: int) -> int:
    """The nearest sample rate that the coding has, not below what was asked where it has one."""
    rates = {
        "mp3": (32_000, 44_100, 48_000),
        "aac": (32_000, 44_100, 48_000, 64_000, 88_200, 96_000),
        "opus": (8_000, 12_000, 16_000, 24_000, 48_000),
        "vorbis": (32_000, 44_100, 48_000),
    }.get(codec)
    if rates is None:
        return min(rate, MAX_FLAC_RATE)
    return next((known for known in rates if known >= rate), rates[-1])


def _channels(sound: MediaInfo, stream: EncodeStream, container: Container, wanted: TranscodeParameters) -> list[str]:
    if stream.codec == COPY or stream.channels is None:
        return []
    if wanted.channels is not None and stream.channels < wanted.channels:
        return [f"The result has {stream.channels} channels and not {wanted.channels}: {container.name} holds no more."]
    if stream.channels < sound.channels:
        return [f"{sound.channels} channels were mixed down to {stream.channels}."]
    return []


def _cover(
    source: Path, found: MediaFile, container: Container, wanted: TranscodeParameters, warnings: list[str]
) -> list[EncodeStream]:
    if not found.covers or not wanted.keep_cover:
        return []
    if container.cover is CoverForm.NONE:
        warnings.append(f"The cover was left out: {container.name} files hold none.")
        return []
    streams = cover_streams(source, found)
    if not streams:
        codec = found.covers[0].codec
        why = "it cannot be read" if codec == "unknown" else f"its codec {codec} is not supported"
        warnings.append(f"The cover was left out: {why}.")
    return streams


def cover_streams(source: Path, found: MediaFile) -> list[EncodeStream]:
    """The covers that can be decoded, the likeliest first."""
    return [
        EncodeStream(source, found.demuxer, cover.index, StreamKind.COVER, cover.codec)
        for cover in found.covers
        if cover.codec in PICTURE_DECODERS
    ]


def _texts(
    found: MediaFile, container: Container, wanted: TranscodeParameters, warnings: list[str]
) -> tuple[dict[str, TagValue], tuple[Chapter, ...]]:
    tags = dict(found.tags) if wanted.keep_tags else {}
    for name in TAG_NAMES:
        value = getattr(wanted, name)
        if value is not None:
            tags[name] = value
    chapters = found.chapters if wanted.keep_tags else ()
    if chapters and not container.chapters:
        warnings.append(f"{len(chapters)} chapters were left out: {container.name} files hold none.")
        chapters = ()
    if len(chapters) > MAX_CHAPTERS:
        warnings.append(f"Of {len(chapters)} chapters the first {MAX_CHAPTERS} were kept.")
        chapters = chapters[:MAX_CHAPTERS]
    return tags, chapters


def _left_out(found: MediaFile, container: Container) -> list[str]:
    counts = (
        (len(found.sounds) - 1, "further sound track(s)"),
        (len(found.films) - 1 if container.video else 0, "further film(s)"),
        (len(found.covers) - 1, "further cover(s)"),
        (found.others, "subtitle or data stream(s)"),
    )
    return [f"{count} {what} left out." for count, what in counts if count > 0]
