"""Where in a film a picture is looked for."""

from __future__ import annotations

import pytest

from audiojob_runner.media.ffmpeg_still import seconds_of_picture


@pytest.mark.parametrize(
    ("milliseconds", "number"),
    [
        pytest.param(0, 0, id="the first"),
        pytest.param(466, 13, id="a moment before the last"),
        pytest.param(467, 14, id="the last"),
        pytest.param(499, 14, id="the end of the last"),
        pytest.param(5_000, 14, id="after the end"),
    ],
)
def test_each_time_of_a_film_has_a_picture(milliseconds: int, number: int) -> None:
    found = seconds_of_picture(milliseconds, fps=30, frames=15)
    assert (number - 1) / 30 < found < number / 30 or number == found == 0
