from __future__ import annotations

import unicodedata

import pytest

from audiojob_runner.typeset.joined import joined


def kinds(text: str) -> list[str]:
    return [unicodedata.decomposition(each).partition(" ")[0].strip("<>") for each in joined(text)]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("ب", ["isolated"], id="alone"),
        pytest.param("ببب", ["initial", "medial", "final"], id="joined on both sides"),
        pytest.param("باب", ["initial", "final", "isolated"], id="alef joins nothing behind it"),
        pytest.param("بَب", ["initial", "final"], id="marks are no neighbours"),
        pytest.param("پگ", ["initial", "final"], id="Persian letters"),
    ],
)
def test_letters_look_as_beside_their_neighbours(text: str, want: list[str]) -> None:
    assert kinds(text) == want


def test_other_letters_stay() -> None:
    assert joined("ab 1ب") == "ab 1ﺏ"
