"""What a score is made of: notes, hits and words at their seconds, and what the user wants to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from audiojob_runner.score.model import Key, Time


class Instrument(StrEnum):
    """Who plays a part: this decides its staves, clefs, transposition and MIDI program."""

    PIANO = "Piano"
    ORGAN = "Organ"
    HARP = "Harp"
    GUITAR = "Guitar"
    BASS = "Bass"
    VOICE = "Voice"
    VIOLIN = "Violin"
    VIOLA = "Viola"
    CELLO = "Cello"
    DOUBLE_BASS = "DoubleBass"
    STRINGS = "Strings"
    FLUTE = "Flute"
    OBOE = "Oboe"
    CLARINET = "Clarinet"  # in B flat
    BASSOON = "Bassoon"
    HORN = "Horn"  # in F
    TRUMPET = "Trumpet"  # in B flat
    TROMBONE = "Trombone"
    ALTO_SAXOPHONE = "AltoSaxophone"
    TENOR_SAXOPHONE = "TenorSaxophone"
    OTHER = "Other"
    DRUMS = "Drums"


class Drum(StrEnum):
    """What was hit."""

    KICK = "Kick"
    SNARE = "Snare"
    CLOSED_HAT = "ClosedHat"
    OPEN_HAT = "OpenHat"
    LOW_TOM = "LowTom"
    MIDDLE_TOM = "MiddleTom"
    HIGH_TOM = "HighTom"
    CRASH = "Crash"
    RIDE = "Ride"


class Level(StrEnum):
    """How much of what was heard is written."""

    LEAD_SHEET = "LeadSheet"  # the melody with words and chord symbols
    PIANO_REDUCTION = "PianoReduction"  # all parts but drums on two staves
    FULL_SCORE = "FullScore"  # every part


@dataclass(frozen=True, slots=True)
class HeardNote:
    """A note, in seconds. ``key`` is its MIDI key as it sounds."""

    start: float
    end: float
    key: int
    velocity: int = 80


@dataclass(frozen=True, slots=True)
class Hit:
    """A drum's hit, in seconds."""

    start: float
    drum: Drum
    velocity: int = 80


@dataclass(frozen=True, slots=True)
class Word:
    """A word, or a syllable of one, when it is sung."""

    text: str
    start: float
    end: float
    joined: bool = False  # it goes on with the word before: syllables of one word


@dataclass(frozen=True, slots=True)
class PartNotes:
    """What one instrument was heard to play. Drums have hits, all others notes."""

    name: str
    instrument: Instrument
    notes: Sequence[HeardNote] = ()
    hits: Sequence[Hit] = ()
    words: Sequence[Word] = ()  # sung to these notes


TIME_SIGNATURES: Final = (
    Time(2, 2), *(Time(beats, 4) for beats in range(2, 7)), *(Time(beats, 8) for beats in (3, 6, 9, 12)),
)  # fmt: skip
"""Time signatures that can be written."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user wants. Where something is given, it is not looked for."""

    level: Level = Level.FULL_SCORE
    title: str | None = None
    composer: str | None = None
    chord_symbols: bool = True
    quarters_per_minute: float | None = None
    time: Time | None = None
    key: Key | None = None

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a time whose beats are no quarters, halves or dotted quarters, such as 7/8."""
        if self.time is not None and self.time not in TIME_SIGNATURES:
            known = ", ".join(f"{each.beats}/{each.unit}" for each in TIME_SIGNATURES)
            raise ValueError(f"the time {self.time.beats}/{self.time.unit} cannot be written; {known} can")
