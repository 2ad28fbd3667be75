"""Notes at their seconds become bars. Places are beats of half a second each, if nothing else is said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from random import Random

import pytest

from audiojob_runner.score.arrange import NothingToWriteError, arrange
from audiojob_runner.score.checks import faults
from audiojob_runner.score.heard import Drum, HeardNote, Hit, Instrument, Level, Options, PartNotes, Word
from audiojob_runner.score.model import ChordKind, Head, Key, Mode, Score, Time
from audiojob_runner.score.playing import sounding

Row = tuple[float, float, int]  # place and length in beats, key
SECONDS = 0.5
CHORDS = ((48, 52, 55), (41, 45, 48), (43, 53, 59), (48, 52, 55))
"""C, F, G seventh without its fifth, and C."""


def heard(rows: Iterable[Row], seconds: float = SECONDS, lead: float = 0.7) -> list[HeardNote]:
    return [
        HeardNote(lead + place * seconds, lead + (place + length * 0.95) * seconds, key) for place, length, key in rows
    ]


def waltz(beats: int = 3, melody: Sequence[float] = (1, 1, 1)) -> list[Row]:
    """Four bars twice: a chord on each first beat, and above it what the melody says."""
    rows = list[Row]()
    for number in range(8):
        chord = CHORDS[number % 4]
        rows += [(number * beats, beats, key) for key in chord]
        place = float(number * beats)
        for step, length in enumerate(melody):
            rows.append((place, length, 72 + (0, 2, 4, 5)[(number + step) % 4]))
            place += length
    return rows


def piano(rows: Iterable[Row], options: Options | None = None, seconds: float = SECONDS) -> Score:
    score = arrange([PartNotes("Piano", Instrument.PIANO, heard(rows, seconds))], options)
    assert faults(score) == []
    return score


def of_staff(score: Score, staff: int, bar: int) -> str:
    """A bar's first voice: keys and values."""
    events = score.parts[0].staves[staff].measures[bar].voices[0].events
    return " ".join(f"{'+'.join(str(note.key) for note in event.notes) or 'r'}:{event.duration}" for event in events)


def test_a_waltz() -> None:
    score = piano(waltz())
    assert (score.bars[0].time, score.key, len(score.bars)) == (Time(3, 4), Key(0, Mode.MAJOR), 8)
    assert score.tempos[0].quarters_per_minute == pytest.approx(120, rel=0.001)
    assert (of_staff(score, 0, 0), of_staff(score, 1, 0)) == ("72:1 74:1 76:1", "48+52+55:3")
    assert score.timeline.time(Fraction(3)) == pytest.approx(0.7 + 3 * SECONDS, abs=0.01)
    assert [(chord.root.step, chord.kind) for chord in score.parts[0].chords[:2]] == [
        ("C", ChordKind.MAJOR),
        ("F", ChordKind.MAJOR),
    ]


def test_a_march_with_a_pickup_triplets_and_ties() -> None:
    rows = [(place + 1, length, key) for place, length, key in waltz(4, (1.5, 0.5, 1 / 3, 1 / 3, 1 / 3, 1))]
    rows += [(beat + 1, 0.9, 52) for beat in range(32) if beat % 4]
    score = piano([(0, 1, 67), *rows], Options(quarters_per_minute=120))
    first = score.bars[0]
    assert (first.number, first.length, first.time) == (0, Fraction(1), Time(4, 4))
    assert of_staff(score, 0, 0) == "67:1"
    assert of_staff(score, 0, 1) == "72:3/2 74:1/2 76:1/3 77:1/3 72:1/3 74:1"


def test_six_eighths_are_dotted_beats() -> None:
    rows = [(place / 2, length / 2, key) for place, length, key in waltz(6, (2, 1, 2, 1))]
    score = piano(rows)
    assert score.bars[0].time == Time(6, 8)
    assert score.tempos[0].per_minute(score.bars[0].time) == pytest.approx(80, rel=0.001)


def test_swing_is_written_even_and_played_long_and_short() -> None:
    rows = waltz(4, (2 / 3, 1 / 3, 2 / 3, 1 / 3, 2 / 3, 1 / 3, 1))
    rows += [(beat, 0.9, 36) for beat in range(32)]
    score = piano(rows)
    assert score.swing
    assert [direction.text for direction in score.directions] == ["Swing"]
    assert of_staff(score, 0, 0) == "72:1/2 74:1/2 76:1/2 77:1/2 72:1/2 74:1/2 76:1"
    assert {note.start % 1 for note in sounding(score.parts[0], swing=True)} == {Fraction(0), Fraction(2, 3)}


