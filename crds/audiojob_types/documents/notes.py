"""``notes.json``: the notes, or the strokes of drums, that are heard in one recording, as Transcribe writes them.

Times are seconds from the beginning of the recording, as it sounds: an instrument off tune is moved to the nearest
notes, and its times are not. People and programs may correct the file, so its notes come in any order.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from audiojob_types.base import WireModel

MAX_RECORD_BYTES: Final = 64 * 1024**2
MAX_NOTES: Final = 200_000  # an hour of 55 a second, which nobody plays
MAX_SECONDS: Final = 24 * 3_600.0
MAX_BENDS: Final = 2_000
BEND_STEP_SECONDS: Final = 0.05
STEM_PATTERN: Final = r"^[A-Za-z0-9][-_.A-Za-z0-9]*$"

Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS)]
Velocity = Annotated[int, Field(ge=1, le=127)]  # as in MIDI
Confidence = Annotated[float, Field(ge=0, le=1)]  # how sure Transcribe is that it sounds at all
Semitones = Annotated[float, Field(ge=-12, le=12)]


class Instrument(StrEnum):
    """What plays: it decides which notes there can be, how many at a time, and what counts as one."""

    PIANO = "Piano"
    GUITAR = "Guitar"
    BASS = "Bass"
    VOICE = "Voice"
    OTHER = "Other"
    DRUMS = "Drums"


class Drum(StrEnum):
    """What of a drum kit is told apart."""

    KICK = "Kick"
    SNARE = "Snare"
    HAT = "Hat"  # and other cymbals


class Note(WireModel):
    """One note. ``bends``: how far it is from its pitch, for each step of ``BEND_STEP_SECONDS`` from its onset on."""

    onset: Seconds
    offset: Seconds
    pitch: Annotated[int, Field(ge=0, le=127)]  # as in MIDI: 60 is middle C
    velocity: Velocity = 80
    confidence: Confidence = 1.0
    bends: Annotated[tuple[Semitones, ...], Field(max_length=MAX_BENDS)] | None = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.offset <= self.onset:
            raise ValueError("offset must be above onset")
        return self


class Hit(WireModel):
    """One stroke on a drum."""

    time: Seconds
    drum: Drum
    velocity: Velocity = 80
    confidence: Confidence = 1.0


class Notes(WireModel):
    """All that is heard. Neither notes nor hits: the recording has none."""

    version: Literal[1] = 1
    duration_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS)]
    instrument: Instrument
    stem: Annotated[str, Field(pattern=STEM_PATTERN, max_length=63)] | None = None
    tuning_cents: Annotated[float, Field(ge=-100, le=100)] = 0.0  # how far it is off A = 440 Hz
    notes: Annotated[tuple[Note, ...], Field(max_length=MAX_NOTES)] = ()
    hits: Annotated[tuple[Hit, ...], Field(max_length=MAX_NOTES)] = ()
