"""Lines as rows of the screen."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.unit.runner.cdg.machine import LETTER, draw, line

from audiojob_runner.cdg.bitmap import ROW_WIDTH, extent
from audiojob_runner.cdg.rows import SPACE_WIDTH, USABLE_WIDTH, ScreenRow, rows_of

LETTERS = USABLE_WIDTH // LETTER  # of one row


def made(text: str, to_left: bool = False) -> list[ScreenRow]:
    return rows_of(line(text, 0, 1_000, to_left=to_left), draw)


def extents(row: ScreenRow) -> list[tuple[int, int]]:
    """Of each part in the order of singing, from the left edge of the row."""
    found = [edges for part in row.parts if (edges := extent(part.mask)) is not None]
    left = min(edge for edge, _ in found)
    return [(low - left, high - left) for low, high in found]


def test_a_row_stands_in_the_middle_with_its_words_apart_and_syllables_joined() -> None:
    (row,) = made("ab c-de")
    space = 2 * LETTER + SPACE_WIDTH
    assert extents(row) == [(0, 24), (space, space + 12), (space + 12, space + 36)]
    assert extent(row.mask) == ((ROW_WIDTH - 66) // 2, (ROW_WIDTH + 66) // 2)
    assert [(part.start, part.end) for part in row.parts] == [(0, 333), (333, 667), (667, 1_000)]


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        pytest.param([5] * 4, [4], id="what fits is one row"),
        pytest.param([5] * 6, [3, 3], id="two rows are as even as they can be"),
        pytest.param([5] * 10, [4, 4, 2], id="no wider than the widest must be"),
        pytest.param([20, 5, 5], [1, 2], id="by what words take"),
    ],
)
def test_long_lines_are_broken_between_words(words: list[int], rows: list[int]) -> None:
    assert [len(row.parts) for row in made(" ".join("x" * letters for letters in words))] == rows


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        pytest.param("x" * (2 * LETTERS + 4), [LETTERS, LETTERS, 4], id="between letters"),
        pytest.param("-".join(["x" * 10] * 4), [20, 20], id="between syllables where it has some"),
    ],
)
def test_a_word_that_is_wider_than_the_screen_is_broken(text: str, letters: list[int]) -> None:
    rows = made(text)
    lengths = [sum(high - low for low, high in extents(row)) // LETTER for row in rows]
    assert sum(lengths) == sum(letters)
    assert max(lengths) <= LETTERS
    assert len(rows) == len(letters)
    ends = [row.end for row in rows]
    assert ends == sorted(ends)
    assert ends[-1] == 1_000
    assert all(later.start == pytest.approx(row.end) for row, later in pairwise(rows))


def test_marks_stay_with_their_letter_where_a_word_is_broken() -> None:
    drawn = list[str]()

    def noting(parts: list[str], from_right: bool) -> object:
        drawn.extend(parts)
        return draw(parts, from_right)

    rows_of(line("e\u0301" * 40, 0, 1_000), noting)  # type: ignore[arg-type]
    assert not any(text.startswith("\u0301") or not text.endswith("\u0301") for text in drawn)


@pytest.mark.parametrize(
    ("text", "to_left", "order"),
    [
        pytest.param("אב גד הו", True, [2, 1, 0], id="Hebrew from the right"),
        pytest.param("אב one two הו", True, [3, 1, 2, 0], id="Latin words keep their own order"),
        pytest.param("אב 12 34 הו", True, [3, 2, 1, 0], id="numbers go with the line"),
        pytest.param("one אב גד two", False, [0, 2, 1, 3], id="Hebrew words in a Latin line"),
        pytest.param("one two", False, [0, 1], id="Latin from the left"),
    ],
)
def test_words_stand_where_they_are_read(text: str, to_left: bool, order: list[int]) -> None:
    (row,) = made(text, to_left)
    left = [extents(row)[number][0] for number in order]
    assert left == sorted(left)
    assert [part.from_right for part in row.parts] == [
        to_left if not word[0].isalpha() else word[0] >= "א" for word in text.split()
    ]


def test_what_has_no_pixels_is_no_row() -> None:
    (row,) = made("a")
    blank = draw([""], False)
    assert rows_of(line("a b", 0, 10), lambda _parts, _way: blank) == []
    assert row.parts
