from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from audiojob_runner.score.checks import faults
from audiojob_runner.score.model import (
    TREBLE,
    Bar,
    Event,
    Key,
    Measure,
    Mode,
    Note,
    Part,
    Pitch,
    Place,
    Score,
    Staff,
    TempoMark,
    Time,
    Timeline,
    Tuplet,
    Value,
    Voice,
)
from audiojob_runner.score.playing import seconds_of, sounding, swung

G4 = Pitch("G", 0, 4)


def quarters(*events: Event) -> Measure:
    return Measure((Voice(events),))


def note(*, tied_on: bool = False, tied_from: bool = False) -> Note:
    return Note(G4, 67, tied_on=tied_on, tied_from=tied_from)


HALF = Event(Fraction(2), Value.HALF, notes=(note(),))
TIED_ON = replace(HALF, notes=(note(tied_on=True),))
TIED_FROM = replace(HALF, notes=(note(tied_from=True),))


def score_of(*measures: Measure) -> Score:
    time = Time(4, 4)
    bars = tuple(Bar(number + 1, Fraction(4 * number), time, Fraction(4)) for number in range(len(measures)))
    key = Key(0, Mode.MAJOR)
    part = Part("Flute", 73, (Staff(TREBLE, measures),), key)
    line = Timeline((Fraction(0), Fraction(4)), (1.0, 3.0))
    return Score(bars, (part,), key, (TempoMark(Fraction(0), 120.0), TempoMark(Fraction(4), 60.0)), line)


def test_a_tie_over_the_barline_sounds_as_one_note() -> None:
    score = score_of(quarters(HALF, TIED_ON), quarters(TIED_FROM, HALF))
    assert faults(score) == []
    assert [(int(each.start), int(each.end)) for each in sounding(score.parts[0])] == [(0, 2), (2, 6), (6, 8)]


TRIPLET = [
    Event(Fraction(1, 3), Value.EIGHTH, tuplet=Tuplet(3, 2, place), notes=(note(),))
    for place in (Place.START, Place.MIDDLE, Place.STOP)
]


@pytest.mark.parametrize(
    ("measures", "fault"),
    [
        ((quarters(HALF),), "bar 1, voice 1 is 2 of 4 long"),
        ((quarters(HALF, TIED_ON),), "a tie leads nowhere"),
        ((quarters(TIED_FROM, HALF),), "ties of voice 1 do not match: [] on, [67] from"),
        ((quarters(replace(HALF, dots=1), HALF),), "bar 1: half with 1 dots stands for 2"),
        ((quarters(HALF, *TRIPLET[:2], Event(Fraction(1), Value.QUARTER)),), "bar 1: a tuplet is left open"),
        ((quarters(HALF, *TRIPLET[1:], Event(Fraction(1), Value.QUARTER)),), "a tuplet's beginning is not where"),
        ((quarters(replace(HALF, notes=(Note(G4, 68),)), HALF),), "1 notes are written otherwise than they sound"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_is_wrong_with_a_score_is_named(measures: tuple[Measure, ...], fault: str) -> None:
    assert any(fault in each for each in faults(score_of(*measures)))


def test_a_triplet_fills_its_beat() -> None:
    quarter = Event(Fraction(1), Value.QUARTER)
    assert faults(score_of(quarters(HALF, *TRIPLET, quarter))) == []


@pytest.mark.parametrize(("place", "played"), [("0", "0"), ("1/2", "2/3"), ("1", "1"), ("5/4", "4/3"), ("7/4", "11/6")])
def test_swing_delays_what_is_off_the_beat(place: str, played: str) -> None:
    assert swung(Fraction(place)) == Fraction(played)


def test_places_and_seconds_of_the_recording_go_both_ways_and_beyond_its_ends() -> None:
    line = score_of(quarters(HALF, HALF)).timeline
    assert [line.place(at) for at in (0.5, 1.0, 2.0, 5.0)] == [-1.0, 0.0, 2.0, 8.0]
    assert [line.time(at) for at in (-1, 0, 2, 8)] == [0.5, 1.0, 2.0, 5.0]


def test_what_is_played_follows_each_tempo() -> None:
    score = score_of(quarters(HALF, HALF), quarters(HALF, HALF))
    assert [seconds_of(score, Fraction(place)) for place in (0, 4, 8)] == [0.0, 2.0, 6.0]


def test_notes_of_one_key_in_two_voices_are_kept_apart() -> None:
    second = Voice((TIED_ON, TIED_FROM), number=2)
    score = score_of(Measure((Voice((HALF, HALF)), second)))
    assert faults(score) == []
    assert [(int(each.start), int(each.end)) for each in sounding(score.parts[0])] == [(0, 2), (0, 4), (2, 4)]
