"""How much of a piece is written as it was composed: key, metre, tempo, places, durations and hands.

Repeat: ``PYTHONPATH=. python -m bench.music.score`` (seeds that nothing was chosen on; ``--trial``: those that
settings were chosen on). ``--heard FOLDER``: also from what Transcribe hears of the pieces as sound, which needs
fluidsynth and fluid-soundfont-gm; sound and notes are kept in the folder. music21's own quantiser is told the true
tempo, where bars begin, and which hand plays what, none of which it can find.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isnan, nan
from pathlib import Path
from statistics import mean, median
from typing import Final

from bench.music.pieces import REPORT, TRIAL, Piece, Played, piece
from bench.music.render import render
from bench.music.transcribe import notes_of
from music21 import note as m21_note
from music21 import stream

from audiojob_runner.score.arrange import arrange
from audiojob_runner.score.heard import HeardNote, Instrument, Options, PartNotes
from audiojob_runner.score.model import Score
from audiojob_runner.score.playing import sounding
from audiojob_types.documents.notes import Notes

TWELFTH: Final = 1 / 12 + 0.001
TEMPO_NEAR: Final = 0.02


@dataclass(frozen=True)
class Placed:
    """A note in a score: quarters, key, and the staff that it is on."""

    start: float
    length: float
    key: int
    staff: int


@dataclass(frozen=True)
class Outcome:
    """One piece. Shares are of the notes that were composed; of ``length`` and ``hand``, of those that are placed;
    nothing is placed where the tempo is another one."""

    key: bool
    metre: bool
    tempo: bool
    place: float
    length: float
    hand: float
    seconds: float


def main() -> None:
    """Write all pieces, and print a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trial", action="store_true")
    options.add_argument("--first", type=int, help="seeds from this one on, in place of those")
    options.add_argument("--count", type=int, default=20)
    options.add_argument("--heard", type=Path)
    options.add_argument("--no-music21", action="store_true")
    options.add_argument("--each", action="store_true", help="a line for each piece too")
    arguments = options.parse_args()
    seeds = TRIAL if arguments.trial else REPORT
    if arguments.first is not None:
        seeds = tuple(range(arguments.first, arguments.first + arguments.count))
    pieces = [piece("piano", seed) for seed in seeds]
    print("| notes | key | metre | tempo | place: mean | median | worst | durations | hands | s a piece |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    ways: dict[str, Callable[[Piece], Outcome]] = {
        "exact": lambda each: written(each, heard(late(each, 0.0))),
        "as played": lambda each: written(each, heard(each.played())),
        "15 ms off": lambda each: written(each, heard(late(each, 0.015))),
        "30 ms off": lambda each: written(each, heard(late(each, 0.030))),
        "15 ms off, told tempo": lambda each: written(each, heard(late(each, 0.015)), told=True),
        "30 ms off, told tempo": lambda each: written(each, heard(late(each, 0.030)), told=True),
    }
    if arguments.heard:
        ways["heard by Transcribe"] = lambda each: written(each, transcribed(each, arguments.heard))
        ways["heard by Transcribe, told tempo"] = lambda each: written(
            each, transcribed(each, arguments.heard), told=True
        )
    if not arguments.no_music21:
        ways["15 ms off: music21, told tempo, bars, hands"] = lambda each: by_music21(each, late(each, 0.015))
        ways["30 ms off: music21, told tempo, bars, hands"] = lambda each: by_music21(each, late(each, 0.030))
    for name, way in ways.items():
        outcomes = [way(each) for each in pieces]
        print(row(name, outcomes), flush=True)
        if arguments.each:
            for each, outcome in zip(pieces, outcomes, strict=True):
                print("   ", each.name, f"{each.metre.numerator}/{each.metre.denominator}", each.bpm, outcome)


def row(name: str, outcomes: Sequence[Outcome]) -> str:
    """A line of the table."""
    places = [each.place for each in outcomes]
    texts = [
        f"{sum(getattr(each, what) for each in outcomes)} of {len(outcomes)}" for what in ("key", "metre", "tempo")
    ]
    figures = [mean(places), median(places), min(places)]
    columns = ([each.length for each in outcomes], [each.hand for each in outcomes])
    figures += [mean(share for share in column if not isnan(share)) for column in columns]
    figures.append(mean(each.seconds for each in outcomes))
    return f"| {name} | {' | '.join([*texts, *(f'{figure:.3f}' for figure in figures)])} |"


