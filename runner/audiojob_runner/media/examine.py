"""Examines a file before any work is done on it, and explains why it cannot be used."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.media import ffmpeg
from audiojob_runner.media import probe as media
from audiojob_runner.media.ffmpeg import Failure, FfmpegError
from audiojob_runner.media.lengths.named import UNKNOWN_TOTALS, NamedLength, au_length, caf_length, w64_length
from audiojob_runner.media.lengths.read import played_samples
from audiojob_runner.media.lengths.wav import wav_length
from audiojob_runner.media.probe import MediaInfo
from audiojob_runner.media.streams import MediaFile, PictureStream, read_streams
from audiojob_runner.media.tags.pictures import picture_kind
from audiojob_runner.media.tags.read import read

_NAMED: Final = {"au": au_length, "caf": caf_length, "w64": w64_length}


def examine_sound(source: Path, cancelled: threading.Event) -> MediaInfo:
    """The one sound track that is used. Raises :class:`PhaseError` (NotMedia, CorruptMedia, EmptyMedia)."""
    return sound_of(source, _probe(source, cancelled, details=False))


def examine_streams(source: Path, cancelled: threading.Event) -> MediaFile:
    """All that is in the file. Raises :class:`PhaseError` (NotMedia, CorruptMedia) for what we do not take."""
    document = _probe(source, cancelled, details=True)
    found = _with_tags(source, read_streams(document))
    try:
        info = sound_of(source, document) if found.sounds else None
    except PhaseError:
        return found  # what of it cannot be read, those say who read it
    return found if info is None else _with_timing(source, found, info)


def examine_file(source: Path, cancelled: threading.Event) -> tuple[MediaFile, MediaInfo | None]:
    """All that is in the file, and its sound where it has some. Raises :class:`PhaseError` for what we do not take."""
    document = _probe(source, cancelled, details=True)
    found = _with_tags(source, read_streams(document))
    if not found.sounds:
        return found, None
    info = sound_of(source, document)
    return _with_timing(source, found, info), info


def _with_tags(source: Path, found: MediaFile) -> MediaFile:
    """With what our own readers find: ffprobe knows one value for a name, and believes what tags say of themselves."""
    tags, pictures = read(source, found.demuxer)
    kinds = [picture_kind(picture.data) for picture in pictures]
    covers = tuple(
        PictureStream(-1 - number, kind.codec if kind else "unknown", 0, 0, None, None, cover=True)
        for number, kind in enumerate(kinds)
    )
    return replace(found, tags={**found.tags, **tags}, covers=covers or found.covers)


def sound_of(source: Path, document: Mapping[str, Any]) -> MediaInfo:
    """The sound that ffprobe's answer is about, held against the file's own header."""
    info = media.read_probe(document)
    if info.demuxer == "mov":
        samples = played_samples(source, info.demuxer, info.codec, info.stream_index, info.sample_rate)
        if samples is not None:
            played = samples / info.sample_rate
            return replace(info, duration_seconds=played, exact=True, timing=replace(info.timing, seconds=played))
        if info.duration_seconds is not None:  # of several edits ffprobe names the end, silence before them included
            return replace(info, duration_seconds=max(0.0, info.duration_seconds - info.start_seconds))
    if info.demuxer == "wav":
        # ffprobe goes by the file's size, which hides that a file was cut off.
        with source.open("rb") as file:
            said = wav_length(file, source.stat().st_size)
        exact = said.seconds is not None
        seconds = said.seconds if exact else info.duration_seconds
        timing = replace(
            info.timing,
            past_end=said.goes_on,
            unnamed=said.unnamed,
            seconds=said.seconds if said.padded else None,
        )
        return replace(info, duration_seconds=seconds, exact=exact, timing=timing)
    if info.demuxer in _NAMED:
        with source.open("rb") as file:
            named = _NAMED[info.demuxer](file)
        if named is not None:
            return _held_to(info, named)
        # ffprobe takes any number of an AU for its length.
        return replace(info, duration_seconds=None, exact=False) if info.demuxer == "au" else info
    if info.demuxer == "flac" and round((info.duration_seconds or 0.0) * info.sample_rate) in UNKNOWN_TOTALS:
        return replace(info, duration_seconds=None, exact=False)
    return info


def _held_to(info: MediaInfo, named: NamedLength) -> MediaInfo:
    """With the length that a header names, and held to it where that is not all that is decoded."""
    timing = info.timing
    if named.padded:
        timing = replace(timing, seconds=named.seconds, lead_seconds=named.lead_seconds)
    return replace(info, duration_seconds=named.seconds, exact=True, timing=timing)


def _with_timing(source: Path, found: MediaFile, info: MediaInfo) -> MediaFile:
    """With what is known of the sound that is used."""
    seconds = info.duration_seconds if info.exact else None
    if seconds is None:
        samples = played_samples(source, info.demuxer, info.codec, info.stream_index, info.sample_rate)
        seconds = None if samples is None else samples / info.sample_rate
    sounds = tuple(
        replace(each, timing=info.timing, duration_seconds=each.duration_seconds if seconds is None else seconds)
        if each.index == info.stream_index
        else each
        for each in found.sounds
    )
    return replace(found, sounds=sounds)


def _probe(source: Path, cancelled: threading.Event, details: bool) -> dict[str, Any]:
    try:
        return ffmpeg.probe(source, cancelled, details)
    except FfmpegError as error:
        raise explained(error, source) from error


def explained(error: FfmpegError, source: Path) -> PhaseError:
    """The error for a failed call on this file."""
    if error.failure is Failure.UNLISTED:
        return media.not_supported(error.complaint)
    return media.explain(error.failure, head_of(source), source.stat().st_size)


def head_of(source: Path) -> bytes:
    """The first bytes, by which a damaged file is told from no media file."""
    with source.open("rb") as file:
        return file.read(media.HEAD_BYTES)
