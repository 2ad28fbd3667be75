"""Align: when each word is sung, by the voice alone, for lyrics that do not say it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from audiojob_runner.alignment.activity import measure
from audiojob_runner.alignment.align import Aligned, align
from audiojob_runner.alignment.doubts import doubts_of
from audiojob_runner.alignment.listen import Listener
from audiojob_runner.alignment.sound import Sound, decode
from audiojob_runner.alignment.voice import PROGRAM, speaker
from audiojob_runner.errors import PhaseError, stopped
from audiojob_runner.lyrics.draft import UnusableError, counted
from audiojob_runner.lyrics.read import draft_of, first_fault
from audiojob_runner.lyrics.record import record_of
from audiojob_runner.lyrics.settle import Song, settle
from audiojob_runner.lyrics.write import described, write_all
from audiojob_runner.media.ffmpeg import Failure, FfmpegError
from audiojob_runner.task import TaskContext, TaskInput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.documents.lyrics import MAX_RECORD_BYTES, Lyrics, timing_of
from audiojob_types.reasons import Reason
from audiojob_types.tasks.align import AlignParameters

LYRICS_INPUT, VOCALS_INPUT = "lyrics", "vocals"
DECODED_PERCENT: Final = 20.0


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Inputs ``lyrics`` (``lyrics.json``) and ``vocals`` to ``lyrics`` and the forms of players."""
    assert isinstance(parameters, AlignParameters)
    context.progress(0, "Reading the voice")
    lyrics_path, vocals = _file(inputs, LYRICS_INPUT), _file(inputs, VOCALS_INPUT)
    given = _read(lyrics_path)
    sound = decode(vocals, context, lambda share: context.progress(share * DECODED_PERCENT, "Reading the voice"))
    lyrics, warnings = _settled(given, sound.milliseconds, parameters.language)
    aligned = _align(lyrics, sound, context, warnings)
    sound.path.unlink()
    doubts = doubts_of(aligned, sound.silent)
    warnings += doubts.warnings
    for warning in warnings:
        context.log.warning("%s", warning)
    made = lyrics.model_copy(update={"lines": aligned.lines, "timing": timing_of(aligned.lines)})
    outputs = write_all(made, context.work_dir)
    context.progress(100, "Words aligned" if made.lines else "No words")
    metadata: dict[str, Any] = {
        **described(made),
        "alignment": {"given": aligned.given, "found": aligned.found, "spread": aligned.spread},
    }
    metadata |= {"warnings": warnings} if warnings else {}
    return TaskResult(outputs, metadata, review_asked=doubts.question)


def _file(inputs: Mapping[str, TaskInput], name: str) -> Path:
    given = inputs.get(name)
    if given is None or given.path is None:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, f"Align needs an input file named '{name}'.")
    return given.path


def _read(path: Path) -> Lyrics:
    """The record. Raises :class:`PhaseError`."""
    with path.open("rb") as file:
        raw = file.read(MAX_RECORD_BYTES + 1)
    try:
        if len(raw) > MAX_RECORD_BYTES:
            raise ValueError(f"it has more than {MAX_RECORD_BYTES:,} bytes")
        return Lyrics.read(raw)
    except ValidationError as error:
        raise _unusable(first_fault(error)) from error
    except ValueError as error:
        raise _unusable(str(error)) from error


def _unusable(why: str) -> PhaseError:
    return PhaseError(
        ExitCode.USAGE,
        Reason.INVALID_SPEC,
        f"The input lyrics is no lyrics.json: {why}.",
        "Give Align the output lyrics of a Lyrics phase.",
    )


def _settled(given: Lyrics, milliseconds: int, language: str | None) -> tuple[Lyrics, list[str]]:
    """The lyrics as if they were just read: whoever wrote them, they are clean, in order, and within the song."""
    try:
        draft = draft_of(given)
        settled = settle(draft, Song(milliseconds))
    except UnusableError as error:
        raise _unusable(str(error)) from error
    lyrics, notes = record_of(draft, settled, given.origin, language)
    return lyrics, list(notes)


def _align(lyrics: Lyrics, sound: Sound, context: TaskContext, warnings: list[str]) -> Aligned:
    letters = "".join(word.text for line in lyrics.lines for word in line.words)
    lines = len(lyrics.lines)

    def on_share(share: float) -> None:
        if context.cancelled.is_set():
            raise stopped()
        context.progress(DECODED_PERCENT + (99 - DECODED_PERCENT) * share, f"Listening to {counted(lines, 'line')}")

    try:
        voice = speaker(lyrics.language, letters, context.work_dir, context.cancelled)
        if voice is None and lines:
            language = lyrics.language or "these letters"
            warnings.append(f"There is no voice for {language}: words are spread over what is sung.")
        return align(lyrics.lines, Listener(sound, voice), measure(sound.path), on_share)
    except FfmpegError as error:
        raise _failed(error) from error


def _failed(error: FfmpegError) -> PhaseError:
    """The speaker's failure: its words are no reason, as whatever cannot be said is left out before."""
    if error.failure is Failure.CANCELLED:
        return stopped()
    if error.failure is Failure.DISK_FULL:
        return PhaseError(ExitCode.DISK_FULL, Reason.DISK_FULL, "The disk was full while Align ran.")
    missing = error.failure is Failure.MISSING
    message = f"{PROGRAM} is not installed." if missing else f"{PROGRAM} failed: {error.failure.value}."
    suggestion = f"Use the image runner-music, or install {PROGRAM}." if missing else "The log has the details."
    return PhaseError(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, message, suggestion)
