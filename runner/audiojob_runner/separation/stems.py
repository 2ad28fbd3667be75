"""Maps the sources of a model to the requested stems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiojob_types.tasks.separate import Stems

VOCALS: Final = "vocals"
ACCOMPANIMENT: Final = "accompaniment"

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stem:
    """One output: its name, and the model's sources that are added up for it."""

    name: str
    sources: tuple[str, ...]


def plan_stems(stems: Stems, sources: Sequence[str]) -> list[Stem]:
    """The stems to write from a model with these sources, vocals first. Together they hold every source once.

    Raises ``ValueError`` when the model cannot give them.
    """
    own = [Stem(source, (source,)) for source in sorted(sources, key=lambda source: source != VOCALS)]
    if stems == "AllStems" or (stems == "TwoStems" and len(sources) == 2):
        return own
    if stems == "SixStems":
        if len(sources) != 6:
            raise ValueError(f"the model has {len(sources)} stems, not six")
        return own
    if VOCALS not in sources:
        raise ValueError(f"the model has no vocals but {', '.join(sources)}")
    others = tuple(source for source in sources if source != VOCALS)
    if stems == "TwoStems":
        return [Stem(VOCALS, (VOCALS,)), Stem(ACCOMPANIMENT, others)]
    if len(sources) < 4:
        raise ValueError(f"the model has {len(sources)} stems, not four")
    named = [source for source in ("drums", "bass") if source in others]
    rest = tuple(source for source in others if source not in named)
    return [Stem(VOCALS, (VOCALS,)), *(Stem(source, (source,)) for source in named), Stem("other", rest)]


def keep_stems(stems: Sequence[Stem], keep: Sequence[str]) -> list[Stem]:
    """Those of the stems that are asked for; all when nothing is. Raises ``ValueError`` for a name that is none."""
    names = [stem.name for stem in stems]
    unknown = [name for name in keep if name not in names]
    if unknown:
        raise ValueError(f"there is no stem {', '.join(unknown)}; there are {', '.join(names)}")
    return [stem for stem in stems if not keep or stem.name in keep]


def add_missing(sources: Samples, mix: Samples) -> None:
    """Change ``sources``, of shape (sources, 2, n), so that they add up to ``mix``.

    Every source gets the same share of what is missing. That is the nearest set of sources with the right sum, so all
    of them together never come out further from the true ones than before.
    """
    missing = mix - sources.sum(axis=0, dtype=np.float64)
    sources += (missing / len(sources)).astype(np.float32)


def sum_of(stem: Stem, names: Sequence[str], sources: Samples) -> Samples:
    """The stem's samples, of shape (2, n), from all of a model's."""
    total: Samples = sources[names.index(stem.sources[0])]
    for source in stem.sources[1:]:
        total = total + sources[names.index(source)]
    return total
