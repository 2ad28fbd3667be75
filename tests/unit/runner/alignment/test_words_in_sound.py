"""The pure parts of Align: what is said, where it is in a recording, what a spread is, which lines are sought."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from audiojob_runner.alignment.activity import Activity
from audiojob_runner.alignment.features import frames_of
from audiojob_runner.alignment.listen import tried_gaps
from audiojob_runner.alignment.plan import gaps_of
from audiojob_runner.alignment.search import Run, runs_of
from audiojob_runner.alignment.voice import batches, parts, speakable, voice_of
from audiojob_runner.alignment.warp import find_words
from audiojob_types.documents.lyrics import Line, Word

CHANCE = np.random.default_rng(1)
ONE, TWO, THREE = (CHANCE.standard_normal((length, 14)).astype(np.float32) for length in (20, 30, 15))
PAUSE = np.concatenate([np.zeros((25, 13)), np.full((25, 1), -4.0)], axis=1).astype(np.float32)


def test_words_are_found_between_pauses_however_long_they_are_held() -> None:
    held = np.repeat(TWO, 2, axis=0)
    found = find_words(np.concatenate([PAUSE, ONE, held, PAUSE, THREE, PAUSE]), [ONE, TWO, THREE])
    assert found is not None
    assert [round(word.start, -1) for word in found.words] == [20, 40, 130]
    assert [word.start for word in found.words] == pytest.approx([25, 45, 130], abs=2)
    assert found.margin > 0.3


@pytest.mark.parametrize("deviation", [pytest.param(0.0, id="digital"), pytest.param(0.3, id="with some noise")])
def test_words_before_a_long_silence_are_found_as_those_before_a_short_one(deviation: float) -> None:
    spoken = [np.concatenate([each[:, :13], each[:, 13:] * 0.2 - 1], axis=1) for each in (ONE, TWO, THREE)]
    silence = np.concatenate([np.zeros((700, 13)), np.full((700, 1), -6.0)], axis=1)
    silence += deviation * CHANCE.standard_normal(silence.shape)
    found = find_words(np.concatenate([*spoken, silence]).astype(np.float32), spoken)
    assert found is not None
    assert [word.start for word in found.words] == pytest.approx([0, 20, 50], abs=2)
    assert found.words[-1].end == pytest.approx(65, abs=2)
    assert found.margin > 0.3


def test_words_that_are_too_many_for_the_recording_are_not_found() -> None:
    assert find_words(ONE, [TWO] * 10) is None
    assert find_words(ONE, []) is None


def test_words_that_make_no_sound_take_no_time() -> None:
    match = find_words(np.concatenate([ONE, TWO]), [ONE, TWO])
    assert match is not None
    words = match.with_silent([True, False, True, False]).words
    assert [(word.start == word.end) for word in words] == [True, False, True, False]
    assert [word.start for word in words] == sorted(word.start for word in words)


def test_the_same_sound_has_the_same_frames_at_other_rates() -> None:
    seconds = [np.arange(rate) / rate for rate in (16_000, 22_050)]
    first, second = (
        frames_of(np.sin(2 * np.pi * 700 * each).astype(np.float32), len(each)).mean(axis=0) for each in seconds
    )
    assert len(frames_of(np.zeros(16_000, dtype=np.float32), 16_000)) == 100
    assert first[-1] == pytest.approx(second[-1], abs=0.01)
    assert len(frames_of(np.zeros(3, dtype=np.float32), 16_000)) == 0


@pytest.mark.parametrize(
    ("word", "said"),
    [
        pytest.param("Don’t,", "don't", id="a mark behind it"),
        pytest.param("[[h@l'oU]]", "h l'ou", id="phonemes of espeak-ng"),
        pytest.param("-w/etc/x", "w etc x", id="an option"),
        pytest.param("<speak>", "speak", id="markup"),
        pytest.param("—…", "", id="nothing that can be said"),
        pytest.param("नमस्ते", "नमस्ते", id="marks of letters"),
        pytest.param("a" * 500, "a" * 100, id="a word without end"),
    ],
)
def test_what_is_said_is_letters_alone(word: str, said: str) -> None:
    assert speakable(word) == said


@pytest.mark.parametrize(
    ("language", "scripts", "voice"),
    [
        pytest.param("en", {}, "en-us", id="English"),
        pytest.param("pt-BR", {"Latin": 9}, "pt-br", id="a region with a voice of its own"),
        pytest.param("de-AT", {}, "de", id="a region without one"),
        pytest.param("zh-Hant", {}, "cmn", id="another name"),
        pytest.param(None, {"Cyrillic": 9, "Latin": 2}, "ru", id="letters of several languages"),
        pytest.param(None, {"Greek": 9}, "el", id="letters of one language"),
        pytest.param(None, {}, None, id="no letters"),
    ],
)
def test_the_voice_of_a_language(language: str | None, scripts: dict[str, int], voice: str | None) -> None:
    assert voice_of(language, Counter(scripts)) == voice


def test_words_are_said_in_runs_that_have_an_end() -> None:
    assert [len(batch) for batch in batches(["la"] * 120)] == [50, 50, 20]
    assert [len(batch) for batch in batches(["a" * 900] * 3)] == [2, 1]


def test_sounds_are_parted_by_silence_alone() -> None:
    sound, closure, silence = np.full(800, 0.1), np.zeros(1_600), np.zeros(8_000)
    found = parts(np.concatenate([silence, sound, closure, sound, silence, sound]).astype(np.float32), 16_000)
    assert [len(each) for each in found] == [3_200, 800]


def test_shares_are_of_what_is_sung() -> None:
    activity = Activity(np.array([False, True, True, False, False, True, True, False]))
    assert activity.between(0, 800)([0.0, 0.25, 0.5, 1.0]) == [100, 200, 500, 700]
    assert activity.between(0, 100)([0.0, 0.5, 1.0]) == [0, 50, 100]  # nobody sings
    assert activity.between(5_000, 5_000)([0.0, 1.0]) == [5_000, 5_000]  # behind the end


def timed(text: str, start: int | None = None, end: int | None = None) -> Line:
    return Line(words=tuple(Word(text=word) for word in text.split()), start_milliseconds=start, end_milliseconds=end)


def test_lines_without_times_are_sought_between_those_with_times() -> None:
    lines = [timed("a"), timed("b", 1_000, 2_000), timed("c"), timed("d"), timed("e", 5_000, 6_000), timed("f")]
    assert runs_of(lines, 9_000) == [Run(0, 1, 0, 1_000), Run(2, 4, 2_000, 5_000), Run(5, 6, 6_000, 9_000)]


def test_words_that_share_a_time_are_sought_within_it() -> None:
    words = (
        Word(text="a", start_milliseconds=0, end_milliseconds=500),
        Word(text="b", start_milliseconds=500, end_milliseconds=700, derived=True),
        Word(text="c", start_milliseconds=700, end_milliseconds=900, derived=True),
    )
    line = Line(words=words, start_milliseconds=0, end_milliseconds=1_000)
    assert [(gap.first, gap.last, gap.start, gap.end) for gap in gaps_of(0, line)] == [(1, 3, 500, 900)]
    assert list(gaps_of(0, timed("a b"))) == []


def test_how_high_the_voice_is_is_tried_on_lines_that_differ() -> None:
    texts = ["a chorus comes again", "la", *(f"verse number {number}" for number in range(14))] * 20
    lines = [timed(text, 1_000 * number, 1_000 * number + 900) for number, text in enumerate(texts)]
    gaps = [gap for number, line in enumerate(lines) for gap in gaps_of(number, line)]
    found = [lines[gap.line].text for gap in tried_gaps(gaps, lines)]
    assert (len(found), len(set(found)), "la" in found) == (8, 8, False)
    assert tried_gaps([], lines) == []
