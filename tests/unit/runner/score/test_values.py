from __future__ import annotations

import pytest

from audiojob_runner.score.harmony.key import key_of
from audiojob_runner.score.harmony.spelling import Speller
from audiojob_runner.score.heard import HeardNote
from audiojob_runner.score.model import BASS, TREBLE, Key, Mode, Pitch, Time, Value
from audiojob_runner.score.writing.clefs import clefs_of
from audiojob_runner.score.writing.staff import written_key
from audiojob_runner.score.writing.values import in_tuplet, split

LETTERS = {Value.WHOLE: "w", Value.HALF: "h", Value.QUARTER: "q", Value.EIGHTH: "e", Value.SIXTEENTH: "s"}
FOUR, THREE, SIX_EIGHT = Time(4, 4), Time(3, 4), Time(6, 8)


@pytest.mark.parametrize(
    ("start", "end", "time", "rest", "signs"),
    [
        (0, 96, FOUR, False, "w"),
        (0, 72, FOUR, False, "h."),
        (24, 72, FOUR, False, "h"),
        (12, 36, FOUR, False, "q"),
        (36, 60, FOUR, False, "e e"),
        (24, 60, FOUR, False, "q e"),
        (0, 84, FOUR, False, "h q."),
        (24, 72, FOUR, True, "q q"),
        (12, 48, FOUR, True, "e q"),
        (12, 60, THREE, False, "e q."),
        (0, 48, SIX_EIGHT, False, "q. e"),
        (24, 48, SIX_EIGHT, False, "e e"),
        (0, 36, SIX_EIGHT, True, "q."),
    ],
    ids=[
        "a whole bar of four",
        "three beats from the first one",
        "a half on the second beat",
        "a quarter between beats",
        "over the middle of the bar it is split",
        "over the middle and a half more",
        "what no sign stands for",
        "rests show the middle of the bar",
        "rests show beats",
        "over two beats of three",
        "over the middle of six eighths",
        "a quarter over the middle of six eighths",
        "a beat's rest of six eighths is dotted",
    ],
)
def test_a_stretch_of_a_bar_is_written_so_that_beats_are_seen(
    start: int, end: int, time: Time, rest: bool, signs: str
) -> None:
    assert " ".join(LETTERS[sign.value] + "." * sign.dots for sign in split(start, end, time, rest=rest)) == signs


def test_a_beat_of_three_and_of_six() -> None:
    triplet = [sign for start, end in ((24, 40), (40, 48)) for sign in in_tuplet(start, end, 24, sextuplet=False)]
    assert [(LETTERS[sign.value], sign.tuplet.place) for sign in triplet if sign.tuplet] == [
        ("q", "start"),
        ("e", "stop"),
    ]
    six = [sign for start, end in ((0, 4), (4, 20), (20, 24)) for sign in in_tuplet(start, end, 0, sextuplet=True)]
    assert [LETTERS[sign.value] for sign in six] == ["s", "s", "e", "s", "s"]


@pytest.mark.parametrize(
    ("key", "midi", "following", "pitch"),
    [
        (Key(-3, Mode.MINOR), 71, None, Pitch("B", 0, 4)),
        (Key(-3, Mode.MINOR), 68, None, Pitch("A", -1, 4)),
        (Key(6, Mode.MAJOR), 65, None, Pitch("E", 1, 4)),
        (Key(0, Mode.MAJOR), 66, 67, Pitch("F", 1, 4)),
        (Key(0, Mode.MAJOR), 66, 65, Pitch("G", -1, 4)),
        (Key(0, Mode.MAJOR), 70, 71, Pitch("A", 1, 4)),
        (Key(-6, Mode.MAJOR), 71, None, Pitch("C", -1, 5)),
    ],
    ids=[
        "the seventh of C minor is raised",
        "its sixth is flat",
        "F sharp major has an E sharp",
        "a semitone that leads up is sharp",
        "one that leads down is flat",
        "also where the key would have a flat",
        "C flat is of the octave above",
    ],
)
def test_pitches_are_named_by_the_key(key: Key, midi: int, following: int | None, pitch: Pitch) -> None:
    assert Speller(key).pitch(midi, following) == pitch
    assert pitch.key == midi


@pytest.mark.parametrize(
    ("fifths", "down", "written"),
    [(0, -2, 2), (0, -7, 1), (0, -9, 3), (6, -2, -4), (-5, -12, -5)],
    ids=["in B flat", "in F", "in E flat", "with more than six signs it is the other way round", "an octave lower"],
)
def test_the_key_signature_of_a_transposing_instrument(fifths: int, down: int, written: int) -> None:
    assert written_key(Key(fifths, Mode.MAJOR), down).fifths == written


def test_a_clef_changes_for_some_bars_only_and_not_for_a_note() -> None:
    low, high = [Pitch("G", 0, 2)] * 4, [Pitch("C", 0, 5)] * 4
    assert clefs_of([high, high, [low[0]], high], (TREBLE, BASS)) == [TREBLE] * 4
    assert (
        clefs_of([high, high, low, low, low, high, high, high], (TREBLE, BASS))
        == [TREBLE] * 2 + [BASS] * 3 + [TREBLE] * 3
    )


WALTZ = "67 64 64 65 62 62 60 62 64 65 67 67 69 67 65 64 65 67 62 62 62 60 60 60"


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([], id="the accompaniment's last chord has no root"),
        pytest.param([HeardNote(26.0, 26.2, 55, 20)], id="an echo after the last note"),
    ],
)
def test_how_a_piece_begins_and_ends_does_not_outweigh_its_scale(after: list[HeardNote]) -> None:
    tune = [HeardNote(at, at + 1, int(key)) for at, key in enumerate(WALTZ.split())]
    low = [(at, key) for at in range(len(tune)) for key in ((52, 55) if at % 3 else (48,)) if at]
    notes = sorted([*tune, *(HeardNote(at, at + 1, key) for at, key in low)], key=lambda note: note.start)
    assert key_of([*notes, *after]) == Key(0, Mode.MAJOR)
