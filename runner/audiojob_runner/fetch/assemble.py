"""Makes one file of the downloaded parts: unchanged, merged or converted, with tags and chapters."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from audiojob_runner import cpus
from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import UNKNOWN_EXTENSION, Fetched, file_kind, path_extension, too_large
from audiojob_runner.fetch.kinds import check_no_page, media_kind
from audiojob_runner.fetch.mediainfo import labels
from audiojob_runner.media.containers import CONTAINERS, Container, CoverForm, merged_extension
from audiojob_runner.media.examine import examine_streams, explained, head_of
from audiojob_runner.media.ffmpeg import Failure, FfmpegError
from audiojob_runner.media.ffmpeg_encode import (
    COPY,
    Chapter,
    CoverError,
    EncodeRequest,
    EncodeStream,
    StreamKind,
    encode,
)
from audiojob_runner.media.lengths.streamed import fill_in
from audiojob_runner.media.streams import MediaFile
from audiojob_runner.media.transcoding import cover_streams
from audiojob_runner.task import TaskContext
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.download import DownloadParameters

_COVERS: Final = {"jpg": ("jpeg_pipe", "mjpeg"), "png": ("png_pipe", "png"), "webp": ("webp_pipe", "webp")}
# Containers round up; what was allowed to be fetched must not be cut by a few frames.
_SLACK_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Parts:
    """Fetched files of one source, the picture first. ``finish(fraction, message)`` takes the progress from here on.

    ``chapters`` have title, startSeconds and perhaps endSeconds. ``media_type`` is what a server said of a single file.
    """

    files: tuple[Path, ...]
    finish: Callable[[float, str], None]
    tags: Mapping[str, str] = field(default_factory=dict)
    chapters: Sequence[Mapping[str, Any]] = ()
    cover: Path | None = None
    media_type: str | None = None


def assemble(parts: Parts, wanted: DownloadParameters, context: TaskContext) -> Fetched:
    """The one file ``source.<extension>`` in the work folder, and what its tags say. Raises :class:`PhaseError`."""
    if wanted.container == "original" and len(parts.files) == 1:
        fetched = _as_it_came(parts, context)
    else:
        fetched = _encoded(parts, wanted, context)
    for folder in ("parts", "again"):
        shutil.rmtree(context.work_dir / folder, ignore_errors=True)
    parts.finish(1.0, "Downloaded")
    return fetched


def _as_it_came(parts: Parts, context: TaskContext) -> Fetched:
    (file,) = parts.files
    called = path_extension(file.name)
    try:
        found = examine_streams(file, context.cancelled)
    except PhaseError as error:
        if error.reason is Reason.STOPPED:
            raise
        check_no_page(file)
        # Nothing contradicts what it is called. Whether it is media at all, the phases find out that read it.
        extension, media_type = file_kind("", called or UNKNOWN_EXTENSION)
        return Fetched(_stored(file, extension, context), extension, parts.media_type or media_type, {})
    extension, media_type = media_kind(found, head_of(file), called)
    return Fetched(_stored(file, extension, context), extension, media_type, dict(labels(found.tags)))


def _stored(file: Path, extension: str, context: TaskContext) -> Path:
    return file.rename(context.work_dir / f"source.{extension}")


def _encoded(parts: Parts, wanted: DownloadParameters, context: TaskContext) -> Fetched:
    for path in parts.files:
        fill_in(path)
    examined = [(path, _examined(path, context)) for path in parts.files]
    name: str = wanted.container
    if name == "original":
        name = _fitting(merged_extension([path.suffix.removeprefix(".") for path in parts.files]), examined)
    container = CONTAINERS[name]
    streams = choose_streams(examined, container)
    chapters = _chapters(parts, examined)
    played = max((media.duration_seconds or 0.0 for _, media in examined), default=0.0)
    target = context.work_dir / f"out.{name}"
    request = EncodeRequest(
        streams=(*streams, *_covers(parts.cover, examined[0], container)),
        target=target,
        container=name,
        max_seconds=wanted.max_duration_seconds + _SLACK_SECONDS,
        max_bytes=wanted.max_bytes,
        tags={**examined[0][1].tags, **parts.tags},
        chapters=chapters,
        threads=cpus.usable_cpus(),
    )
    doing = "Putting together" if all(stream.codec == COPY for stream in streams) else "Converting"

    def position(seconds: float) -> None:
        parts.finish(seconds / played if played else 0.0, f"{doing}: {seconds:.0f} s")

    parts.finish(0.0, doing)
    try:
        try:
            encode(request, position, context.cancelled)
        except CoverError as error:
            context.log.warning("The cover was left out, for it cannot be read: %s", error.complaint)
            encode(replace(request, streams=streams), position, context.cancelled)
    except FfmpegError as error:
        context.log.warning("ffmpeg: %s", error.complaint)
        if error.failure is Failure.TOO_LARGE:
            raise too_large(wanted.max_bytes) from error
        raise explained(error, parts.files[0]) from error
    for path in parts.files:
        path.unlink(missing_ok=True)
    path = target.rename(context.work_dir / f"source.{name}")
    converted = sorted({stream.codec for stream in streams if stream.codec != COPY})
    metadata: dict[str, Any] = {**labels(examined[0][1].tags), **({"converted": converted} if converted else {})}
    return Fetched(path, name, container.media_type, metadata)


def _examined(path: Path, context: TaskContext) -> MediaFile:
    try:
        return examine_streams(path, context.cancelled)
    except PhaseError as error:
        if error.reason is not Reason.STOPPED:
            check_no_page(path)
        raise


def choose_streams(examined: Sequence[tuple[Path, MediaFile]], container: Container) -> tuple[EncodeStream, ...]:
    """The film, where the container holds any, and the sound: copied where it holds their coding, else encoded."""
    found: list[EncodeStream] = []
    if container.video:
        film = next(((path, media, film) for path, media in examined for film in media.films[:1]), None)
        if film is not None:
            path, media, picture = film
            _check_readable(picture.encrypted)
            codec = COPY if picture.codec in container.video else "h264"
            found.append(EncodeStream(path, media.demuxer, picture.index, StreamKind.VIDEO, picture.codec, codec))
    # Where the parts are picture and sound, the sound of its own file is the one that was chosen.
    for path, media in reversed(examined):
        if media.sound is not None:
            sound = media.sound
            _check_readable(sound.encrypted)
            codec = COPY if sound.codec in container.audio else container.audio[0]
            found.append(
                EncodeStream(
                    path, media.demuxer, sound.index, StreamKind.AUDIO, sound.codec, codec,
                    sample_rate=sound.sample_rate if codec == COPY else None, source_channels=sound.channels,
                    timing=sound.timing,
                )
            )  # fmt: skip
            break
    if not found:
        raise PhaseError(ExitCode.NOT_MEDIA, Reason.NOT_MEDIA, "The source has no sound.")
    return tuple(found)


def _check_readable(encrypted: bool) -> None:
    if encrypted:
        raise PhaseError(
            ExitCode.SOURCE_UNAVAILABLE, Reason.DRM_PROTECTED, "The source is protected against copying (DRM)."
        )


def _fitting(name: str, examined: Sequence[tuple[Path, MediaFile]]) -> str:
    """The container of that name if it holds all streams as they are, else Matroska."""
    container = CONTAINERS[name]
    codecs = [film.codec for _, media in examined for film in media.films[:1]]
    codecs += [sound.codec for _, media in examined for sound in media.sounds[:1]]
    return name if all(map(container.holds, codecs)) else "mkv"


def _covers(page: Path | None, first: tuple[Path, MediaFile], container: Container) -> tuple[EncodeStream, ...]:
    """The page's picture, else the file's own, the likeliest first."""
    if container.cover is CoverForm.NONE:
        return ()
    if page is not None:
        demuxer, codec = _COVERS[page.suffix.removeprefix(".")]
        return (EncodeStream(page, demuxer, 0, StreamKind.COVER, codec),)
    return tuple(cover_streams(*first))


def _chapters(parts: Parts, examined: Sequence[tuple[Path, MediaFile]]) -> tuple[Chapter, ...]:
    found = [
        Chapter(each["startSeconds"], each.get("endSeconds", each["startSeconds"]), each["title"])
        for each in parts.chapters
    ]
    return tuple(found) or examined[0][1].chapters
