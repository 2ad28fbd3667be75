"""Lyrics: the words of a song from the first place that has them, as ``lyrics.json`` and in the forms of players."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.lyrics.draft import UnusableError
from audiojob_runner.lyrics.read import read_lyrics
from audiojob_runner.lyrics.record import known_language, record_of
from audiojob_runner.lyrics.settle import Song, settle
from audiojob_runner.lyrics.write import described, write_all
from audiojob_runner.media import ffmpeg
from audiojob_runner.media.examine import explained, sound_of
from audiojob_runner.media.ffmpeg import FfmpegError
from audiojob_runner.media.streams import read_streams
from audiojob_runner.media.tags.sung import SungTag, read_sung
from audiojob_runner.task import TaskContext, TaskInput, TaskResult, told_seconds
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.documents.lyrics import MAX_RECORD_BYTES, Form, Lyrics, Origin, Place, Timing
from audiojob_types.reasons import Reason
from audiojob_types.tasks.lyrics import LyricsParameters

LYRICS_INPUT, SOURCE_INPUT, AUDIO_INPUT, FOUND_INPUT = "lyrics", "source", "audio", "found"
_SUGGESTION: Final = "Correct the lyrics, or leave the input lyrics out."
NOTHING_FOUND: Final = "No words were found, neither as an input nor in the tags of the song: it is an instrumental."


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A text that may hold the words."""

    origin: Origin
    raw: bytes
    language: str | None = None
    form: Form | None = None

    @property
    def called(self) -> str:
        """For people."""
        return f"The {'tag' if self.origin.place is Place.TAGS else 'input'} {self.origin.input}"


@dataclass(frozen=True, slots=True)
class _Source:
    """What the song's own file says: how long it plays, where that is sure, and the words in its tags."""

    milliseconds: int | None = None
    tags: tuple[SungTag, ...] = ()


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Inputs ``lyrics`` and others, or the tags of ``source``, to ``lyrics`` and the forms of players.

    What was left out or is odd is in the metadata's ``warnings``. A song without words is no failure.
    """
    assert isinstance(parameters, LyricsParameters)
    context.progress(0, "Looking for words")
    source = _look_at(inputs.get(SOURCE_INPUT), context)
    length = _told_length(inputs.get(AUDIO_INPUT)) or source.milliseconds
    song = Song(length, parameters.shift_milliseconds)
    warnings = list[str]()
    lyrics = None
    for candidate in _candidates(inputs, parameters, source):
        context.progress(20, f"Reading {candidate.origin.input}")
        lyrics = _read(candidate, song, parameters, warnings)
        if lyrics is not None:
            break
    if lyrics is None or not lyrics.lines:
        warnings.append(NOTHING_FOUND if lyrics is None else f"There are no words in {lyrics.origin.input}.")
    if lyrics is None:
        lyrics = Lyrics(timing=Timing.NONE, origin=Origin(place=Place.NONE), language=parameters.language)
    for warning in warnings:
        context.log.warning("%s", warning)
    context.progress(60, "Writing")
    outputs = write_all(lyrics, context.work_dir)
    context.progress(100, "Words written" if lyrics.lines else "No words")
    return TaskResult(outputs, {**described(lyrics), **({"warnings": warnings} if warnings else {})})


def _look_at(given: TaskInput | None, context: TaskContext) -> _Source:
    """The song's own file. Raises :class:`PhaseError` where it is none that we take."""
    if given is None:
        return _Source()
    path = _file_of(given)
    try:
        document = ffmpeg.probe(path, context.cancelled, details=True)
        tags = ffmpeg.probe_tags(path, context.cancelled)
    except FfmpegError as error:
        raise explained(error, path) from error
    found = read_streams(document)
    milliseconds = None
    if found.sounds:
        info = sound_of(path, document)
        # An estimate cuts off nothing.
        if info.exact and info.duration_seconds is not None:
            milliseconds = round(info.duration_seconds * 1_000)
    return _Source(milliseconds, tuple(read_sung(path, found.demuxer, tags)))


def _told_length(given: TaskInput | None) -> int | None:
    """What the phase that made the audio says of it."""
    seconds = told_seconds(given.metadata) if given is not None else None
    return None if seconds is None else round(seconds * 1_000)


def _candidates(inputs: Mapping[str, TaskInput], parameters: LyricsParameters, source: _Source) -> Iterator[_Candidate]:
    """Where words may be, the surest first: what the user gave, what came with the song, what a service has for songs
    of that name."""
    given = inputs.get(LYRICS_INPUT)
    if given is not None:
        form = None if parameters.format == "Auto" else Form(parameters.format)
        yield _Candidate(Origin(place=Place.INPUT, input=LYRICS_INPUT), _bytes_of(given), form=form)
    named = (LYRICS_INPUT, SOURCE_INPUT, AUDIO_INPUT, FOUND_INPUT)
    others = [each for each in inputs.values() if each.name not in named]
    wanted = (parameters.language or "").partition("-")[0]

    def rank(each: TaskInput) -> tuple[bool, str]:
        """By name, and not by a pipeline's order: what is reused is known by names."""
        return (known_language(_language(each)) or "").partition("-")[0] != wanted, each.name

    for each in sorted(others, key=rank):
        yield _Candidate(Origin(place=Place.SUBTITLES, input=each.name), _bytes_of(each), _language(each))
    for tag in source.tags:
        yield _Candidate(Origin(place=Place.TAGS, input=tag.name), tag.text.encode("utf-8", "ignore"), tag.language)
    found = inputs.get(FOUND_INPUT)
    if found is not None:
        yield _Candidate(Origin(place=Place.SERVICE, input=FOUND_INPUT), _bytes_of(found))


def _language(given: TaskInput) -> str | None:
    language = given.metadata.get("language")
    return language if isinstance(language, str) else None


def _bytes_of(given: TaskInput) -> bytes:
    """The text, or so much of it that it is seen to be too long."""
    with _file_of(given).open("rb") as file:
        return file.read(MAX_RECORD_BYTES + 1)


def _file_of(given: TaskInput) -> Path:
    """The input's file. Raises :class:`PhaseError`."""
    if given.path is None:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"Lyrics takes files, but input {given.name!r} is an address.",
            "Add a Download phase before it, as in examples/lyrics.yaml.",
        )
    return given.path


def _read(candidate: _Candidate, song: Song, parameters: LyricsParameters, warnings: list[str]) -> Lyrics | None:
    """The lyrics in a text; None where it is not the user's own and has none that can be used."""
    own = candidate.origin.place is Place.INPUT
    try:
        draft = read_lyrics(candidate.raw, candidate.form)
        settled = settle(draft, song)
    except UnusableError as error:
        if own:
            raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, str(error), _SUGGESTION) from error
        warnings.append(f"{candidate.called} cannot be used: {error}")
        return None
    if not settled.lines and not own:
        warnings.append(f"{candidate.called} has no words.")
        return None
    origin = candidate.origin.model_copy(update={"form": draft.form})
    lyrics, notes = record_of(draft, settled, origin, parameters.language or candidate.language)
    warnings += notes
    return lyrics
