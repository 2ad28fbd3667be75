from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_runner.chunks import MAX_SHIFT, MIN_LAST_CHUNK, ChunkCounter, padded_length, stride_of

RATE = 44_100


def events(counter: ChunkCounter, models: int, passes: int, chunks: int) -> list[float]:
    """What the counter says after each event of a whole run."""
    fractions = []
    for model in range(models):
        for shift in range(passes):
            for _ in range(chunks):
                for state in ("start", "end"):
                    counter.see({"state": state, "model_idx_in_bag": model, "shift_idx": shift})
                    fractions.append(counter.fraction)
    return fractions


@pytest.mark.parametrize(("minutes", "want"), [(3, 31), (60, 616)], ids=["three minutes", "an hour"])
def test_htdemucs_chunks(minutes: int, want: int) -> None:
    stride = stride_of(39 / 5, 25, RATE)
    assert stride == 257_985
    assert ChunkCounter.plan(minutes * 60 * RATE, [stride], shifts=1).total == want


def test_percent_of_a_bag_counts_every_model_and_pass() -> None:
    counter = ChunkCounter.plan(100, [50, 50], shifts=0)
    assert counter.total == 4
    assert events(counter, 2, 1, 2) == [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0]
    assert counter.done == 4


def test_a_pass_that_takes_one_chunk_less_still_ends_whole() -> None:
    counter = ChunkCounter(chunks=[3], passes=2)
    fractions = events(counter, 1, 2, 2)
    assert fractions[3] == pytest.approx(2 / 6)
    assert fractions[4] == pytest.approx(3 / 6)
    assert counter.done == 4


@given(
    chunks=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    passes=st.integers(1, 5),
    missing=st.integers(0, 1),
)
def test_the_fraction_never_falls_and_stays_within_one(chunks: list[int], passes: int, missing: int) -> None:
    counter = ChunkCounter(chunks=chunks, passes=passes)
    last = 0.0
    for model, count in enumerate(chunks):
        for shift in range(passes):
            for _ in range(max(1, count - missing)):
                counter.see({"state": "end", "model_idx_in_bag": model, "shift_idx": shift})
                assert last <= counter.fraction <= 1.0
                last = counter.fraction
    assert counter.total == sum(chunks) * passes
    if not missing:
        assert last == 1.0


@given(
    samples=st.integers(1, 10**8),
    stride=st.integers(2 * MIN_LAST_CHUNK + MAX_SHIFT, 2 * 10**6),
    jitter=st.sampled_from([0, MAX_SHIFT]),
)
def test_no_pass_ends_in_a_tiny_chunk(samples: int, stride: int, jitter: int) -> None:
    length = padded_length(samples, [stride], jitter)
    assert length >= samples
    for shift in (0, jitter // 2, jitter):
        last = (length + shift - 1) % stride + 1
        assert last >= MIN_LAST_CHUNK
    assert length - samples <= 2 * MIN_LAST_CHUNK + jitter


def test_a_small_stride_asks_for_no_padding() -> None:
    assert padded_length(10**6, [17_199], MAX_SHIFT) == 10**6


def test_the_stride_of_full_overlap_is_never_zero() -> None:
    assert stride_of(0.0001, 95, RATE) == 1
    assert math.isclose(stride_of(40, 0, RATE), 40 * RATE)
