"""A few runs of bench/soak.py: random faults and kills by seed, and every invariant."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.faults.soak import reference_run, soak_run

from audiojob_dev.cluster.apiserver import LocalApiServer


@pytest.mark.parametrize(
    ("seed", "overlap"),
    [pytest.param(1, False, id="seed 1"), pytest.param(2, True, id="seed 2, where pods begin early")],
)
def test_no_invariant_breaks_under_random_faults(
    controllers: LocalApiServer, tmp_path: Path, seed: int, overlap: bool
) -> None:
    undisturbed = reference_run(controllers, tmp_path, overlap=overlap)
    result = soak_run(controllers, tmp_path, seed, undisturbed, overlap=overlap)
    assert not result.breaches, f"seed {seed}: {result.breaches}\n{result.story}"
    assert result.faults > 0
