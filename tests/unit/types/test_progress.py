"""One percent from many: bounded, monotone, weighted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_types.progress import overall_percent

PHASES = ["download", "normalize", "separate"]
weights = st.dictionaries(st.sampled_from(PHASES), st.integers(1, 1_000))
percents = st.dictionaries(st.sampled_from([*PHASES, "ghost"]), st.integers(-10, 250))

CASES: dict[str, tuple[dict[str, int], dict[str, int], int, int]] = {
    "nothing is done": ({"a": 1, "b": 1}, {}, 0, 0),
    "half of equal phases": ({"a": 1, "b": 1}, {"a": 100}, 0, 50),
    "weights count": ({"a": 1, "b": 9}, {"a": 100}, 0, 10),
    "part of a phase": ({"a": 1, "b": 9}, {"a": 100, "b": 50}, 0, 55),
    "all phases are done, and 100 is the operator's": ({"a": 1, "b": 1}, {"a": 100, "b": 100}, 0, 99),
    "it never goes back": ({"a": 1, "b": 1}, {"a": 10}, 40, 40),
    "the operator's 100 stays": ({"a": 1}, {"a": 10}, 100, 100),
    "a hostile percent counts as 100": ({"a": 1, "b": 1}, {"a": 250}, 0, 50),
    "a negative percent counts as 0": ({"a": 1, "b": 1}, {"a": -50, "b": 20}, 0, 10),
    "an unknown phase does not count": ({"a": 1, "b": 1}, {"ghost": 100}, 0, 0),
    "no phases at all": ({}, {"a": 100}, 7, 7),
    "fractions are cut, not rounded up": ({"a": 3}, {"a": 99}, 0, 99),
}


@pytest.mark.parametrize(("weighted", "done", "previous", "expected"), CASES.values(), ids=CASES.keys())
def test_percent(weighted: dict[str, int], done: dict[str, int], previous: int, expected: int) -> None:
    assert overall_percent(weighted, done, previous) == expected


@given(weights, percents, st.integers(0, 100))
def test_it_stays_in_bounds_and_never_goes_back(weighted: dict[str, int], done: dict[str, int], previous: int) -> None:
    result = overall_percent(weighted, done, previous)
    assert previous <= result <= max(99, previous)


@given(weights, st.dictionaries(st.sampled_from(PHASES), st.integers(0, 99)), st.sampled_from(PHASES))
def test_more_work_done_is_never_less_percent(weighted: dict[str, int], done: dict[str, int], phase: str) -> None:
    further = {**done, phase: done.get(phase, 0) + 1}
    assert overall_percent(weighted, further) >= overall_percent(weighted, done)
