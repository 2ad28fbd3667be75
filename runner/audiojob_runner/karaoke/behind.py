"""The input ``background``, whatever it is, as what the film is drawn on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.karaoke.sources import of_input
from audiojob_runner.media.examine import examine_streams, explained, head_of
from audiojob_runner.media.ffmpeg import Failure, FfmpegError
from audiojob_runner.media.ffmpeg_still import MAX_COVER_BYTES
from audiojob_runner.media.films import check_film, check_size, first_film
from audiojob_runner.media.rendering.backdrop import Frame, LoopRequest, take_loop, take_picture
from audiojob_runner.media.rendering.film import Background
from audiojob_runner.media.streams import PictureStream
from audiojob_runner.media.tags.bare import bare_picture
from audiojob_runner.media.tags.pictures import PictureKind, picture_kind, picture_size
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

NAME: Final = "background"
# A film that ends so much earlier than it says is damaged at its end.
_MISSING_SECONDS: Final = 0.5
_TAKEN: Final = "A background may be a JPEG, PNG or WebP picture, or a film that plays to its end: save it anew as one."


class Behind:
    """Makes backgrounds in a folder. ``position`` gets seconds of a film that is read."""

    def __init__(self, folder: Path, frame: Frame, threads: int, cancelled: threading.Event) -> None:
        self._folder = folder
        self._frame = frame
        self._threads = threads
        self._cancelled = cancelled

    def make(self, source: Path, frames: int, position: Callable[[float], None]) -> tuple[Background, list[str]]:
        """The background of so many frames, and warnings. Raises :class:`PhaseError`."""
        try:
            kind = picture_kind(head_of(source))
            if kind is None:
                return self._film(source, frames, position)
            return self._picture(source, kind), []
        except PhaseError as error:
            raise _advised(of_input(error, NAME)) from error

    def _picture(self, source: Path, kind: PictureKind) -> Background:
        with source.open("rb") as file:
            bare = bare_picture(kind.codec, file.read(MAX_COVER_BYTES))
        if bare is not None and (size := picture_size(kind.codec, bare)) is not None:
            check_size(PictureStream(0, kind.codec, *size, None, None))
        target = self._folder / "background.png"
        try:
            take_picture(source, kind, target, self._frame, self._cancelled)
        except FfmpegError as error:
            if error.failure is Failure.REFUSED:
                raise PhaseError(
                    ExitCode.NOT_MEDIA, Reason.CORRUPT_MEDIA, "The source's picture cannot be decoded."
                ) from error
            raise explained(error, source) from error
        return Background(picture=target)

    def _film(self, source: Path, frames: int, position: Callable[[float], None]) -> tuple[Background, list[str]]:
        found = examine_streams(source, self._cancelled)
        film = first_film(found)
        if film is None:
            raise PhaseError(
                ExitCode.NOT_MEDIA,
                Reason.NOT_MEDIA,
                "The source is neither a picture nor a film.",
            )
        check_film(film)
        target = self._folder / "background.mkv"
        request = LoopRequest(source, target, found.demuxer, film.index, film.codec, self._frame, frames, self._threads)
        reached = 0.0

        def seen(seconds: float) -> None:
            nonlocal reached
            reached = seconds
            position(seconds)

        try:
            take_loop(request, seen, self._cancelled)
        except FfmpegError as error:
            if error.failure is not Failure.REFUSED:
                raise explained(error, source) from error
        decoded = self._decoded(target)
        if decoded <= 0:
            target.unlink(missing_ok=True)
            raise PhaseError(
                ExitCode.NOT_MEDIA, Reason.CORRUPT_MEDIA, "The source's film cannot be decoded: no picture of it can."
            )
        said = film.duration_seconds if film.duration_seconds is not None else found.duration_seconds
        wanted = min(said or 0.0, frames / self._frame.fps)
        warnings = []
        if wanted - decoded > _MISSING_SECONDS:
            warnings.append(
                f"The input background ends after {decoded:.1f} s, though it says {said:.1f} s: the rest cannot be "
                "decoded."
            )
        return Background(loop=target), warnings

    def _decoded(self, target: Path) -> float:
        """Seconds of what was made of a film."""
        if not target.exists() or target.stat().st_size == 0:
            return 0.0
        try:
            made = examine_streams(target, self._cancelled)
        except PhaseError as error:
            if error.exit_code == ExitCode.NOT_MEDIA:
                return 0.0
            raise
        return (made.duration_seconds or 0.0) if made.films else 0.0


def _advised(error: PhaseError) -> PhaseError:
    """With what a background may be, where the file is at fault; what is said of songs helps nobody here."""
    if error.exit_code != ExitCode.NOT_MEDIA:
        return error
    return PhaseError(error.exit_code, error.reason, error.message, _TAKEN)
