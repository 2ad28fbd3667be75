"""How far a note that may be there is believed, by all that surrounds it: a small network of one hidden layer.

Its weights are fitted by ``bench/music/piano/fit.py``, on pieces that no figure is reported of; a file here has them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from audiojob_runner.transcription.decoding.decode import Found
from audiojob_runner.transcription.decoding.surroundings import SURROUNDINGS, Matrix, surroundings

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judgement:
    """``hidden``: a row of weights for each hidden unit, the last one its constant; ``out``: those of the answer."""

    hidden: FloatArray
    out: FloatArray

    def of(self, notes: Matrix, onsets: Matrix, found: Sequence[Found]) -> FloatArray:
        """From 0 to 1, of each."""
        return self.of_rows(surroundings(notes, onsets, found)) if found else np.zeros(0)

    def of_rows(self, rows: Matrix) -> FloatArray:
        """The same, of what surrounds each."""
        units = 2 * _share(2 * (rows @ self.hidden[:, :-1].T + self.hidden[:, -1])) - 1  # the hyperbolic tangent
        return _share(units @ self.out[:-1] + self.out[-1])


@dataclass(frozen=True, slots=True)
class Kept:
    """The judgement of a file in this folder, which is read when it is first asked."""

    name: str

    def of(self, notes: Matrix, onsets: Matrix, found: Sequence[Found]) -> FloatArray:
        """From 0 to 1, of each."""
        return read(self.name).of(notes, onsets, found)


@cache
def read(name: str) -> Judgement:
    """The weights of that file. It names what they are of, so that none can be taken for another."""
    content = json.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
    if tuple(content["surroundings"]) != SURROUNDINGS:
        raise ValueError(f"{name} has weights of other figures than those that are measured: fit them again")
    return Judgement(np.array(content["hidden"], dtype=np.float64), np.array(content["out"], dtype=np.float64))


def _share(logits: FloatArray) -> FloatArray:
    found: FloatArray = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return found
