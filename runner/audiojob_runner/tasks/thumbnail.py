"""Thumbnail: one picture of a video, or the cover in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.media import ffmpeg
from audiojob_runner.media.examine import examine_streams, explained
from audiojob_runner.media.ffmpeg import Failure, FfmpegError
from audiojob_runner.media.ffmpeg_still import PICTURE_DECODERS, StillRequest, still
from audiojob_runner.media.films import check_film, check_size, first_film
from audiojob_runner.media.streams import MediaFile, PictureStream
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.thumbnail import ThumbnailParameters

EXTENSIONS: Final = {"jpeg": "jpg", "png": "png", "webp": "webp"}
# Films often begin black; a tenth in, there is something to see.
DEFAULT_SHARE: Final = 0.1


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``source`` (any file) to output ``picture``."""
    assert isinstance(parameters, ThumbnailParameters)
    given = inputs.get("source")
    if given is None or given.path is None:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Thumbnail needs an input file named 'source'.")
    context.progress(0, "Reading the source")
    found = examine_streams(given.path, context.cancelled)
    context.log.info("source: %s", found)
    picture = choose(found, parameters.origin)
    seconds = None if picture.cover else moment(found, picture, parameters.time_milliseconds)
    request = StillRequest(
        source=given.path,
        target=context.work_dir / f"picture.{EXTENSIONS[parameters.format]}",
        demuxer=found.demuxer,
        index=picture.index,
        codec=picture.codec,
        form=parameters.format,
        seconds=seconds,
        max_width=parameters.max_width,
        max_height=parameters.max_height,
        quality=parameters.quality,
    )
    context.progress(10, "Decoding the picture")
    _take(request, given.path, context)
    context.progress(100, "Picture taken")
    origin = {"origin": "Cover"} if picture.cover else {"origin": "Still", "seconds": round(seconds or 0.0, 3)}
    output = TaskOutput("picture", request.target, f"image/{parameters.format}", origin)
    return TaskResult([output], {"source": {"container": found.demuxer}, "ffmpeg": ffmpeg.version()})


def choose(found: MediaFile, origin: str) -> PictureStream:
    """The stream that the picture is taken from. Raises :class:`PhaseError` where there is none that we decode."""
    film = first_film(found) if origin in ("Auto", "Still") else None
    if film is not None:
        check_film(film)
        return film
    covers = found.covers if origin in ("Auto", "Cover") else ()
    if not covers:
        missing = {"Still": "film", "Cover": "cover", "Auto": "film and no cover"}[origin]
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.EMPTY_MEDIA,
            f"The source has no {missing} to take a picture from.",
            "Use a film, or a song with a cover.",
        )
    cover = next((cover for cover in covers if cover.codec in PICTURE_DECODERS), None)
    if cover is None:
        what, reason = f"has the codec {covers[0].codec}, which is not supported", Reason.NOT_MEDIA
        if covers[0].codec == "unknown":
            what, reason = "cannot be read", Reason.CORRUPT_MEDIA
        raise PhaseError(ExitCode.NOT_MEDIA, reason, f"The source's cover {what}.", "Covers may be JPEG, PNG or WebP.")
    check_size(cover)
    return cover


def moment(found: MediaFile, film: PictureStream, wanted_milliseconds: int | None) -> float | None:
    """Seconds into the film; None takes the first picture. Raises :class:`PhaseError` for a time after its end."""
    length = film.duration_seconds if film.duration_seconds is not None else found.duration_seconds
    if wanted_milliseconds is None:
        return None if length is None else length * DEFAULT_SHARE
    wanted = wanted_milliseconds / 1_000
    if length is not None and wanted >= length:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"parameters.thumbnail.timeMilliseconds is {wanted:.3f} s, but the video ends at {length:.3f} s.",
        )
    return wanted


def _take(request: StillRequest, source: Path, context: TaskContext) -> None:
    try:
        still(request, context.cancelled)
    except FfmpegError as error:
        context.log.warning("ffmpeg: %s", error)
        if error.failure is Failure.REFUSED:
            raise PhaseError(
                ExitCode.NOT_MEDIA, Reason.CORRUPT_MEDIA, "The source's picture cannot be decoded."
            ) from error
        raise explained(error, source) from error
