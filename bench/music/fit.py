"""Fits what Transcribe believes of a note that may be there: a logistic regression for each instrument but the piano.

Repeat: ``python bench/music/fit.py``. Pieces are those of the seeds ``TRIAL``; each is judged by the weights that the
others give, and the weights of all are printed for ``families.py``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.music.pieces import TRIAL, Kind, Piece, piece
from bench.music.render import render
from bench.music.transcribe import TOLERANCE

from audiojob_runner.transcription.decoding.belief import FEATURES, features
from audiojob_runner.transcription.decoding.decode import Found, decode
from audiojob_runner.transcription.families import CANDIDATES, FAMILIES
from audiojob_runner.transcription.network import model
from audiojob_runner.transcription.network.windows import FRAMES_A_SECOND, WINDOW, kept, windows_of
from audiojob_types.documents.notes import Instrument

FITS: Final[dict[str, tuple[Kind, ...]]] = {
    "Guitar": ("guitar",), "Bass": ("bass",), "Voice": ("lead",), "Other": ("mix", "strings"),
}  # fmt: skip
PENALTY: Final = 3.0
Floats = NDArray[np.float64]


def main() -> None:
    """Weights of each instrument, and how well they do on pieces that did not give them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, help="where rendered pieces are kept")
    options.add_argument("--pieces", type=int, default=12)
    options.add_argument("--only", choices=[*FITS])
    arguments = options.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    network = model.load(threads=2)
    for instrument, kinds in FITS.items():
        if arguments.only in (None, instrument):
            pieces = [piece(kind, seed) for kind in kinds for seed in TRIAL[: arguments.pieces]]
            late = FAMILIES[Instrument(instrument)].late
            tables = [
                table(each, answer(partial(render, each, folder), folder / f"{each.name}.npz", network), late)
                for each in pieces
            ]
            report(instrument, tables, [len(each.notes) for each in pieces])


def answer(
    sound: Callable[[], Path], cache: Path, network: model.Network
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the network says of a sound, kept in a file."""
    if not cache.exists():
        command = ["ffmpeg", "-v", "error", "-i", str(sound()), "-f", "f32le", "-ac", "1", "-ar", "22050", "-"]
        samples = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)
        samples = samples * (0.5 / np.abs(samples).max())
        answers = []
        for window in windows_of(len(samples)):
            first = max(0, window.first_sample)
            part = np.zeros(WINDOW, np.float32)
            piece_of = samples[first : window.first_sample + WINDOW]
            part[first - window.first_sample :][: len(piece_of)] = piece_of
            answers.append(network.listen(part).cut(kept(window)))
        found = {name: np.concatenate([getattr(each, name) for each in answers]) for name in ("notes", "onsets")}
        np.savez(cache, n=found["notes"], o=found["onsets"])
    stored = np.load(cache)
    return stored["n"].astype(np.float32), stored["o"].astype(np.float32)


def table(each: Piece, heard: tuple[NDArray[np.float32], NDArray[np.float32]], late: float) -> tuple[Floats, Floats]:
    """The features of every note that may be there, and whether it is."""
    found = decode(*heard, CANDIDATES)
    rows = np.array([features(*heard, note) for note in found])
    return rows, right(each, found, late)


def right(each: Piece, found: list[Found], late: float) -> Floats:
    """1 for notes that were played, each of them once; else 0."""
    marks, taken = np.zeros(len(found)), set[int]()
    for note in each.played():
        near = [
            (abs(other.first / FRAMES_A_SECOND - late - note.onset), number)
            for number, other in enumerate(found)
            if other.pitch == note.pitch and number not in taken
        ]
        away, number = min(near, default=(1.0, 0))
        if away <= TOLERANCE:
            taken.add(number)
            marks[number] = 1
    return marks


def fit(rows: Floats, marks: Floats) -> tuple[Floats, float]:
    """Weights and constant, by Newton's method."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    scaled = np.hstack([(rows - mean) / spread, np.ones((len(rows), 1))])
    weights, penalty = np.zeros(scaled.shape[1]), np.r_[np.full(rows.shape[1], PENALTY), 1e-6]
    for _ in range(50):
        belief = 1 / (1 + np.exp(-scaled @ weights))
        gradient = scaled.T @ (belief - marks) + penalty * weights
        curvature = (scaled.T * (belief * (1 - belief))) @ scaled + np.diag(penalty)
        weights -= np.linalg.solve(curvature, gradient)
    raw = weights[:-1] / spread
    return raw, float(weights[-1] - raw @ mean)


def report(instrument: str, tables: list[tuple[Floats, Floats]], played: list[int]) -> None:
    """Print the F1 of pieces by the others' weights at several limits, and the weights of all."""
    held: list[Floats] = []
    for number, (rows, _) in enumerate(tables):
        others = [each for other, each in enumerate(tables) if other != number]
        weights, constant = fit(*(np.concatenate(part) for part in zip(*others, strict=True)))
        held.append(1 / (1 + np.exp(-(rows @ weights + constant))))
    for limit in (0.3, 0.35, 0.4, 0.45, 0.5):
        f1: list[Any] = []
        for belief, (_, marks), count in zip(held, tables, played, strict=True):
            kept_ones = belief >= limit
            f1.append(2 * marks[kept_ones].sum() / max(1, kept_ones.sum() + count))
        print(f"{instrument} at {limit}: F1 {np.mean(f1):.3f}, worst {min(f1):.3f}")
    weights, constant = fit(*(np.concatenate(part) for part in zip(*tables, strict=True)))
    assert len(weights) == len(FEATURES)
    print(f"Belief(({', '.join(f'{weight:.2f}' for weight in weights)}), {constant:.2f})", flush=True)


if __name__ == "__main__":
    main()
