"""Looks at a file before any work is done on it, and explains why it cannot be used."""

from __future__ import annotations

import threading
from pathlib import Path

from audiojob_runner import ffmpeg, media
from audiojob_runner.errors import PhaseError
from audiojob_runner.ffmpeg import FfmpegError
from audiojob_runner.streams import MediaFile, read_streams


def examine_streams(source: Path, cancelled: threading.Event) -> MediaFile:
    """All that is in the file. Raises :class:`PhaseError` (NotMedia, CorruptMedia) for what we do not take."""
    try:
        document = ffmpeg.probe(source, cancelled, details=True)
    except FfmpegError as error:
        raise explained(error, source) from error
    return read_streams(document)


def explained(error: FfmpegError, source: Path) -> PhaseError:
    """The error for a failed call on this file."""
    return media.explain(error.failure, head_of(source), source.stat().st_size)


def head_of(source: Path) -> bytes:
    """The first bytes, by which a damaged file is told from no media file."""
    with source.open("rb") as file:
        return file.read(media.HEAD_BYTES)