@pytest.mark.parametrize("per_minute", [30.0, 300.0])
def test_a_tempo_that_is_given_is_taken_where_it_would_not_be_guessed(per_minute: float) -> None:
    score = piano(waltz(), Options(quarters_per_minute=per_minute, time=Time(3, 4)), 60 / per_minute)
    assert score.tempos[0].quarters_per_minute == pytest.approx(per_minute, rel=0.02)


def test_an_accelerando_is_followed() -> None:
    rows = waltz(4, (1, 0.5, 0.5, 1, 1)) + [(32 + place, length, key) for place, length, key in waltz(4, (1, 1, 1, 1))]
    warped = [
        HeardNote(at(place), at(place + length * 0.95), key) for place, length, key in rows for at in (_accelerating,)
    ]
    score = arrange([PartNotes("Piano", Instrument.PIANO, warped)])
    assert faults(score) == []
    assert not score.steady
    assert len([mark for mark in score.tempos if not mark.printed]) > 5
    assert "the tempo changes" in score.warnings[0]
    starts = {note.start % Fraction(1, 2) for note in sounding(score.parts[0])}
    assert starts == {Fraction(0)}


def _accelerating(place: float) -> float:
    return 0.7 + 0.7 * place - 0.0018 * place**2


def test_free_rhythm_is_written_in_plain_bars_and_says_so() -> None:
    random = Random(4)
    times = [sum(random.lognormvariate(-1, 0.6) for _ in range(number)) for number in range(1, 60)]
    score = piano([(time, 0.3, random.choice((60, 62, 64, 67, 69))) for time in sorted(times)], seconds=1.0)
    assert (score.steady, score.bars[0].time) == (False, Time(4, 4))
    assert [direction.text for direction in score.directions] == ["Free rhythm"]
    assert "no tempo was found" in score.warnings[0]


def test_no_bar_is_begun_for_what_only_fades() -> None:
    rows = waltz()
    last = max(place for place, _, _ in rows if place % 3 == 0)
    fading = [(place, length + 2.4 * (place == last and key == 48), key) for place, length, key in rows]
    assert (len(piano(rows).bars), len(piano(fading).bars)) == (8, 8)


def test_one_note_is_a_score() -> None:
    assert of_staff(piano([(0, 1, 60)]), 0, 0).startswith("60:")


def test_nothing_is_none() -> None:
    with pytest.raises(NothingToWriteError, match="nothing was heard"):
        arrange([PartNotes("Piano", Instrument.PIANO, [HeardNote(0, 1, 128)])])


def test_notes_that_midi_has_no_keys_for_are_left_out_and_said() -> None:
    notes = [*heard(waltz()), HeardNote(1, 2, 200), HeardNote(float("nan"), 2, 60)]
    score = arrange([PartNotes("Piano", Instrument.PIANO, notes)])
    assert score.warnings == ("Piano: 2 notes are beyond MIDI's keys or have no time: they are left out",)


def test_a_held_bass_is_a_voice_of_its_own() -> None:
    rows = [
        row
        for bar in range(8)
        for row in [(bar * 4, 4, 36), *((bar * 4 + beat, 1, 48 + 4 * (beat % 2)) for beat in (1, 2, 3))]
    ]
    rows += [(beat, 1, 72 + beat % 5) for beat in range(32)]
    left = piano(rows, Options(time=Time(4, 4))).parts[0].staves[1].measures[2]
    assert [[event.duration for event in voice.events] for voice in left.voices] == [[1, 1, 1, 1], [4]]
    assert left.voices[1].events[0].notes[0].key == 36


def test_transposing_instruments_read_other_notes_than_they_sound() -> None:
    rows = [row for row in waltz() if row[2] >= 72]
    score = arrange(
        [PartNotes("Clarinet", Instrument.CLARINET, heard(rows)), PartNotes("Bass", Instrument.BASS, heard(waltz()))]
    )
    assert faults(score) == []
    clarinet, bass = score.parts
    first = clarinet.staves[0].measures[0].voices[0].events[0].notes[0]
    assert (clarinet.key.fifths - score.key.fifths, first.key, first.pitch.key) == (2, 72, 74)
    assert (clarinet.chords, bass.chords[0].root.step) == ((), "C")  # chords stand where they are read as they sound
    assert bass.transposition is not None
    assert bass.transposition.keys == -12


