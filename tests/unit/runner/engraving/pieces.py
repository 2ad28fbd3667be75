"""Scores written by hand, small but with every sign that a score can have."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from audiojob_runner.score.model import (
    BASS,
    PERCUSSION,
    TREBLE,
    Bar,
    ChordKind,
    ChordSymbol,
    Direction,
    Event,
    Head,
    Key,
    Lyric,
    Measure,
    Mode,
    Note,
    Part,
    Pitch,
    Place,
    Score,
    Staff,
    Syllabic,
    TempoMark,
    Time,
    Timeline,
    Transposition,
    Tuplet,
    Value,
    Voice,
)

FOUR_FOUR = Time(4, 4)
C_MAJOR = Key(0, Mode.MAJOR)
_ALTERS = {"#": 1, "b": -1, "n": 0}


def pitch(name: str) -> Pitch:
    """``C4``, ``F#5``, ``Bb3``."""
    return Pitch(name[0], _ALTERS.get(name[1], 0), int(name[-1]))  # type: ignore[arg-type]


def note(name: str, moved: int = 0, tied_on: bool = False, tied_from: bool = False) -> Note:
    """A note as written; it sounds ``moved`` keys higher."""
    written = pitch(name)
    return Note(written, written.key + moved, tied_on=tied_on, tied_from=tied_from)


def event(value: Value, *names: str, dots: int = 0, tuplet: Tuplet | None = None, moved: int = 0) -> Event:
    """A note, a chord or a rest. ``C4~`` is tied on, ``~C4`` tied from the one before."""
    length = value.quarters * (2 - Fraction(1, 2**dots))
    if tuplet is not None:
        length = length * tuplet.normal / tuplet.actual
    notes = tuple(
        note(name.strip("~"), moved, tied_on=name.endswith("~"), tied_from=name.startswith("~")) for name in names
    )
    return Event(length, value, dots, tuplet, notes)


def bars(count: int, time: Time = FOUR_FOUR, pickup: Fraction | None = None) -> tuple[Bar, ...]:
    found = []
    place = Fraction(0)
    for number in range(count):
        length = pickup if pickup and number == 0 else time.quarters
        found.append(Bar(number if pickup else number + 1, place, time, length))
        place += length
    return tuple(found)


def measures(*voices: Sequence[Event]) -> tuple[Measure, ...]:
    """One voice each."""
    return tuple(Measure((Voice(tuple(events)),)) for events in voices)


def score(parts: Sequence[Part], in_bars: Sequence[Bar], key: Key = C_MAJOR, **others: object) -> Score:
    known: dict[str, object] = {"tempos": (TempoMark(Fraction(0), 85.0),), "title": "A piece", "composer": "Nobody"}
    timeline = Timeline((Fraction(0), Fraction(4)), (0.0, 4 * 60 / 85))
    return Score(tuple(in_bars), tuple(parts), key, timeline=timeline, **{**known, **others})  # type: ignore[arg-type]


def _triplet(*names: str) -> list[Event]:
    places = (Place.START, Place.MIDDLE, Place.STOP)
    return [event(Value.EIGHTH, name, tuplet=Tuplet(3, 2, place)) for name, place in zip(names, places, strict=True)]


def _whole_rest(time: Time = FOUR_FOUR) -> Event:
    return Event(time.quarters, Value.WHOLE, whole_bar=True)


def band() -> Score:
    """Piano in two staves and two voices, a clarinet with words and chords, drums: three bars after a pickup."""
    q, e, h, w = Value.QUARTER, Value.EIGHTH, Value.HALF, Value.WHOLE
    in_bars = bars(4, pickup=Fraction(1))
    key = Key(-3, Mode.MINOR)
    right = (
        *measures([event(e, "C5"), event(e, "D5")]),
        Measure(
            (
                Voice((*_triplet("Eb5", "D5", "C5"), event(q, "B4"), event(h, "C5"))),
                Voice((event(h, "G4"), event(q, "F4"), event(q)), 2),
            )
        ),
        *measures(
            [event(e, "C5", "Eb5", "G5"), event(e, "B4"), event(e, "C5"), event(e, "D5"), event(h, "Eb5~", "G5~")],
            [event(w, "~Eb5", "~G5")],
        ),
    )
    left = measures([event(q)], [event(h, "C3"), event(h, "G2")], [event(w, "C2~", "C3~")], [event(w, "~C2", "~C3")])
    piano = Part("Piano", 0, (Staff(TREBLE, right), Staff(BASS, left)), key)
    return score(
        [_clarinet(), piano, _drums()], in_bars, key, directions=(Direction(Fraction(0), "Swing"),),
        tempos=(TempoMark(Fraction(0), 85.3), TempoMark(Fraction(5), 90.0, printed=False)),
    )  # fmt: skip


def _clarinet() -> Part:
    q, e, s, h = Value.QUARTER, Value.EIGHTH, Value.SIXTEENTH, Value.HALF
    sung = [
        Event(Fraction(1), q, notes=(note("D5", -2),), lyrics=(Lyric("Pa", Syllabic.BEGIN),)),
        Event(Fraction(1), q, notes=(note("Eb5", -2),), lyrics=(Lyric("per", Syllabic.END, extends=True),)),
        event(h, "F5", moved=-2),
    ]
    played = measures(
        [event(q, "A4", moved=-2)],
        sung,
        [event(e, "G5", dots=1, moved=-2), event(s, "A5", moved=-2), event(h, "B4", moved=-2), event(q)],
        [_whole_rest()],
    )
    chords = (
        ChordSymbol(Fraction(1), pitch("D4"), ChordKind.MINOR),
        ChordSymbol(Fraction(3), pitch("F#4"), ChordKind.HALF_DIMINISHED, pitch("C4")),
    )
    moved = Transposition(-1, -2)
    return Part("Clarinet", 71, (Staff(TREBLE, played),), Key(-1, Mode.MINOR), moved, chords=chords)


def _drums() -> Part:
    hat = Note(pitch("G5"), 42, head=Head.CROSS)
    kick, snare = Note(pitch("F4"), 36), Note(pitch("C5"), 38)
    eighth = Fraction(1, 2)
    beat = [
        Event(eighth, Value.EIGHTH, notes=(kick, hat)),
        Event(eighth, Value.EIGHTH, notes=(hat,)),
        Event(eighth, Value.EIGHTH, notes=(snare, hat)),
        Event(eighth, Value.EIGHTH, notes=(hat,)),
    ]
    played = measures([event(Value.QUARTER)], beat * 2, beat * 2, beat * 2)
    return Part("Drums", 0, (Staff(PERCUSSION, played),), Key(0, Mode.MAJOR), percussion=True)
