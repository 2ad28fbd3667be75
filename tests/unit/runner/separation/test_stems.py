from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from audiojob_runner.separation.stems import Stem, add_missing, keep_stems, plan_stems, sum_of
from audiojob_types.tasks.separate import Stems

FOUR = ("drums", "bass", "other", "vocals")
SIX = ("drums", "bass", "other", "vocals", "guitar", "piano")
TWO = ("tonal", "percussive")


@pytest.mark.parametrize(
    ("stems", "sources", "want"),
    [
        pytest.param("TwoStems", FOUR, ["vocals", "accompaniment=drums+bass+other"], id="karaoke"),
        pytest.param("TwoStems", SIX, ["vocals", "accompaniment=drums+bass+other+guitar+piano"], id="karaoke of six"),
        pytest.param("TwoStems", TWO, ["tonal", "percussive"], id="two of a model with two"),
        pytest.param("FourStems", FOUR, ["vocals", "drums", "bass", "other"], id="four of four"),
        pytest.param("FourStems", SIX, ["vocals", "drums", "bass", "other=other+guitar+piano"], id="four of six"),
        pytest.param("SixStems", SIX, ["vocals", "drums", "bass", "other", "guitar", "piano"], id="six of six"),
        pytest.param("AllStems", SIX, ["vocals", "drums", "bass", "other", "guitar", "piano"], id="all of six"),
        pytest.param("AllStems", FOUR, ["vocals", "drums", "bass", "other"], id="all of four"),
        pytest.param("AllStems", TWO, ["tonal", "percussive"], id="all of two"),
    ],
)
def test_which_stems_are_made_of_what(stems: Stems, sources: tuple[str, ...], want: list[str]) -> None:
    def show(stem: Stem) -> str:
        return stem.name if stem.sources == (stem.name,) else f"{stem.name}={'+'.join(stem.sources)}"

    plan = plan_stems(stems, sources)
    assert [show(stem) for stem in plan] == want
    assert sorted(source for stem in plan for source in stem.sources) == sorted(sources)


@pytest.mark.parametrize(
    ("stems", "sources"),
    [
        pytest.param("SixStems", FOUR, id="six of four"),
        pytest.param("FourStems", TWO, id="four of two without vocals"),
        pytest.param("FourStems", ("vocals", "other"), id="four of two"),
        pytest.param("TwoStems", ("drums", "bass", "other"), id="vocals of a model without"),
    ],
)
def test_a_model_that_cannot_give_them(stems: Stems, sources: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="the model has"):
        plan_stems(stems, sources)


@pytest.mark.parametrize(
    ("keep", "want"),
    [
        pytest.param((), ["vocals", "drums", "bass", "other"], id="nothing said keeps all"),
        pytest.param(("bass", "vocals"), ["vocals", "bass"], id="in the plan's order"),
    ],
)
def test_which_stems_are_kept(keep: Sequence[str], want: list[str]) -> None:
    assert [stem.name for stem in keep_stems(plan_stems("FourStems", FOUR), keep)] == want


def test_a_stem_that_is_not_there_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match=r"no stem piano; there are vocals, accompaniment"):
        keep_stems(plan_stems("TwoStems", FOUR), ["vocals", "piano"])


def test_what_is_missing_is_added_and_never_makes_the_whole_worse() -> None:
    random = np.random.default_rng(1)
    true = random.normal(size=(4, 2, 1_000)).astype(np.float32)
    mix = true.sum(axis=0)
    estimates = true + random.normal(scale=0.3, size=true.shape).astype(np.float32)
    before = float(((estimates - true) ** 2).sum())
    add_missing(estimates, mix)
    assert np.abs(estimates.sum(axis=0) - mix).max() < 1e-5
    assert float(((estimates - true) ** 2).sum()) <= before


def test_a_stem_is_the_sum_of_its_sources() -> None:
    sources = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
    assert np.array_equal(sum_of(Stem("x", ("c", "a")), ["a", "b", "c"], sources), sources[0] + sources[2])
