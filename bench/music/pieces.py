"""Pieces of music by seed, of which everything is known: notes and hands, tempo, metre, key.

Nothing is random but by the seed, so a seed is a piece. Settings are chosen on the seeds of ``TRIAL``, and reported
on those of ``REPORT``, which nothing was chosen on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from bench.music.harmony import LOOPS, Key, Mode
from bench.music.rhythms import METRES, Metre, rhythm

Kind = Literal["piano", "guitar", "strings", "bass", "lead", "mix"]
KINDS: Final[tuple[Kind, ...]] = ("piano", "guitar", "strings", "bass", "lead", "mix")
TRIAL: Final = tuple(range(100, 120))
REPORT: Final = tuple(range(500, 520))

_PROGRAMS: Final = {
    "piano": (0, 1), "guitar": (24, 25), "strings": (48, 49), "bass": (32, 33, 34), "lead": (53, 65, 71, 73),
}  # fmt: skip
_RANGES: Final = {"guitar": (40, 76), "strings": (36, 84), "bass": (28, 52), "lead": (57, 81)}


@dataclass(frozen=True)
class Written:
    """A note as it stands in the score. Times in quarters from the beginning of the first bar."""

    start: float
    length: float
    pitch: int
    velocity: int
    part: str  # right, left, or the instrument's kind


@dataclass(frozen=True)
class Played:
    """The same note as it sounds. Times in seconds."""

    onset: float
    offset: float
    pitch: int
    velocity: int
    part: str


@dataclass(frozen=True)
class Piece:
    """One piece. ``bpm`` counts the metre's beats: quarters, or dotted quarters in 6/8."""

    kind: Kind
    seed: int
    key: Key
    metre: Metre
    bpm: float
    bars: int
    jitter: float  # by how many seconds players are off, as a standard deviation
    notes: tuple[Written, ...]
    programs: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.seed}"

    @property
    def quarter_seconds(self) -> float:
        return 60 / self.bpm / self.metre.beat

    def played(self) -> tuple[Played, ...]:
        """How it sounds, in order of onset; it begins after half a second."""
        chance = np.random.default_rng(self.seed + 7_000)
        found = []
        for note in self.notes:
            off = float(np.clip(chance.normal(0, self.jitter), -2 * self.jitter, 2 * self.jitter)) if self.jitter else 0
            onset = max(0.0, 0.5 + note.start * self.quarter_seconds + off)
            held = max(0.06, note.length * self.quarter_seconds * 0.95)
            found.append(Played(onset, onset + held, note.pitch, note.velocity, note.part))
        return tuple(sorted(found, key=lambda note: (note.onset, note.pitch)))


def piece(kind: Kind, seed: int) -> Piece:
    """The piece of a seed."""
    chance = np.random.default_rng([KINDS.index(kind), seed])
    metre = METRES[int(chance.choice(len(METRES), p=(0.4, 0.25, 0.2, 0.15)))]
    mode: Mode = "major" if chance.random() < 0.6 else "minor"
    key = Key(int(chance.integers(12)), mode)
    low, high = (50, 100) if metre.compound else (66, 150)
    blank = Piece(
        kind,
        seed,
        key,
        metre,
        bpm=float(round(chance.uniform(low, high))),
        bars=int(chance.integers(12, 25)),
        jitter=float(chance.choice((0.0, 0.0, 0.010, 0.015))),
        notes=(),
    )
    degrees = _degrees(blank, chance)
    parts = {"piano": ("right", "left"), "mix": _mixed(chance)}.get(kind, (kind,))
    level = float(chance.uniform(0, 1))  # how hard it is
    notes = [note for part in parts for note in _PARTS[part](blank, degrees, level, chance)]
    programs = {part: _program(part, chance) for part in parts}
    return replace(blank, notes=tuple(sorted(notes, key=lambda note: (note.start, note.pitch))), programs=programs)


def _mixed(chance: np.random.Generator) -> tuple[str, ...]:
    pairs = (("lead", "left"), ("lead", "guitar"), ("guitar", "bass"), ("lead", "bass"))
    return pairs[int(chance.integers(len(pairs)))]


