"""Which beat is taken of several that fit, and what speaks for each."""

from __future__ import annotations

import numpy as np
import pytest

from audiojob_runner.score.arrange import arrange
from audiojob_runner.score.heard import HeardNote, Instrument, PartNotes
from audiojob_runner.score.model import Time
from audiojob_runner.score.rhythm.evidence import BY_DIVISION, COMMON, candidates
from audiojob_runner.score.rhythm.onsets import Groups

CHORDS = ((48, 52, 55), (41, 45, 48), (43, 53, 59), (48, 52, 55))
Left = tuple[tuple[float, float, tuple[int, ...]], ...]


def tune(quarters: int, melody: tuple[float, ...], left: Left, seconds: float) -> list[HeardNote]:
    """Eight bars of a melody's lengths in quarters; ``left``: place, length and notes of each bar's chord."""
    rows = list[tuple[float, float, int]]()
    for bar in range(8):
        rows += [(bar * quarters + at, long, CHORDS[bar % 4][tone]) for at, long, tones in left for tone in tones]
        place = float(bar * quarters)
        for step, length in enumerate(melody):
            rows.append((place, length, 72 + (0, 2, 4, 5)[(bar + step) % 4]))
            place += length
    return [HeardNote(0.7 + at * seconds, 0.7 + (at + long * 0.95) * seconds, key) for at, long, key in sorted(rows)]


@pytest.mark.parametrize(
    ("quarters", "melody", "left", "tempo", "time"),
    [
        pytest.param(
            3, (0.75, 0.25, 0.5, 1, 0.5), ((0, 1.5, (0,)), (1.5, 1.5, (1, 2))), 105, Time(6, 8), id="sicilian"
        ),
        pytest.param(3, (1, 0.5, 0.5, 0.5, 0.5), ((0, 3, (0, 1, 2)),), 120, Time(6, 8), id="held chords"),
        pytest.param(3, (1, 1, 0.5, 0.5), ((0, 1, (0,)), (1, 1, (1, 2)), (2, 1, (1, 2))), 144, Time(3, 4), id="waltz"),
    ],
)  # fmt: skip
def test_the_beat_of(quarters: int, melody: tuple[float, ...], left: Left, tempo: float, time: Time) -> None:
    score = arrange([PartNotes("Piano", Instrument.PIANO, tune(quarters, melody, left, 60 / tempo))])
    assert score.bars[0].time == time
    assert score.tempos[0].quarters_per_minute == pytest.approx(tempo, rel=0.01)


@pytest.mark.parametrize("seconds", [2.0, 0.6, 0.3, 0.2], ids=["30 a minute", "100", "200", "300"])
def test_even_notes_are_divisions_or_multiples_of_the_beat_however_fast_they_are(seconds: float) -> None:
    keys = (60, 62, 64, 65, 67, 65, 64, 62)
    notes = [HeardNote(0.5 + at * seconds, 0.5 + (at + 0.9) * seconds, keys[at % 8]) for at in range(48)]
    score = arrange([PartNotes("Piano", Instrument.PIANO, notes)])
    tempo = score.tempos[0].quarters_per_minute
    assert any(tempo * ratio == pytest.approx(60 / seconds, rel=0.01) for ratio in (2 / 3, 1, 2, 3))


def test_what_speaks_for_a_beat_is_where_in_it_things_begin() -> None:
    places = np.arange(16) / 2  # halves of beats: strong and low ones on the beat
    groups = Groups(places, np.where(places % 1 == 0, 2.0, 1.0), np.where(places % 1 == 0, 40, 70))
    found = {(each.twelfth, each.division): each for each in candidates(groups, places, 85.0)}
    assert len(found) == 24
    on = dict(zip(COMMON + BY_DIVISION[2], found[0, 2].figures, strict=True))
    assert on["loud on it"] == pytest.approx(1 / 3)
    assert (on["empty"], on["tempo"], on["thirds"], on["elsewhere"]) == pytest.approx((0, 0, 0, 0), abs=1e-3)
    assert (on["begins on it"], on["halves"]) == pytest.approx((2**0.5 / (1 + 2**0.5), 1 / (1 + 2**0.5)))
    late = dict(zip(COMMON + BY_DIVISION[2], found[6, 2].figures, strict=True))
    assert (late["loud on it"], late["halves"]) == pytest.approx((-1 / 3, 2**0.5 / (1 + 2**0.5)))
    assert max(found.values(), key=lambda each: each.score(85.0)) == found[0, 2]


def test_a_tempo_that_was_told_outweighs_what_speaks_for_another() -> None:
    places = np.arange(16) / 2
    groups = Groups(places, np.ones(16), np.full(16, 60))
    scores = {
        tempo: max(each.score(tempo, {2: 170.0, 3: 113.0}) for each in candidates(groups, places * tempo / 85, tempo))
        for tempo in (42.5, 85.0, 170.0)
    }
    assert max(scores, key=lambda each: scores[each]) == 170.0
