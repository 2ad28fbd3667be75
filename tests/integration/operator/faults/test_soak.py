"""A few runs of bench/soak.py: random faults and kills by seed, and every invariant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.faults.soak import reference_run, soak_run

from audiojob_dev.cluster.apiserver import LocalApiServer


@pytest.fixture(scope="module")
def reference(controllers: LocalApiServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How each kind of job ends when nothing goes wrong."""
    return reference_run(controllers, tmp_path_factory.mktemp("reference"))


@pytest.mark.parametrize("seed", [1, 2], ids=lambda seed: f"seed {seed}")
def test_no_invariant_breaks_under_random_faults(
    controllers: LocalApiServer, tmp_path: Path, reference: dict[str, Any], seed: int
) -> None:
    result = soak_run(controllers, tmp_path, seed, reference)
    assert not result.breaches, f"seed {seed}: {result.breaches}\n{result.story}"
    assert result.faults > 0