def _program(part: str, chance: np.random.Generator) -> int:
    known = _PROGRAMS.get(part, _PROGRAMS["piano"][:1])
    return int(known[int(chance.integers(len(known)))])


def _degrees(blank: Piece, chance: np.random.Generator) -> list[int]:
    """The chord of each bar, by its scale degree; the last is the tonic."""
    loops = LOOPS[blank.key.mode]
    degrees: list[int] = []
    while len(degrees) < blank.bars:
        degrees += loops[int(chance.integers(len(loops)))]
    return [*degrees[: blank.bars - 2], 4 if chance.random() < 0.7 else 3, 0]


def _strength(piece: Piece, start: float, chance: np.random.Generator) -> int:
    bar = piece.metre.quarters
    accent = 10 if start % bar == 0 else 4 if start % piece.metre.beat == 0 else 0
    return int(np.clip(72 + accent + chance.normal(0, 7), 40, 110))


def _melody(
    piece: Piece, degrees: list[int], level: float, chance: np.random.Generator, part: str, bounds: tuple[int, int]
) -> list[Written]:
    """A tune that moves in steps, on notes of the chord where the beat is."""
    low, high = bounds
    at = (low + high) / 2 + chance.uniform(-3, 3)
    notes = []
    for bar, degree in enumerate(degrees):
        chord = piece.key.chord(degree)
        last = bar == len(degrees) - 1
        for start, length, sounds in rhythm(piece.metre, level, chance, closing=last):
            at = float(np.clip(at + chance.choice((-4, -2, -2, -1, 1, 2, 2, 4)), low + 1, high - 1))
            on_beat = start % piece.metre.beat == 0
            pitch = piece.key.nearest(at, chord if on_beat or last else None)
            if last and start == 0:
                pitch = piece.key.nearest(at, (piece.key.tonic,))
            if sounds:
                absolute = bar * piece.metre.quarters + start
                notes.append(Written(absolute, length, pitch, _strength(piece, start, chance), part))
    return notes


