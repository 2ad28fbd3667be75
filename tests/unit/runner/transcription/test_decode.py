"""From likelihoods to notes: begins, ends, parts, voices."""

from __future__ import annotations

import numpy as np
import pytest

from audiojob_runner.transcription.decoding.belief import FEATURES, Belief, features
from audiojob_runner.transcription.decoding.decode import Found, Settings, decode
from audiojob_runner.transcription.decoding.expression import bends_of, velocities
from audiojob_runner.transcription.decoding.parts import Heard, Parts, Rules
from audiojob_runner.transcription.decoding.voices import limited
from audiojob_runner.transcription.network.model import Answer, Matrix

SETTINGS = Settings(onset=0.6, note=0.4, grace=3, least=3)


def likelihoods(frames: int, *notes: tuple[int, int, int]) -> tuple[Matrix, Matrix]:
    """Matrices with notes of (first, end, pitch)."""
    sounding, begins = np.zeros((frames, 88), np.float32), np.zeros((frames, 88), np.float32)
    for first, end, pitch in notes:
        sounding[first:end, pitch - 21] = 0.9
        begins[first, pitch - 21] = 0.8
    return sounding, begins


@pytest.mark.parametrize(
    ("notes", "found"),
    [
        pytest.param([(10, 30, 60)], [(10, 30, 60)], id="a note"),
        pytest.param([(10, 30, 60), (10, 40, 64)], [(10, 30, 60), (10, 40, 64)], id="a third"),
        pytest.param([(10, 40, 60), (25, 40, 60)], [(10, 25, 60), (25, 40, 60)], id="the same pitch again"),
        pytest.param([(10, 12, 60)], [], id="too short"),
        pytest.param([(10, 30, 20)], [], id="below the instrument"),
        pytest.param([(0, 30, 60)], [], id="a begin in the first frame is no maximum"),
        pytest.param([(10, 99, 60)], [(10, 99, 60)], id="to the end"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_notes_are_where_they_are_likely(notes: list[tuple[int, int, int]], found: list[tuple[int, int, int]]) -> None:
    sounding, begins = likelihoods(100, *[note for note in notes if note[2] >= 21])
    assert [(each.first, each.end, each.pitch) for each in decode(sounding, begins, SETTINGS)] == found


def test_a_faint_note_is_followed_only_where_it_would_be_too_short_else() -> None:
    sounding, begins = likelihoods(100, (10, 30, 60), (50, 70, 64))
    sounding[10:30] *= 0.3
    sounding[70:80, 64 - 21] = 0.3
    faint = Settings(onset=0.6, note=0.4, grace=3, least=3, faint=0.2)
    assert [(each.first, each.end) for each in decode(sounding, begins, faint)] == [(10, 30), (50, 70)]
    assert [each.first for each in decode(sounding, begins, Settings(onset=0.6, note=0.4, faint=0.4))] == [50]


def test_short_gaps_do_not_end_a_note_and_longer_ones_do() -> None:
    sounding, begins = likelihoods(100, (10, 50, 60))
    sounding[20:22] = 0
    assert decode(sounding, begins, SETTINGS)[0].end == 50
    sounding[30:33] = 0
    assert decode(sounding, begins, SETTINGS)[0].end == 30


def test_parts_give_the_notes_of_the_whole() -> None:
    chance = np.random.default_rng(3)
    notes, onsets = ((chance.random((900, 88)) ** 2).astype(np.float32) for _ in range(2))
    contours = np.zeros((900, 264), np.float32)
    belief = Belief((1.0,) + (0.0,) * 8, -0.8)
    parts, heard = Parts(Rules(SETTINGS, belief, 0.5, bends=False), part=100, ahead=80), list[Heard]()
    for first in range(0, 900, 37):
        rows = slice(first, first + 37)
        heard += parts.take(Answer(notes[rows], onsets[rows], contours[rows]), np.ones(len(notes[rows]), np.float32))
    heard += parts.rest()
    assert [each.note for each in heard] == decode(
        notes, onsets, SETTINGS, believed=lambda some: [note.onset >= 0.8 for note in some]
    )
    assert len(heard) > 500
    assert min(each.belief for each in heard) >= 0.5


def test_a_note_that_is_not_believed_ends_no_other() -> None:
    sounding, begins = likelihoods(100, (10, 60, 60), (30, 60, 60))
    (found,) = decode(sounding, begins, SETTINGS, believed=lambda some: [note.first != 30 for note in some])
    assert (found.first, found.end) == (10, 60)


def test_a_begin_is_believed_by_what_sounds_before_and_an_octave_off() -> None:
    sounding, begins = likelihoods(100, (20, 60, 60), (20, 60, 48), (5, 60, 84))
    found = dict(zip(FEATURES, features(sounding, begins, Found(20, 60, 60, 0.9, 0.8)), strict=True))
    assert found == pytest.approx(
        {
            "begin": 0.8, "after": 0.9, "soon after": 0.9, "before": 0, "begin again": 0, "octave below": 0.9,
            "begin above": 0, "octave above": 0, "length": 1.0,
        }
    )  # fmt: skip
    high = dict(zip(FEATURES, features(sounding, begins, Found(20, 40, 84, 0.9, 0.8)), strict=True))
    assert (high["before"], high["octave below"], high["length"]) == pytest.approx((0.9, 0, 0.5))
    assert Belief((1.0,) * 9, 0.0).of(sounding, begins, [Found(20, 60, 60, 0.9, 0.8)])[0] > 0.98
    assert len(Belief((1.0,) * 9, 0.0).of(sounding, begins, [])) == 0


def test_one_voice_ends_where_the_next_begins_and_of_two_at_once_the_stronger_is_kept() -> None:
    def note(first: int, end: int, pitch: int, strength: float) -> Heard:
        return Heard(Found(first, end, pitch, strength, 0.9), 0.9, 1.0, None)

    heard = [note(0, 50, 60, 0.5), note(20, 60, 62, 0.5), note(22, 90, 74, 0.3), note(100, 110, 64, 0.2)]
    kept = [(each.note.first, each.note.end, each.note.pitch) for each in limited(heard, 1)]
    assert kept == [(0, 20, 60), (20, 60, 62), (100, 110, 64)]
    assert limited(heard, 0) == heard
    assert len(limited(heard, 2)) == 3


def test_velocity_follows_the_level_and_bends_the_contour() -> None:
    assert velocities(np.array([1.0, 0.25, 0.0], np.float32)) == [104, 52, 20]
    contours = np.zeros((60, 264), np.float32)
    contours[:30, (60 - 21) * 3] = 0.8
    contours[30:, (60 - 21) * 3 + 1] = 0.8
    bends = bends_of(contours, Found(0, 60, 60, 0.9, 0.9))
    assert bends is not None
    assert (bends[0], bends[-1], len(bends)) == (0.0, 0.33, 14)
    assert bends_of(contours, Found(0, 25, 60, 0.9, 0.9)) is None
