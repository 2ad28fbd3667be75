"""A few runs of bench/soak.py: random faults and kills by seed, and every invariant."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.faults.soak import Ground, reference_run, soak_run

from audiojob_dev.cluster.apiserver import LocalApiServer


@pytest.mark.parametrize(
    ("seed", "ground"),
    [
        pytest.param(1, Ground.PLAIN, id="seed 1"),
        pytest.param(2, Ground.OVERLAP, id="seed 2, where pods begin early"),
        pytest.param(1, Ground.POOLS, id="seed 1, with workers"),
    ],
)
def test_no_invariant_breaks_under_random_faults(
    controllers: LocalApiServer, tmp_path: Path, seed: int, ground: Ground
) -> None:
    undisturbed = reference_run(controllers, tmp_path, ground=ground, seed=seed)
    result = soak_run(controllers, tmp_path, seed, undisturbed, ground=ground)
    assert not result.breaches, f"seed {seed}: {result.breaches}\n{result.story}"
    assert result.faults > 0
