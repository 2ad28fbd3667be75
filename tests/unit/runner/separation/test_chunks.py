from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiojob_runner.separation.chunks import (
    MAX_SHIFT,
    MIN_LAST_CHUNK,
    Pass,
    Span,
    chunks_in_order,
    plan_passes,
    segment_of,
    stride_of,
)

RATE = 44_100


def track(samples: int, *, segment: int, overlap: int = 25, shifts: int = 0, models: int = 1) -> tuple[Pass, ...]:
    return plan_passes(samples, [Span(segment, MIN_LAST_CHUNK)] * models, overlap, shifts, seed=0)


@pytest.mark.parametrize(("minutes", "want"), [(3, 31), (60, 616)], ids=["three minutes", "an hour"])
def test_htdemucs_chunks(minutes: int, want: int) -> None:
    segment = segment_of(39 / 5, RATE)
    assert (segment, stride_of(segment, 25)) == (343_980, 257_985)
    assert track(minutes * 60 * RATE, segment=segment)[0].count == want


def test_a_bag_makes_every_pass_with_every_model() -> None:
    passes = plan_passes(10**6, [Span(100_000, 1), Span(300_000, 1)], 25, shifts=2, seed=0)
    assert [(one.model, one.segment, one.stride) for one in passes] == [
        (0, 100_000, 75_000), (0, 100_000, 75_000), (1, 300_000, 225_000), (1, 300_000, 225_000),
    ]  # fmt: skip


def test_shifts_are_drawn_as_demucs_draws_them() -> None:
    draw = random.Random(7)
    want = [draw.randint(0, MAX_SHIFT) - MAX_SHIFT for _ in range(4)]
    assert [one.origin for one in plan_passes(10**6, [Span(100_000, 1)] * 2, 25, shifts=2, seed=7)] == want


def test_without_shifts_passes_begin_with_the_track() -> None:
    assert [one.origin for one in track(10**6, segment=100_000, models=2)] == [0, 0]


@pytest.mark.parametrize("shifts", [0, 1, 3])
def test_chunks_come_by_their_start_and_none_is_missing(shifts: int) -> None:
    passes = track(3_000_000, segment=200_000, shifts=shifts, models=2)
    chunks = list(chunks_in_order(passes))
    assert [chunk.start for chunk in chunks] == sorted(chunk.start for chunk in chunks)
    assert len(chunks) == sum(one.count for one in passes)
    assert len({(chunk.number, chunk.index) for chunk in chunks}) == len(chunks)


@settings(deadline=None, max_examples=40)
@given(
    samples=st.integers(1, 700_000),
    segment=st.integers(MIN_LAST_CHUNK, 120_000),
    overlap=st.integers(0, 95),
    origin=st.integers(-MAX_SHIFT, 0),
    shortest=st.sampled_from([1, MIN_LAST_CHUNK]),
)
def test_the_fades_add_up_to_one_everywhere_and_no_chunk_is_tiny(
    samples: int, segment: int, overlap: int, origin: int, shortest: int
) -> None:
    one = Pass(0, origin, samples, Span(segment, shortest), stride_of(segment, overlap))
    total = np.zeros(samples - origin + 2 * segment)
    for index in range(one.count):
        start, length = one.chunk(index)
        assert shortest <= length <= segment
        total[start - origin : start - origin + length] += one.fade(index)
    assert np.allclose(total[: samples - origin], 1, atol=1e-5)


@pytest.mark.parametrize("overlap", [0, 25, 50, 90])
def test_inner_chunks_share_one_fade(overlap: int) -> None:
    one = track(40 * 30_000, segment=30_000, overlap=overlap)[0]
    inner = [index for index in range(one.count) if one.is_inner(index)]
    assert len(inner) > one.count / 3
    assert all(np.array_equal(one.fade(index), one.fade(inner[0])) for index in inner)


def test_the_stride_of_full_overlap_is_never_zero() -> None:
    assert stride_of(4, 95) == 1
    assert stride_of(40 * RATE, 0) == 40 * RATE
