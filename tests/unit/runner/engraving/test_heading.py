from __future__ import annotations

import pytest

from audiojob_runner.engraving.heading import MAX_TITLE, one_row, size_of


@pytest.mark.parametrize(
    ("given", "row"),
    [
        pytest.param("A <b>piece</b> & {more}", "A <b>piece</b> & {more}", id="what is markup elsewhere is only text"),
        pytest.param("evil\u202etxt\u2066.pdf\u200b", "eviltxt.pdf", id="no controls of direction, nothing unseen"),
        pytest.param(" two\n\trows\x00\x07 ", "two rows", id="one row without control characters"),
        pytest.param("\ud800 and \ufffe", "and", id="nothing that XML refuses"),
        pytest.param("Love 🎵 song", "Love song", id="no emoji, which the fonts do not have"),
        pytest.param(
            "می\N{ZERO WIDTH NON-JOINER}خواهم", "می\N{ZERO WIDTH NON-JOINER}خواهم", id="joiners that words need"
        ),
        pytest.param("x" * 500, "x" * (MAX_TITLE - 1) + "…", id="a long one is cut"),
    ],
)
def test_one_row(given: str, row: str) -> None:
    assert one_row(given) == row


def test_the_longer_and_wider_the_smaller() -> None:
    texts = ["x", "x" * 60, "X" * 60, "W" * 60, "W" * 100]
    sizes = [int(size_of(text, 200).rstrip("%")) for text in texts]
    assert sizes == [200, 150, 100, 75, 45]
    assert size_of("x", 110) == "110%"
    assert size_of("日" * 30, 200) == size_of("x" * 60, 200) == size_of("e\u0301" * 60, 200)