def late(piece: Piece, jitter: float) -> tuple[Played, ...]:
    """The piece as it sounds when players are off by so many seconds."""
    return replace(piece, jitter=jitter).played()


def heard(played: Sequence[Played]) -> list[HeardNote]:
    """The notes as if they had been heard without a fault."""
    return [HeardNote(note.onset, note.offset, note.pitch, note.velocity) for note in played]


def transcribed(piece: Piece, folder: Path) -> list[HeardNote]:
    """The notes that Transcribe hears, kept from one run to the next."""
    kept = folder / f"{piece.name}.json"
    if not kept.exists():
        kept.write_bytes(notes_of(render(piece, folder), "Piano").model_dump_json(by_alias=True).encode())
    notes = Notes.read(kept.read_bytes())
    return [HeardNote(note.onset, note.offset, note.pitch, note.velocity) for note in notes.notes]


def written(piece: Piece, notes: Sequence[HeardNote], *, told: bool = False) -> Outcome:
    """What becomes of notes as the runner writes them. ``told``: the user gave the tempo."""
    options = Options(quarters_per_minute=60 / piece.quarter_seconds if told else None)
    began = time.process_time()
    score = arrange([PartNotes("Piano", Instrument.PIANO, notes)], options)
    seconds = time.process_time() - began
    metre = f"{score.bars[0].time.beats}/{score.bars[0].time.unit}"
    true = f"{piece.metre.numerator}/{piece.metre.denominator}"
    tonic = (score.key.fifths * 7 + (9 if score.key.mode == "minor" else 0)) % 12
    tempo = score.tempos[0].quarters_per_minute * piece.quarter_seconds / 60
    near = abs(tempo - 1) <= TEMPO_NEAR
    return Outcome(
        (tonic, score.key.mode.value) == (piece.key.tonic, piece.key.mode),
        metre == true or {metre, true} == {"2/4", "4/4"},
        near,
        *(shares(piece, placed(score)) if near else (0.0, nan, nan)),
        seconds,
    )


def placed(score: Score) -> list[Placed]:
    """The score's notes, ties as one."""
    return [
        Placed(float(note.start), float(note.end - note.start), note.key, number)
        for part in score.parts
        for number, staff in enumerate(part.staves)
        for note in sounding(replace(part, staves=(staff,)))
    ]


def shares(piece: Piece, found: Sequence[Placed]) -> tuple[float, float, float]:
    """Notes at their places, and of these those that last as long, and those on their hand's staff.

    Place 0 is where the score begins, so places are compared from the barline that most notes agree on.
    """
    near = TWELFTH * piece.metre.beat
    by_key = dict[int, list[Placed]]()
    for note in found:
        by_key.setdefault(note.key, []).append(note)
    votes = Counter(
        round((other.start - note.start) * 12) for note in piece.notes for other in by_key.get(note.pitch, [])
    )
    shift = votes.most_common(1)[0][0] / 12 if votes else 0.0
    places = lengths = hands = 0
    for note in piece.notes:
        at = [each for each in by_key.get(note.pitch, []) if abs(each.start - note.start - shift) <= near]
        if at:
            best = min(at, key=lambda each: abs(each.start - note.start - shift))
            by_key[note.pitch].remove(best)
            places += 1
            lengths += abs(best.length - note.length) <= near
            hands += best.staff == (0 if note.part == "right" else 1)
    return places / len(piece.notes), lengths / max(places, 1), hands / max(places, 1)


def by_music21(piece: Piece, played: Sequence[Played]) -> Outcome:
    """The same by music21's quantiser with its own settings, and its key finder."""
    began = time.process_time()
    found = list[Placed]()
    whole = stream.Stream()
    for number, hand in enumerate(("right", "left")):
        line = stream.Stream()
        for each in (each for each in played if each.part == hand):
            start = (each.onset - 0.5) / piece.quarter_seconds
            length = (each.offset - each.onset) / piece.quarter_seconds
            line.insert(max(start, 0.0), m21_note.Note(each.pitch, quarterLength=length))
            whole.insert(max(start, 0.0), m21_note.Note(each.pitch, quarterLength=length))
        line.quantize(inPlace=True)
        for each_note in line.notes:
            length = float(Fraction(each_note.quarterLength))
            found.append(Placed(float(each_note.offset), length, each_note.pitch.midi, number))
    key = whole.analyze("key")
    right = (key.tonic.pitchClass, key.mode) == (piece.key.tonic, piece.key.mode)
    return Outcome(right, False, False, *shares(piece, found), time.process_time() - began)


if __name__ == "__main__":
    main()
