"""A piano's notes are believed by all that surrounds them: partials that the network tells as notes are none."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest

from audiojob_runner.transcription.decoding import judgement
from audiojob_runner.transcription.decoding.decode import Found
from audiojob_runner.transcription.decoding.judgement import Judgement, Kept
from audiojob_runner.transcription.decoding.surroundings import SURROUNDINGS, Matrix, surroundings

PIANO = Kept("piano.json")
Note = tuple[int, int, int, float, float]  # first and end frame, pitch, how likely it begins, and sounds


def likelihoods(*notes: Note, frames: int = 120) -> tuple[Matrix, Matrix]:
    """As the network tells them: a begin is a peak of some frames, and sound fades."""
    sounding, begins = np.zeros((frames, 88), np.float32), np.zeros((frames, 88), np.float32)
    for first, end, pitch, begin, sound in notes:
        sounding[first:end, pitch - 21] = np.linspace(sound, sound * 0.7, end - first)
        begins[first - 2 : first + 3, pitch - 21] = np.array([0.3, 0.7, 1, 0.7, 0.3]) * begin
    return sounding, begins


def found(*notes: Note) -> list[Found]:
    return [Found(first, end, pitch, sound, begin) for first, end, pitch, begin, sound in notes]


def test_surroundings_are_those_of_its_own_pitch_and_of_its_partials() -> None:
    notes = ((40, 80, 60, 0.8, 0.9), (40, 70, 84, 0.6, 0.5), (10, 39, 60, 0.5, 0.9))
    (row,) = surroundings(*likelihoods(*notes), found(notes[0]))
    named = dict(zip(SURROUNDINGS, row.tolist(), strict=True))
    assert (named["begin"], named["begin +24"], named["begin -24"]) == pytest.approx((0.8, 0.6, 0))
    assert (named["sound +24"], named["sound +12"]) == pytest.approx((0.48, 0), abs=0.02)
    assert (named["before"], named["long before that"], named["length"]) == pytest.approx((0.65, 0, 1), abs=0.03)
    assert named["begins at once"] == pytest.approx((0.8 + 0.6) / 5)


@pytest.mark.parametrize("at", [0, 118], ids=["the first frame", "the last ones"])
@pytest.mark.parametrize("pitch", [21, 108])
def test_what_is_beyond_the_recording_and_the_keys_is_silent(at: int, pitch: int) -> None:
    row = surroundings(*likelihoods(), [Found(at, at + 2, pitch, 0.5, 0.5)])
    assert np.isfinite(row).all()
    assert row[0, : SURROUNDINGS.index("length")].max() == 0


def test_a_begin_is_believed_and_a_swell_of_what_sounds_already_is_not() -> None:
    note, swell = (60, 100, 60, 0.85, 0.9), (60, 70, 72, 0.42, 0.4)
    before = (20, 100, 72, 0.85, 0.9)
    believed = PIANO.of(*likelihoods(note, before, swell), found(note, swell))
    assert believed[0] > 0.9
    assert believed[1] < 0.4
    assert len(PIANO.of(*likelihoods(), [])) == 0


def test_weights_of_other_figures_are_refused(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("weights")
    (folder / "other.json").write_text(json.dumps({"surroundings": ["begin"], "hidden": [[1, 0]], "out": [1, 0]}))
    monkeypatch.setattr(resources, "files", lambda _: folder)
    with pytest.raises(ValueError, match=r"other\.json has weights of other figures .*: fit them again"):
        judgement.read("other.json")


def test_it_is_a_layer_of_units_and_a_share() -> None:
    made = Judgement(np.array([[1.0, 0.0, 0.5]]), np.array([2.0, -1.0]))
    (share,) = made.of_rows(np.array([[0.5, 9.0]], np.float32))
    assert share == pytest.approx(1 / (1 + np.exp(-(2 * np.tanh(1.0) - 1))))
