"""A score as it is written: nothing is left to decide for who draws it, writes it down or plays it.

Places and durations are counted in quarters, as fractions. Place 0 is where the first bar begins, which may be a
pickup. What always holds is said by :mod:`audiojob_runner.score.checks`:

- all staves of all parts have one measure for each bar, and the events of each voice fill it exactly;
- an event is one sign: a note or chord that needs two signs is two events with ties;
- ``tied_on`` of a note is matched by ``tied_from`` of the same key in the voice's next event, also over a barline;
- a tuplet's events begin with START and end with STOP within one bar, and fill whole notated values together.

Beams are not in it: they follow from the time signature and the values.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Final, Literal

Step = Literal["C", "D", "E", "F", "G", "A", "B"]
STEPS: Final[tuple[Step, ...]] = ("C", "D", "E", "F", "G", "A", "B")
KEYS_OF_STEPS: Final[dict[Step, int]] = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


class Value(StrEnum):
    """A notated value, named as MusicXML names it."""

    WHOLE = "whole"
    HALF = "half"
    QUARTER = "quarter"
    EIGHTH = "eighth"
    SIXTEENTH = "16th"
    THIRTY_SECOND = "32nd"
    SIXTY_FOURTH = "64th"

    @property
    def quarters(self) -> Fraction:
        """How long it is without dots and tuplets."""
        return Fraction(4, 2 ** list(Value).index(self))


class Mode(StrEnum):
    MAJOR = "major"
    MINOR = "minor"


class Place(StrEnum):
    """Where in a tuplet, or in a word's syllables, something is."""

    START = "start"
    MIDDLE = "middle"
    STOP = "stop"


class Syllabic(StrEnum):
    """What part of a word a syllable is, named as MusicXML names it."""

    SINGLE = "single"
    BEGIN = "begin"
    MIDDLE = "middle"
    END = "end"


class Head(StrEnum):
    """A note's head, named as MusicXML names it."""

    NORMAL = "normal"
    CROSS = "x"
    CIRCLED_CROSS = "circle-x"
    DIAMOND = "diamond"


class ChordKind(StrEnum):
    """A chord symbol's kind, named as MusicXML names it."""

    MAJOR = "major"
    MINOR = "minor"
    DIMINISHED = "diminished"
    AUGMENTED = "augmented"
    DOMINANT = "dominant"
    MAJOR_SEVENTH = "major-seventh"
    MINOR_SEVENTH = "minor-seventh"
    HALF_DIMINISHED = "half-diminished"
    DIMINISHED_SEVENTH = "diminished-seventh"
    SUSPENDED_FOURTH = "suspended-fourth"


@dataclass(frozen=True, slots=True)
class Pitch:
    """A pitch by its name. C4 is middle C; ``alter`` is -2 to 2."""

    step: Step
    alter: int
    octave: int

    @property
    def key(self) -> int:
        """Its MIDI key: C4 is 60."""
        return 12 * (self.octave + 1) + KEYS_OF_STEPS[self.step] + self.alter


@dataclass(frozen=True, slots=True)
class Key:
    """A key signature: sharps are positive, flats negative."""

    fifths: int
    mode: Mode


@dataclass(frozen=True, slots=True)
class Time:
    """A time signature."""

    beats: int
    unit: int  # 4: quarters, 8: eighths

    @property
    def quarters(self) -> Fraction:
        """How long a full bar is."""
        return Fraction(4 * self.beats, self.unit)

    @property
    def compound(self) -> bool:
        """Whether three eighths make a beat."""
        return self.unit == 8 and self.beats % 3 == 0

    @property
    def beat(self) -> Fraction:
        """How long a counted beat is, in quarters: a dotted quarter where it is compound."""
        return Fraction(3, 2) if self.compound else Fraction(4, self.unit)


@dataclass(frozen=True, slots=True)
class Clef:
    """A clef by sign and line; ``octaves`` is +1 or -1 where a small 8 stands above or below it."""

    sign: Literal["G", "F", "C", "percussion"]
    line: int
    octaves: int = 0


TREBLE: Final = Clef("G", 2)
TREBLE_OCTAVE_LOWER: Final = Clef("G", 2, -1)
ALTO: Final = Clef("C", 3)
TENOR: Final = Clef("C", 4)
BASS: Final = Clef("F", 4)
PERCUSSION: Final = Clef("percussion", 2)


@dataclass(frozen=True, slots=True)
class Transposition:
    """From what is written to what sounds, as MusicXML's ``transpose`` has it: a clarinet in B flat is (-1, -2)."""

    diatonic: int
    chromatic: int
    octaves: int = 0

    @property
    def keys(self) -> int:
        """MIDI keys from written to sounding."""
        return self.chromatic + 12 * self.octaves


@dataclass(frozen=True, slots=True)
class Tuplet:
    """``actual`` in the time of ``normal``, and where in the group the event is."""

    actual: int
    normal: int
    place: Place


