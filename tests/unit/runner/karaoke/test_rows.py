from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.runner.karaoke.songs import sung

from audiojob_runner.karaoke.rows import Row, rows_of
from audiojob_runner.karaoke.timed import Sung, SungLine, text_of


def text(row: Row) -> str:
    first = row.words[0]
    return text_of((Sung(first.text, False, 0, 0), *row.words[1:]))


def texts(line: SungLine, widest: float) -> list[str]:
    return [text(row) for row in rows_of(line, len, widest)]


@pytest.mark.parametrize(
    ("words", "widest", "want"),
    [
        pytest.param("far away", 8, ["far away"], id="what fits is one row"),
        pytest.param("far away over", 9, ["far away", "over"], id="broken at a space"),
        pytest.param("aa bb cc dd ee", 11, ["aa bb cc", "dd ee"], id="rows of about the same width"),
        pytest.param("dra -gons fly", 8, ["dragons", "fly"], id="syllables stay together"),
        pytest.param("abcdefghij", 4, ["abcd", "efgh", "ij"], id="a word wider than the frame"),
        pytest.param("千里之行始于足下", 5, ["千里之行", "始于足下"], id="between letters where there are no spaces"),
        pytest.param("かきくけ。こさ", 4, ["かきく", "け。こさ"], id="no row begins with a full stop"),
        pytest.param("กินเข้าว", 5, ["กิน", "เข้าว"], id="a vowel that is written first stays with its letter"),
    ],
)  # fmt: skip
def test_a_line_is_broken_where_it_may_be(words: str, widest: float, want: list[str]) -> None:
    assert texts(sung(words, 0), widest) == want


def test_a_broken_word_keeps_its_time() -> None:
    rows = rows_of(SungLine((Sung("千里之行", False, 1_000, 3_000),)), len, 2)
    assert [row.words for row in rows] == [
        (Sung("千里", False, 1_000, 2_000),),
        (Sung("之行", True, 2_000, 3_000),),
    ]


WORDS = st.lists(st.text("ab你ก้", min_size=1, max_size=12), min_size=1, max_size=12)


@given(WORDS, st.integers(2, 20))
def test_no_letter_is_lost_and_no_row_too_wide(words: list[str], widest: int) -> None:
    line = SungLine(tuple(Sung(word, False, at * 100, at * 100 + 100) for at, word in enumerate(words)))
    rows = rows_of(line, lambda text: float(len(text.replace("้", ""))), widest)
    assert "".join(word.text for row in rows for word in row.words) == "".join(words)
    starts = [word.start for row in rows for word in row.words]
    assert starts == sorted(starts)
    for row in rows:
        assert len(text(row).replace("้", "")) <= widest
