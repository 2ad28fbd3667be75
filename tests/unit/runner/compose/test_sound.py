"""Music that gives way to speech: how far, when, and back again."""

from __future__ import annotations

import numpy as np
import pytest

from audiojob_runner.compose.frame import SAMPLE_RATE
from audiojob_runner.compose.sound import CHANNELS, Cutter, envelope, levels, music_gain
from audiojob_types.documents.scenes import Music

QUIET, LOUD = np.float32(-90), np.float32(-20)


def spoken(seconds: float, *spans: tuple[float, float]) -> np.ndarray:
    found = np.full(round(seconds * 100), QUIET, np.float32)
    for start, end in spans:
        found[round(start * 100) : round(end * 100)] = LOUD
    return found


def test_music_is_down_before_speech_begins_and_comes_back_after_it() -> None:
    down = envelope(spoken(8, (2, 4)), Music(input="m", ducking_decibels=12))
    assert down[:170].max() == down[:170].min() == 0  # until a quarter of a second before
    assert 0 > down[187] > -12
    assert np.allclose(down[200:450], -12)  # and half a second longer
    assert -12 < down[480] < 0
    assert down[540:].min() == 0


def test_it_stays_down_in_a_short_pause_and_rises_in_a_long_one() -> None:
    down = envelope(spoken(12, (1, 2), (2.4, 3), (7, 8)), Music(input="m"))
    assert np.allclose(down[100:350], -12)
    assert down[500:600].max() == 0
    assert np.abs(np.diff(down)).max() < 0.6  # nothing jumps


@pytest.mark.parametrize(
    ("levels_", "music"),
    [(spoken(3), Music(input="m")), (spoken(3, (0, 3)), Music(input="m", ducking_decibels=0))],
    ids=["nobody speaks", "no ducking asked for"],
)
def test_music_keeps_its_level(levels_: np.ndarray, music: Music) -> None:
    assert not envelope(levels_, music).any()


def test_levels_are_decibels_of_full_scale() -> None:
    sine = np.sin(2 * np.pi * 1_000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    found = levels(np.stack([sine, sine], axis=1)[:-100])
    assert len(found) == 100
    assert np.allclose(found[:-1], -3.01, atol=0.01)
    assert levels(np.zeros((10, CHANNELS), np.float32)).tolist() == pytest.approx([-120.0])


def test_music_fades_at_the_end_and_does_not_jump() -> None:
    total = 4 * SAMPLE_RATE
    gain = music_gain(np.zeros(400, np.float32), Music(input="m", level_decibels=-6, fade_milliseconds=1_000), total)
    whole = gain(0, total)[:, 0]
    assert whole[0] == pytest.approx(10 ** (-6 / 20), rel=1e-4)
    assert whole[-SAMPLE_RATE // 2] == pytest.approx(whole[0] / 2, rel=1e-3)
    assert whole[-1] < 1e-4
    assert np.allclose(np.concatenate([gain(0, 70_000), gain(70_000, total)])[:, 0], whole)


def test_pieces_of_any_length_become_pieces_of_one() -> None:
    whole = np.arange(2_000, dtype=np.float32).reshape(-1, CHANNELS)
    cutter = Cutter(iter([whole[:7], whole[7:400], whole[400:401], whole[401:]]))
    assert np.array_equal(np.concatenate([cutter.take(size) for size in (5, 300, 1, 694)]), whole)
