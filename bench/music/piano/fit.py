"""Fits what Transcribe believes of a piano's notes: a network of one hidden layer over what surrounds each.

Repeat: ``PYTHONPATH=. python -m bench.music.piano.fit FOLDER``; what basic-pitch says of each piece is kept
in the folder, some seconds of work for each. It writes ``piano.json``, and prints F1 of pieces that gave no weight.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from bench.music.fit import answer, right
from bench.music.piano.sounds import other_sound
from bench.music.pieces import Piece, piece
from bench.music.render import render
from numpy.typing import NDArray

from audiojob_runner.transcription.decoding import judgement
from audiojob_runner.transcription.decoding.decode import decode
from audiojob_runner.transcription.decoding.judgement import Judgement
from audiojob_runner.transcription.decoding.surroundings import SURROUNDINGS, surroundings
from audiojob_runner.transcription.families import FAMILIES, rules_of
from audiojob_runner.transcription.network import model
from audiojob_types.documents.notes import Instrument

FIT: Final = range(3000, 3110)
FIT_OTHERS: Final = range(5000, 5030)
OTHERS_COUNT: Final = 3  # so that fewer pieces of other sounds weigh as much
HELD: Final = range(4000, 4030)
HELD_OTHERS: Final = range(6000, 6010)
UNITS: Final = 12
STEPS, AT_ONCE, STEP, PENALTY = 4_000, 1_024, 0.01, 1e-3
LIMITS: Final = (0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
Floats = NDArray[np.float64]
Table = tuple[Floats, Floats, int]  # rows, which of them are notes, and how many were played


def main() -> None:
    """Fit, write and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    folder = options.parse_args().folder
    network = model.load(threads=1)
    plain, others = tables(FIT, folder, network), tables(FIT_OTHERS, folder, network, other_sound)
    every = plain + others * OTHERS_COUNT
    made = fit(*(np.concatenate([each[part] for each in every]) for part in (0, 1)))
    content = {
        "surroundings": SURROUNDINGS,
        "hidden": [[float(f"{weight:.5g}") for weight in row] for row in made.hidden],
        "out": [float(f"{weight:.5g}") for weight in made.out],
    }
    target = Path(judgement.__file__).with_name("piano.json")
    target.write_text(
        json.dumps(content, indent=None).replace('"hidden"', '\n"hidden"').replace('"out"', '\n"out"') + "\n"
    )
    for name, those in (
        ("piano", tables(HELD, folder, network)),
        ("other sounds", tables(HELD_OTHERS, folder, network, other_sound)),
    ):
        for limit in LIMITS:
            print(f"{name} at {limit}: {text(made, those, limit)}", flush=True)


def tables(
    seeds: Sequence[int], folder: Path, network: model.Network, sound: Callable[[Piece, Path], Path] = render
) -> list[Table]:
    """What surrounds every note that may be there, and whether it is."""
    found = []
    for seed in seeds:
        made = piece("piano", seed)
        name = f"piano-{seed}" if sound is render else f"pianox-{seed}"
        with tempfile.TemporaryDirectory() as place:
            heard = answer(lambda made=made, at=Path(place): sound(made, at), folder / f"{name}.npz", network)  # type: ignore[misc]
        notes = decode(*heard, rules_of(Instrument.PIANO, "Normal").settings)
        marks = right(made, notes, FAMILIES[Instrument.PIANO].late)
        found.append((surroundings(*heard, notes).astype(np.float64), marks, len(made.notes)))
    return found


def fit(rows: Floats, marks: Floats) -> Judgement:
    """Weights, by Adam on parts of all; what is measured is brought to one scale, which the weights take in."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    rows = (rows - mean) / spread
    chance = np.random.default_rng(0)
    width = rows.shape[1]
    weights: list[Any] = [
        chance.normal(0, width**-0.5, (width, UNITS)), np.zeros(UNITS),
        chance.normal(0, UNITS**-0.5, UNITS), np.zeros(1),
    ]  # fmt: skip
    first, second = ([np.zeros_like(each) for each in weights] for _ in range(2))
    for step in range(1, STEPS + 1):
        chosen = chance.integers(0, len(rows), AT_ONCE)
        units = np.tanh(rows[chosen] @ weights[0] + weights[1])
        error = (1 / (1 + np.exp(-(units @ weights[2] + weights[3]))) - marks[chosen]) / AT_ONCE
        back = np.outer(error, weights[2]) * (1 - units**2)
        slopes = [
            rows[chosen].T @ back + PENALTY * weights[0], back.sum(axis=0),
            units.T @ error + PENALTY * weights[2], np.array([error.sum()]),
        ]  # fmt: skip
        rate = STEP * (1.02 - step / STEPS)
        for number, slope in enumerate(slopes):
            first[number] = 0.9 * first[number] + 0.1 * slope
            second[number] = 0.999 * second[number] + 0.001 * slope**2
            size = np.sqrt(second[number] / (1 - 0.999**step)) + 1e-8
            weights[number] = weights[number] - rate * first[number] / (1 - 0.9**step) / size
    raw = weights[0] / spread[:, None]
    hidden = np.vstack([raw, weights[1] - mean @ raw]).T
    return Judgement(hidden, np.append(weights[2], weights[3]))


def text(made: Judgement, those: Sequence[Table], limit: float) -> str:
    """F1 and recall of pieces."""
    f1, recall = [], []
    for rows, marks, played in those:
        kept = made.of_rows(rows.astype(np.float32)) >= limit
        f1.append(2 * marks[kept].sum() / max(1, kept.sum() + played))
        recall.append(marks[kept].sum() / played)
    return f"F1 {np.mean(f1):.3f}, worst {min(f1):.3f}; recall {np.mean(recall):.3f}, median {np.median(recall):.3f}"


if __name__ == "__main__":
    main()
