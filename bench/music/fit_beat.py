"""Fits which beat Engrave takes: a choice among the candidates of each piece, by weights of what speaks for each.

Repeat: ``PYTHONPATH=. python -m bench.music.fit_beat FOLDER``; what Transcribe hears is kept in the folder. The pieces
have seeds of their own. Every piece is taken exact, 15 and 30 ms off, and as heard, which counts twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from bench.music.pieces import Piece, piece
from bench.music.score import heard, late, transcribed
from numpy.typing import NDArray

from audiojob_runner.score.heard import HeardNote, Instrument, PartNotes
from audiojob_runner.score.rhythm.beats import Beats, beats_of
from audiojob_runner.score.rhythm.evidence import BY_DIVISION, COMMON, DIVISIONS, Candidate
from audiojob_runner.score.rhythm.onsets import groups_of, onsets_of
from audiojob_runner.score.rhythm.tactus import choices

FIT: Final = range(3000, 3080)
HELD: Final = range(4000, 4030)
LATE: Final = (0.0, 0.015, 0.030)
PENALTY: Final = 1e-3
STEPS, STEP = 1_200, 0.05
BEGINS: Final = 0.5  # seconds before a piece
TEMPO_NEAR, PHASE_NEAR = 0.02, 0.06
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A piece as it was heard once: a row of figures for each candidate, and which of them are right."""

    rows: Floats
    right: NDArray[np.bool_]
    weight: float


def main() -> None:
    """Print the weights, and how often they are right on pieces that did not give them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    folder = options.parse_args().folder
    fitted, held = ([*cases(seeds, folder)] for seeds in (FIT, HELD))
    weights = fit(fitted)
    for name, those in (("fitted", fitted), ("held out", held)):
        right = sum(bool(each.right[int(np.argmax(each.rows @ weights))]) for each in those)
        print(f"{name}: {right} of {len(those)}")
    at = len(COMMON)
    print("common", texts(weights[:at]))
    for division in DIVISIONS:
        count = len(BY_DIVISION[division])
        print(division, texts(weights[at : at + count]))
        at += count


def texts(weights: Floats) -> str:
    return ", ".join(f"{weight:.2f}" for weight in weights)


def cases(seeds: Sequence[int], folder: Path) -> Iterator[Case]:
    """All of these pieces."""
    for seed in seeds:
        made = piece("piano", seed)
        for jitter in LATE:
            yield case(made, heard(late(made, jitter)), 1.0)
        yield case(made, transcribed(made, folder), 2.0)


def case(made: Piece, notes: Sequence[HeardNote], weight: float) -> Case:
    """A piece heard as these notes."""
    onsets = onsets_of([PartNotes("Piano", Instrument.PIANO, notes)])
    beats = beats_of(onsets)
    found = choices(groups_of(onsets, beats.places(onsets.times)), beats.per_minute)
    right = [is_right(made, beats, float(ratio), each) for ratio, each in found]
    return Case(np.array([row(each) for _, each in found]), np.array(right), weight)


def row(candidate: Candidate) -> list[float]:
    """The figures as a row that has a place for those of each division."""
    own = {each: [0.0] * len(BY_DIVISION[each]) for each in DIVISIONS}
    own[candidate.division] = list(candidate.figures[len(COMMON) :])
    return [*candidate.figures[: len(COMMON)], *(figure for each in DIVISIONS for figure in own[each])]


def is_right(made: Piece, beats: Beats, ratio: float, candidate: Candidate) -> bool:
    """Whether these are the beats that the piece was written with."""
    if (candidate.division == 3) != made.metre.compound:
        return False
    if abs(beats.per_minute * ratio / made.bpm - 1) > TEMPO_NEAR:
        return False
    seconds = 60 / made.bpm
    within = (beats.times > BEGINS) & (beats.times < BEGINS + made.bars * made.metre.beats * seconds)
    places = np.arange(len(beats.times)) * ratio - candidate.twelfth / 12 - (beats.times - BEGINS) / seconds
    off = np.angle(np.exp(2j * np.pi * places[within]).mean()) / (2 * np.pi)
    return bool(abs(off) < PHASE_NEAR)


def fit(given: Sequence[Case]) -> Floats:
    """Weights by which the right candidates are likeliest (Adam, on the logarithm of their share)."""
    known = [each for each in given if each.right.any()]
    every = np.concatenate([each.rows for each in known])
    spread = every.std(axis=0) + 1e-9
    width = max(len(each.rows) for each in known)
    rows = np.zeros((len(known), width, every.shape[1]))
    there, right = np.full((len(known), width), -1e9), np.full((len(known), width), -1e9)
    for number, each in enumerate(known):
        rows[number, : len(each.rows)] = (each.rows - every.mean(axis=0)) / spread
        there[number, : len(each.rows)] = 0
        right[number, np.flatnonzero(each.right)] = 0
    counts = np.array([each.weight for each in known])
    counts /= counts.sum()
    weights, first, second = (np.zeros(every.shape[1]) for _ in range(3))
    for step in range(1, STEPS + 1):
        sums = rows @ weights
        slope = PENALTY * weights - np.einsum("i,ij,ijk->k", counts, shares(sums + right) - shares(sums + there), rows)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        rate = STEP * (1.0 if step < 0.7 * STEPS else 0.2)
        weights -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-9)
    found: Floats = weights / spread
    return found


def shares(sums: Floats) -> Floats:
    found = np.exp(sums - sums.max(axis=1, keepdims=True))
    shared: Floats = found / found.sum(axis=1, keepdims=True)
    return shared


if __name__ == "__main__":
    main()
