"""``lyrics.json``: the words of a song, their times, and how much of that is certain.

Times are whole milliseconds from the beginning of the song. A text without times has none; Align finds them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from audiojob_types.base import WireModel

MAX_RECORD_BYTES: Final = 16 * 1024**2  # of lyrics.json: 50,000 words with all that is known of them have less
MAX_LINES: Final = 5_000
MAX_LINE_CHARACTERS: Final = 500
MAX_MILLISECONDS: Final = 24 * 3_600_000
LANGUAGE_PATTERN: Final = r"^[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,2}$"

Milliseconds = Annotated[int, Field(ge=0, le=MAX_MILLISECONDS)]


class Form(StrEnum):
    """How lyrics are written down."""

    PLAIN = "Plain"
    LRC = "LRC"
    SRT = "SRT"
    WEBVTT = "WebVTT"
    ASS = "ASS"
    RECORD = "Record"  # lyrics.json itself, perhaps corrected by somebody


class Place(StrEnum):
    """Where lyrics came from."""

    INPUT = "Input"  # given with the job
    SUBTITLES = "Subtitles"  # found by Download
    TAGS = "Tags"  # of the song's own file
    SERVICE = "Service"  # found by FindLyrics
    NONE = "None"  # nowhere: nothing was found


class Timing(StrEnum):
    """What the times of a whole text are known of."""

    NONE = "None"
    LINES = "Lines"
    WORDS = "Words"  # of some lines at least


class Direction(StrEnum):
    """Which way the text is read."""

    LEFT_TO_RIGHT = "LeftToRight"
    RIGHT_TO_LEFT = "RightToLeft"


class Word(WireModel):
    """A word, or a syllable that has a time of its own. Of its times both are known, or neither."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_LINE_CHARACTERS, pattern=r"^\S+$")]
    joined: bool = False  # no space is between it and the word before
    start_milliseconds: Milliseconds | None = None
    end_milliseconds: Milliseconds | None = None
    derived: bool = False  # the source has one time for several words: this is its share of it
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None  # how sure Align is of the times; 1: they were given

    @model_validator(mode="after")
    def _has_both_times_or_neither(self) -> Self:
        _check_times(self.start_milliseconds, self.end_milliseconds)
        return self


class Line(WireModel):
    """What is sung in one breath and shown in one row."""

    words: Annotated[tuple[Word, ...], Field(min_length=1)]
    start_milliseconds: Milliseconds | None = None
    end_milliseconds: Milliseconds | None = None
    end_derived: bool = False  # the source tells only when it begins: it ends with the next one, or after some seconds
    stanza: bool = False  # a stanza begins with it
    voice: Annotated[str, Field(min_length=1, max_length=40)] | None = None  # who sings it

    @model_validator(mode="after")
    def _has_both_times_or_neither(self) -> Self:
        _check_times(self.start_milliseconds, self.end_milliseconds)
        if self.start_milliseconds is None and any(word.start_milliseconds is not None for word in self.words):
            raise ValueError("words of a line without times have none either")
        return self

    @property
    def text(self) -> str:
        """The words as one text."""
        return "".join(word.text if word.joined else f" {word.text}" for word in self.words).lstrip(" ")


class Origin(WireModel):
    """Where the lyrics came from, and in what form."""

    place: Place
    form: Form | None = None
    input: str | None = None  # the input's name, or the tag's


class Lyrics(WireModel):
    """All words of a song. No lines: it is an instrumental, or nobody knows its words."""

    version: Literal[1] = 1
    timing: Timing
    origin: Origin
    direction: Direction = Direction.LEFT_TO_RIGHT
    language: Annotated[str, Field(pattern=LANGUAGE_PATTERN, max_length=20)] | None = None
    language_derived: bool = False  # nobody named it: only one language is written in these letters
    title: Annotated[str, Field(max_length=300)] | None = None
    artist: Annotated[str, Field(max_length=300)] | None = None
    lines: Annotated[tuple[Line, ...], Field(max_length=MAX_LINES)] = ()


def timing_of(lines: tuple[Line, ...]) -> Timing:
    """What the lines know of their times."""
    if any(word.start_milliseconds is not None for line in lines for word in line.words):
        return Timing.WORDS
    return Timing.LINES if any(line.start_milliseconds is not None for line in lines) else Timing.NONE


def _check_times(start: int | None, end: int | None) -> None:
    if (start is None) != (end is None):
        raise ValueError("startMilliseconds and endMilliseconds go together")
    if start is not None and end is not None and end < start:
        raise ValueError("endMilliseconds must not be below startMilliseconds")