@dataclass(frozen=True, slots=True)
class Lyric:
    """A syllable under a note."""

    text: str
    syllabic: Syllabic = Syllabic.SINGLE
    extends: bool = False  # the notes after it are sung on it: a line after the word
    verse: int = 1


@dataclass(frozen=True, slots=True)
class Note:
    """A note's head. In percussion staves ``pitch`` is only where it stands."""

    pitch: Pitch  # as written, so transposed for a transposing instrument
    key: int  # as it sounds: the MIDI key, a drum's of General MIDI in percussion
    velocity: int = 80
    tied_on: bool = False  # to the voice's next event
    tied_from: bool = False  # the event before
    head: Head = Head.NORMAL


@dataclass(frozen=True, slots=True)
class Event:
    """One sign of a voice: a note, a chord, or without notes a rest."""

    duration: Fraction
    value: Value
    dots: int = 0
    tuplet: Tuplet | None = None
    notes: tuple[Note, ...] = ()  # from low to high
    lyrics: tuple[Lyric, ...] = ()
    whole_bar: bool = False  # a rest of the whole bar, whose sign is a whole rest however long the bar is
    hidden: bool = False  # a rest that only fills a second voice and is not drawn


@dataclass(frozen=True, slots=True)
class Voice:
    events: tuple[Event, ...]
    number: int = 1  # within the staff; 1 has stems up where there are two


@dataclass(frozen=True, slots=True)
class Measure:
    """A bar of one staff."""

    voices: tuple[Voice, ...]
    clef: Clef | None = None  # the new one, where it changes at the bar's beginning


@dataclass(frozen=True, slots=True)
class Staff:
    clef: Clef
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class ChordSymbol:
    """A chord's name above the staff, as written in its part."""

    place: Fraction
    root: Pitch  # its octave means nothing
    kind: ChordKind
    bass: Pitch | None = None  # where it is not the root


@dataclass(frozen=True, slots=True)
class Part:
    """An instrument's part: one staff, or two for keyboards."""

    name: str
    program: int  # General MIDI, from 0; of no meaning in percussion
    staves: tuple[Staff, ...]
    key: Key  # as written, so transposed for a transposing instrument
    transposition: Transposition | None = None
    percussion: bool = False
    chords: tuple[ChordSymbol, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the whole score. The first one has the number 0 where it is a pickup, which is shorter than the rest."""

    number: int
    place: Fraction
    time: Time
    length: Fraction

    @property
    def pickup(self) -> bool:
        """Whether it is shorter than its time signature says."""
        return self.length != self.time.quarters


@dataclass(frozen=True, slots=True)
class TempoMark:
    """How fast it goes from a place on."""

    place: Fraction
    quarters_per_minute: float
    printed: bool = True  # others are only played: a tempo that changes from bar to bar

    def per_minute(self, time: Time) -> float:
        """Counted beats a minute: of dotted quarters where the time signature is compound."""
        return self.quarters_per_minute / float(time.beat)


@dataclass(frozen=True, slots=True)
class Direction:
    """Words above the first staff, as "Swing" or "Free rhythm"."""

    place: Fraction
    text: str


@dataclass(frozen=True)
class Timeline:
    """Which second of what was heard is which place of the score: straight lines between knots, and on beyond them."""

    places: tuple[Fraction, ...]  # at least two, ascending
    seconds: tuple[float, ...]  # ascending

    @cached_property
    def _quarters(self) -> tuple[float, ...]:
        return tuple(map(float, self.places))

    def place(self, seconds: float) -> float:
        """The place that was heard at a time."""
        return _straight(self.seconds, self._quarters, seconds)

    def time(self, place: Fraction | float) -> float:
        """When, in seconds of the recording, a place was heard."""
        return _straight(self._quarters, self.seconds, float(place))


def _straight(across: tuple[float, ...], up: tuple[float, ...], at: float) -> float:
    left = min(max(bisect_right(across, at) - 1, 0), len(across) - 2)
    slope = (up[left + 1] - up[left]) / (across[left + 1] - across[left])
    return up[left] + slope * (at - across[left])


@dataclass(frozen=True)
class Score:
    """All that is written. It is played by its tempo marks; ``timeline`` says where in the recording a place is."""

    bars: tuple[Bar, ...]
    parts: tuple[Part, ...]
    key: Key  # as it sounds
    tempos: tuple[TempoMark, ...]  # the first is at place 0
    timeline: Timeline
    title: str | None = None
    composer: str | None = None
    steady: bool = True  # one tempo holds throughout
    swing: bool = False  # pairs of eighths are played long and short, as the direction at its beginning says
    directions: tuple[Direction, ...] = ()
    warnings: tuple[str, ...] = field(default=())  # what a user should know of how sure all this is

    @property
    def length(self) -> Fraction:
        """Where the last bar ends."""
        return self.bars[-1].place + self.bars[-1].length
