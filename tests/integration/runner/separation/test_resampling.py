from __future__ import annotations

import numpy as np
import pytest
import torch
from julius.resample import resample_frac

from audiojob_runner.separation.resampling import StreamResampler, resampled_length

RATE = 44_100


@pytest.mark.parametrize("new", [16_000, 22_050, 48_000])
@pytest.mark.parametrize("samples", [1, 5_000, 9 * RATE + 17])
def test_a_stream_becomes_what_the_whole_becomes(samples: int, new: int) -> None:
    sound = np.random.default_rng(4).uniform(-1, 1, (2, samples)).astype(np.float32)
    stream = StreamResampler(RATE, new, samples)
    pieces = [stream.feed(sound[:, start : start + 100_003]) for start in range(0, samples, 100_003)]
    result = np.concatenate(pieces, axis=1)
    assert result.shape == (2, resampled_length(samples, RATE, new))
    whole = resample_frac(torch.from_numpy(sound), RATE, new, full=True).numpy()
    assert np.abs(result - whole[:, : result.shape[1]]).max() < 1e-5


def test_the_same_rate_changes_nothing() -> None:
    sound = np.ones((2, 10), dtype=np.float32)
    assert StreamResampler(RATE, RATE, 10).feed(sound) is sound


@pytest.mark.parametrize(("samples", "new", "want"), [(1, 16_000, 1), (44_100, 48_000, 48_000), (3, 22_050, 1)])
def test_lengths(samples: int, new: int, want: int) -> None:
    assert resampled_length(samples, RATE, new) == want
