from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_runner.fetch.progress import Percentage

STEPS = st.lists(st.tuples(st.integers(0, 2), st.floats(-1, 2)), max_size=30)


def test_parts_count_by_weight_and_the_merge_has_its_own_slice() -> None:
    told: list[float] = []
    percentage = Percentage([30, 10], 0.2, lambda percent, _message: told.append(percent))
    percentage.part(0, 0.5, "")
    percentage.part(0, 1, "")
    percentage.part(1, 0.5, "")
    percentage.part(1, 1, "")
    percentage.finish(0.5, "")
    percentage.finish(1, "")
    assert told == pytest.approx([30, 60, 70, 80, 90, 100])


@given(st.lists(st.floats(0.1, 1e12), min_size=3, max_size=3), st.floats(0, 0.9), STEPS)
def test_it_never_falls_and_never_leaves_its_range(
    weights: list[float], finish_share: float, steps: list[tuple[int, float]]
) -> None:
    told: list[float] = []
    percentage = Percentage(weights, finish_share, lambda percent, _message: told.append(percent))
    for index, fraction in steps:
        percentage.part(index, fraction, "")
    percentage.finish(1, "")
    assert told == sorted(told)
    assert all(0 <= percent <= 100 for percent in told)
    assert told[-1] == 100
