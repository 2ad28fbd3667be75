from __future__ import annotations

import pytest
from tests.unit.runner.karaoke.songs import line, record, sung

from audiojob_runner.errors import PhaseError
from audiojob_runner.karaoke.timed import NO_TIMES, shown_lines, sung_lines
from audiojob_types.documents.lyrics import Line, Lyrics, Word
from audiojob_types.reasons import Reason

Times = list[tuple[str, int, int]]


def times(lyrics: Lyrics, length: int = 60_000) -> Times:
    lines, _ = sung_lines(lyrics, length)
    return [(word.text, word.start, word.end) for each in lines for word in each.words]


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(
            line("aa bb", 1_000, 3_000, ((1_000, 1_500), (2_000, 3_000))),
            [("aa", 1_000, 1_500), ("bb", 2_000, 3_000)],
            id="words keep their times",
        ),
        pytest.param(
            line("aaa b", 1_000, 3_000), [("aaa", 1_000, 2_500), ("b", 2_500, 3_000)], id="words share by letters"
        ),
        pytest.param(
            line("aa bb cc", 0, 4_000, ((0, 1_000), None, (3_000, 4_000))),
            [("aa", 0, 1_000), ("bb", 1_000, 3_000), ("cc", 3_000, 4_000)],
            id="a word between others has the time between them",
        ),
        pytest.param(
            line("aa bb", 0, 4_000, ((2_000, 3_000), (1_000, 1_500))),
            [("aa", 2_000, 3_000), ("bb", 2_000, 2_000)],
            id="no word is sung before the one before it",
        ),
        pytest.param(
            line("aa bb", 59_000, 70_000, ((59_000, 65_000), (65_000, 70_000))),
            [("aa", 59_000, 60_000)],
            id="nothing goes on behind the end",
        ),
    ],
)
def test_each_word_has_a_time_within_the_song(given: Line, want: Times) -> None:
    assert times(record(given)) == want


def test_lines_without_a_place_in_the_song_are_left_out_and_counted() -> None:
    lyrics = record(line("late", 90_000, 91_000), line("never", None, None), line("once", 1_000, 2_000))
    lines, warnings = sung_lines(lyrics, 60_000)
    assert [each.text for each in lines] == ["once"]
    assert warnings == [
        "1 line without a time left out.",
        "1 line left out that would begin after the end of the song.",
    ]


def test_lines_are_in_the_order_of_their_times() -> None:
    lines, _ = sung_lines(record(line("second", 5_000, 6_000), line("first", 1_000, 2_000)), 60_000)
    assert [each.text for each in lines] == ["first", "second"]


def test_a_text_without_any_time_is_refused() -> None:
    with pytest.raises(PhaseError) as caught:
        sung_lines(record(line("la la", None, None)), 60_000)
    assert (caught.value.reason, caught.value.message) == (Reason.INVALID_SPEC, NO_TIMES)


def test_an_instrumental_has_no_lines() -> None:
    assert sung_lines(record(), 60_000) == ([], [])


def test_voices_are_two_by_the_order_in_which_they_sing() -> None:
    def by(voice: str | None, start: int) -> Line:
        return line("la", start, start + 500).model_copy(update={"voice": voice})

    lines, _ = sung_lines(
        record(by("Ann", 0), by("Bob", 1_000), by(None, 2_000), by("Cy", 3_000), by("Bob", 4_000)), 9_000
    )
    assert [each.voice for each in lines] == [0, 1, 0, 0, 1]


def test_a_record_of_strangers_is_cleaned_again() -> None:
    words = tuple(
        Word(text=text, start_milliseconds=at, end_milliseconds=at + 100)
        for at, text in enumerate(("{\\p1}", "a\u202eb", "\U0001f409", "ok"))
    )
    lines, warnings = sung_lines(record(Line(words=words, start_milliseconds=0, end_milliseconds=900)), 60_000)
    assert lines[0].text == "｛⧵p1｝ ab ok"
    assert warnings == ["2 characters of the lyrics left out that cannot be seen or shown."]


def test_lines_read_from_the_right_are_known() -> None:
    lines, _ = sung_lines(record(line("abc", 0, 500), line("שלום abc", 1_000, 2_000)), 60_000)
    assert [each.to_left for each in lines] == [False, True]


def test_words_without_a_sign_in_any_font_are_left_out() -> None:
    lines = [sung("ab ☃ -cd", 0), sung("☃ ☃", 5_000)]
    kept = shown_lines(lines, lambda text: [each for each in text if each == "☃"])
    assert [each.text for each in kept] == ["abcd"]
