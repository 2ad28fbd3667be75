from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_kube.lines import LineSplitter, LineTooLongError


@given(data=st.binary(max_size=60).map(lambda raw: raw.replace(b"a", b"\n")), cuts=st.lists(st.integers(0, 60)))
def test_lines_do_not_depend_on_where_chunks_are_cut(data: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    splitter = LineSplitter()
    lines = [line for start, end in itertools.pairwise(bounds) for line in splitter.feed(data[start:end])]
    assert lines == [line for line in data.split(b"\n")[:-1] if line]


def test_an_unfinished_line_is_not_given_out() -> None:
    assert LineSplitter().feed(b'{"type": "ADD') == []


def test_a_line_beyond_the_limit_is_refused_before_it_fills_the_memory() -> None:
    splitter = LineSplitter(limit=10)
    assert splitter.feed(b"x" * 10) == []
    with pytest.raises(LineTooLongError, match="longer than 10 bytes"):
        splitter.feed(b"x")
