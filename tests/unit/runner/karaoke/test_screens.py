from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_runner.karaoke.rows import Row
from audiojob_runner.karaoke.screens import Plan, Screens, screens_of, title_ends
from audiojob_runner.karaoke.timed import Sung


def row(start: int, end: int) -> Row:
    return Row((Sung(f"{start}", False, start, end),))


def screens(*spans: tuple[int, int], stanzas: Sequence[int] = (), rows: int = 4, title: int = 0) -> Screens:
    lines = [(number in stanzas, [row(*span)]) for number, span in enumerate(spans)]
    return screens_of(lines, Plan(rows, 6_000, 60_000, title))


def test_half_of_the_screen_is_replaced_while_the_other_half_is_sung() -> None:
    found = screens((10_000, 11_000), (11_000, 12_000), (13_000, 14_000), (14_000, 15_000), (16_000, 17_000))
    assert [(each.show, each.hide, each.place) for each in found.placed] == [
        (6_000, 12_300, 0),
        (6_000, 12_300, 1),
        (6_000, 18_000, 2),
        (6_000, 18_000, 3),
        (12_300, 18_000, 1),
    ]


def test_a_pause_clears_the_screen_and_is_an_entry() -> None:
    found = screens((2_000, 3_000), (10_000, 11_000))
    assert [(each.show, each.hide) for each in found.placed] == [(0, 4_000), (6_000, 12_000)]
    assert found.entries == ((10_000, 6_000),), "two seconds before the first words are no pause"


def test_a_stanza_begins_in_the_other_half() -> None:
    found = screens((7_000, 8_000), (8_000, 9_000), (9_000, 10_000), stanzas=(1,))
    assert [each.place for each in found.placed] == [1, 2, 3]


@pytest.mark.parametrize(
    ("entry", "wanted", "want"),
    [
        pytest.param(20_000, 5_000, 5_000, id="there is time"),
        pytest.param(4_000, 5_000, 2_500, id="gone when the words must be read"),
        pytest.param(2_000, 5_000, 0, id="too short to be read"),
        pytest.param(20_000, 0, 0, id="not wanted"),
    ],
)
def test_the_title_leaves_time_to_read_the_words(entry: int, wanted: int, want: int) -> None:
    assert title_ends(entry, wanted) == want


def test_words_are_not_shown_while_the_title_is() -> None:
    assert screens((6_000, 7_000), title=4_000).begins == 4_000
    assert screens((20_000, 21_000), title=4_000).begins == 16_000


def test_a_line_of_more_rows_than_half_a_screen_goes_on_in_the_other_half() -> None:
    long = [row(1_000 * number, 1_000 * number + 900) for number in range(7, 12)]
    found = screens_of([(False, long)], Plan(4, 6_000, 60_000))
    assert [each.place for each in found.placed] == [0, 1, 2, 3, 1]
    assert not any(each.late for each in found.placed)


def test_what_is_sung_all_at_once_is_shown_late_and_known() -> None:
    found = screens(*[(10_000, 20_000)] * 6)
    assert [each.late for each in found.placed] == [False] * 4 + [True] * 2


def test_nobody_sings() -> None:
    assert screens_of([], Plan(4, 6_000, 60_000)) == Screens()


SPANS = st.lists(st.tuples(st.integers(0, 8_000), st.integers(0, 5_000)), min_size=1, max_size=30)


@given(SPANS, st.sampled_from([2, 4, 6]), st.sets(st.integers(0, 29)))
def test_no_two_rows_are_in_one_place_and_each_is_there_while_it_is_sung(
    spans: list[tuple[int, int]], rows: int, stanzas: set[int]
) -> None:
    """Each begins so long after the end of the one before, and is sung so long."""
    at, found = 0, list[tuple[int, int]]()
    for gap, length in spans:
        found.append((at + gap, at + gap + length))
        at += gap + length
    placed = screens(*found, stanzas=tuple(stanzas), rows=rows).placed
    assert len(placed) == len(spans)
    for each in placed:
        assert 0 <= each.place < rows
        assert each.show <= each.row.start
        assert each.hide >= each.row.end
    for number, each in enumerate(placed):
        for other in placed[number + 1 :]:
            assert other.place != each.place or other.show >= each.hide