@pytest.mark.parametrize(
    ("rows", "staves"),
    [
        pytest.param(waltz(), 2, id="a tune above chords"),
        pytest.param([row for row in waltz() if row[2] >= 72], 1, id="a tune"),
        pytest.param([(place, 1, 40 + 7 * (place % 6)) for place in range(24)], 1, id="one note at a time"),
    ],
)  # fmt: skip
def test_what_is_no_known_instrument_gets_two_staves_where_one_clef_does_not_show_it(
    rows: list[Row], staves: int
) -> None:
    score = arrange([PartNotes("Other", Instrument.OTHER, heard(rows))])
    assert (faults(score), len(score.parts[0].staves)) == ([], staves)


@pytest.mark.parametrize("time", [Time(7, 8), Time(5, 8), Time(7, 4), Time(1, 4)])
def test_times_that_cannot_be_written_are_refused(time: Time) -> None:
    with pytest.raises(ValueError, match=f"the time {time.beats}/{time.unit} cannot be written; 2/2, 2/4"):
        Options(time=time)


def test_drums_have_hands_above_and_feet_below() -> None:
    beats = [Hit(0.5 * beat, Drum.KICK if beat % 2 == 0 else Drum.SNARE) for beat in range(32)]
    hats = [Hit(0.25 * half, Drum.CLOSED_HAT) for half in range(64)]
    score = arrange([PartNotes("Drums", Instrument.DRUMS, hits=[*beats, *hats])], Options(time=Time(4, 4)))
    assert faults(score) == []
    bar = score.parts[0].staves[0].measures[1]
    assert [len(voice.events) for voice in bar.voices] == [8, 4]
    assert {note.head for event in bar.voices[0].events for note in event.notes} == {Head.CROSS, Head.NORMAL}
    assert score.parts[0].percussion


def test_words_stand_under_the_notes_that_they_are_sung_to() -> None:
    notes = heard([(place, 1, 60 + place % 5) for place in range(16)])
    sung = [
        ("Mu", 0, 1, False),
        ("sic", 1, 2, True),
        ("long", 2, 5, False),
        ("here", 5, 6, False),
        ("lost", 90, 91, False),
    ]
    words = [Word(text, 0.7 + a * SECONDS, 0.7 + b * SECONDS, joined) for text, a, b, joined in sung]
    score = arrange([PartNotes("Voice", Instrument.VOICE, notes, words=words)])
    events = [event for measure in score.parts[0].staves[0].measures for event in measure.voices[0].events]
    assert [(each.text, each.syllabic.value, each.extends) for event in events[:6] for each in event.lyrics] == [
        ("Mu", "begin", False),
        ("sic", "end", False),
        ("long", "single", True),
        ("here", "single", False),
    ]
    assert "Voice: 1 words are sung where no note was heard" in score.warnings


@pytest.mark.parametrize(
    ("level", "names"),
    [(Level.FULL_SCORE, ["Voice", "Piano"]), (Level.PIANO_REDUCTION, ["Piano"]), (Level.LEAD_SHEET, ["Voice"])],
)
def test_levels_of_detail(level: Level, names: list[str]) -> None:
    melody = [row for row in waltz() if row[2] >= 72]
    chords = [row for row in waltz() if row[2] < 72]
    parts = [
        PartNotes("Voice", Instrument.VOICE, heard(melody)),
        PartNotes("Piano", Instrument.PIANO, heard(chords)),
    ]
    score = arrange(parts, Options(level=level))
    assert [part.name for part in score.parts] == names
    assert faults(score) == []
    assert score.parts[0].chords


def test_a_reduction_of_chords_that_begin_from_above() -> None:
    notes = [
        HeardNote(place + late, place + late, 60 - key) for place in range(3) for key, late in ((0, 0.0), (7, 0.03))
    ]
    score = arrange([PartNotes("Piano", Instrument.PIANO, notes)], Options(Level.PIANO_REDUCTION))
    assert faults(score) == []


def test_many_parts() -> None:
    parts = [
        PartNotes(f"Flute {number}", Instrument.FLUTE, heard([(0, 1, 70 + number), (1, 1, 72)])) for number in range(20)
    ]
    assert len(arrange(parts).parts) == 20