def _right(piece: Piece, degrees: list[int], level: float, chance: np.random.Generator) -> list[Written]:
    """A piano's right hand: a tune, with chords under some of its notes in harder pieces."""
    notes = _melody(piece, degrees, level, chance, "right", (62, 84))
    thick = []
    for note in notes:
        degree = degrees[int(note.start // piece.metre.quarters)]
        if chance.random() < 0.35 * level and note.start % piece.metre.beat == 0:
            below = [
                tone for tone in (piece.key.nearest(note.pitch - gap, piece.key.chord(degree)) for gap in (4, 8))
                if 60 <= tone < note.pitch and note.pitch - tone <= 12
            ]  # fmt: skip
            thick += [replace(note, pitch=tone, velocity=note.velocity - 6) for tone in sorted(set(below))]
    return notes + thick


def _left(piece: Piece, degrees: list[int], level: float, chance: np.random.Generator) -> list[Written]:
    """A piano's left hand: one way of playing chords all through the piece."""
    way = ("block", "bass and chords", "broken", "octaves")[int(chance.integers(4))]
    notes = []
    for bar, degree in enumerate(degrees):
        chord = piece.key.chord(degree)
        root = 36 + (chord[0] - 36) % 12
        tones = [piece.key.nearest(root + gap, chord) for gap in (7, 12, 15)]
        start = bar * piece.metre.quarters
        if bar == len(degrees) - 1:
            steps = [(0.0, piece.metre.quarters, (root, tones[1]))]
        else:
            steps = _left_bar(piece.metre, way, root, sorted(set(tones)))
        for offset, length, pitches in steps:
            velocity = _strength(piece, offset, chance) - 8
            notes += [Written(start + offset, length, pitch, velocity, "left") for pitch in sorted(set(pitches))]
    return notes


def _left_bar(metre: Metre, way: str, root: int, tones: list[int]) -> list[tuple[float, float, tuple[int, ...]]]:
    beats = [number * metre.beat for number in range(metre.beats)]
    if way == "block":
        return [(0.0, metre.quarters, (root, *tones[:2]))]
    if way == "octaves":
        return [(start, metre.beat, (root, root + 12)) for start in beats]
    if way == "bass and chords":
        rest = [(start, metre.beat, tuple(tones[:3])) for start in beats[1:]]
        return [(0.0, metre.beat, (root,)), *rest]
    eighths = round(metre.quarters * 2)
    order = [root, *tones, *tones[-2:0:-1]]
    return [(step / 2, 0.5, (order[step % len(order)],)) for step in range(eighths)]


def _guitar(piece: Piece, degrees: list[int], level: float, chance: np.random.Generator) -> list[Written]:
    """Picked chords, a string after the other, or strummed ones."""
    low, high = _RANGES["guitar"]
    strummed = chance.random() < 0.4
    notes = []
    for bar, degree in enumerate(degrees):
        chord = piece.key.chord(degree)
        root = low + (chord[0] - low) % 12
        tones = sorted({root, *(piece.key.nearest(root + gap, chord) for gap in (7, 12, 16, 19, 24))})
        tones = [tone for tone in tones if low <= tone <= high]
        begin = bar * piece.metre.quarters
        if strummed or bar == len(degrees) - 1:
            for start in [number * piece.metre.beat for number in range(piece.metre.beats)]:
                length = piece.metre.quarters - start if bar == len(degrees) - 1 else piece.metre.beat
                for order, tone in enumerate(tones[:5]):
                    at = begin + start + order * 0.012 / piece.quarter_seconds
                    notes.append(Written(at, length, tone, _strength(piece, start, chance) - 4, "guitar"))
                if bar == len(degrees) - 1:
                    break
            continue
        step = 0.25 if level > 0.7 and piece.bpm < 100 else 0.5
        order_of = [tones[0], *(tones[int(chance.integers(1, len(tones)))] for _ in range(7))]
        for number in range(round(piece.metre.quarters / step)):
            tone = order_of[number % len(order_of)]
            notes.append(
                Written(begin + number * step, step * 2, tone, _strength(piece, number * step, chance), "guitar")
            )
    return notes


def _strings(piece: Piece, degrees: list[int], level: float, chance: np.random.Generator) -> list[Written]:
    """Four voices: slow chords, and a tune above them in harder pieces."""
    notes = []
    halves = 2 if level > 0.5 and piece.metre.beats % 2 == 0 else 1
    for bar, degree in enumerate(degrees):
        chord = piece.key.chord(degree)
        root = 36 + (chord[0] - 36) % 12
        for half in range(halves):
            length = piece.metre.quarters / halves
            start = bar * piece.metre.quarters + half * length
            pitches = {root, piece.key.nearest(55, chord), piece.key.nearest(62, chord)}
            if level <= 0.4:
                pitches.add(piece.key.nearest(69 + float(chance.uniform(-3, 3)), chord))
            notes += [Written(start, length, pitch, 80, "strings") for pitch in sorted(pitches)]
    if level > 0.4:
        notes += _melody(piece, degrees, level / 2, chance, "strings", (66, 84))
    return notes


def _bass(piece: Piece, degrees: list[int], level: float, chance: np.random.Generator) -> list[Written]:
    """Roots, fifths and ways between them, one note at a time."""
    low, high = _RANGES["bass"]
    notes = []
    for bar, degree in enumerate(degrees):
        chord = piece.key.chord(degree)
        root = low + (chord[0] - low) % 12
        for start, length, sounds in rhythm(piece.metre, level * 0.7, chance, closing=bar == len(degrees) - 1):
            gap = 0 if start == 0 else int(chance.choice((0, 0, 7, 12)))
            pitch = piece.key.nearest(root + gap, chord)
            if sounds and pitch <= high:
                at = bar * piece.metre.quarters + start
                notes.append(Written(at, length, pitch, _strength(piece, start, chance), "bass"))
    return notes


def _lead(piece: Piece, degrees: list[int], level: float, chance: np.random.Generator) -> list[Written]:
    """A tune alone, as a voice or a wind instrument has it."""
    return _melody(piece, degrees, level * 0.8, chance, "lead", _RANGES["lead"])


_PARTS: Final = {
    "right": _right, "left": _left, "guitar": _guitar, "strings": _strings, "bass": _bass, "lead": _lead,
}  # fmt: skip
