"""Chooses the video stream of a file, and refuses bad ones before any picture is decoded. No I/O."""

from __future__ import annotations

from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.media.ffmpeg_still import MAX_PIXELS, MAX_SIDE, VIDEO_DECODERS
from audiojob_runner.media.streams import MediaFile, PictureStream
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

# High-speed cameras stay below; a header that says more is a mistake or a trap.
MAX_FRAME_RATE: Final = 1_000
# For films that do not say how many pictures a second they have.
USUAL_FRAME_RATE: Final = 30


def first_film(found: MediaFile) -> PictureStream | None:
    """The film that is used: the first of the file."""
    return found.films[0] if found.films else None


def check_film(film: PictureStream) -> None:
    """Refuse a film that cannot be decoded within our limits. Raises :class:`PhaseError`."""
    if film.encrypted:
        raise _refused("The source's film is encrypted (DRM).", "Use a file without copy protection.")
    if film.codec not in VIDEO_DECODERS:
        raise _refused(f"The source's film is coded as {film.codec}, which is not supported.")
    check_size(film)
    if film.fps is not None and film.fps > MAX_FRAME_RATE:
        raise _refused(
            f"The source says it has {film.fps:.0f} pictures a second; at most {MAX_FRAME_RATE} are supported."
        )


def check_size(picture: PictureStream) -> None:
    """Refuse a picture larger than a decoder may make room for. What does not say its size, the decoder refuses."""
    width, height = picture.width, picture.height
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise _refused(
            f"The source's picture has {width} x {height} pixels; at most {MAX_SIDE} a side and {MAX_PIXELS} in all "
            "are supported."
        )


def limited_frame_rate(film: PictureStream, limit: int) -> int | None:
    """Pictures a second to set, or None where the film stays below the limit by itself."""
    if film.fps is None:
        return min(limit, USUAL_FRAME_RATE)
    return limit if film.fps > limit + 0.5 else None


def _refused(message: str, suggestion: str = "") -> PhaseError:
    return PhaseError(ExitCode.NOT_MEDIA, Reason.NOT_MEDIA, message, suggestion)
