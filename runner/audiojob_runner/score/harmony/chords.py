"""Names of chords: what sounds in each part of a bar, against what chords are made of."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from audiojob_runner.score.harmony.spelling import Speller
from audiojob_runner.score.model import ChordKind, ChordSymbol, Time
from audiojob_runner.score.rhythm.metre import TICKS
from audiojob_runner.score.writing.timed import Grid, Timed

_CLASSES: Final = 12
_KINDS: Final = {
    ChordKind.MAJOR: (0, 4, 7),
    ChordKind.MINOR: (0, 3, 7),
    ChordKind.DIMINISHED: (0, 3, 6),
    ChordKind.AUGMENTED: (0, 4, 8),
    ChordKind.SUSPENDED_FOURTH: (0, 5, 7),
    ChordKind.DOMINANT: (0, 4, 7, 10),
    ChordKind.MAJOR_SEVENTH: (0, 4, 7, 11),
    ChordKind.MINOR_SEVENTH: (0, 3, 7, 10),
    ChordKind.HALF_DIMINISHED: (0, 3, 6, 10),
    ChordKind.DIMINISHED_SEVENTH: (0, 3, 6, 9),
}
_PLAINER: Final = (ChordKind.MAJOR, ChordKind.MINOR)
_RARE, _FOREIGN, _BASS_IS_ROOT, _LACKING = 0.15, 1.0, 0.15, 0.25
_SOUNDS: Final = 0.06  # of all: what is less is no tone of the chord
_FEWEST_TONES: Final = 3
_LOW_COUNTS: Final = 1.5
_LOW_KEY: Final = 55

_TEMPLATES: Final = np.array(
    [
        [(tone - root) % _CLASSES in tones for tone in range(_CLASSES)]
        for tones in _KINDS.values()
        for root in range(12)
    ],
    dtype=np.float64,
)


def chords_of(notes: Sequence[Timed], time: Time, grid: Grid, speller: Speller) -> tuple[ChordSymbol, ...]:
    """Symbols where the chord changes, of all that sounds."""
    step = chord_step(time)
    count = -(-(grid.end - grid.first) // step) + 1
    origin = grid.downbeat - -(-(grid.downbeat - grid.first) // step) * step
    sounding, lowest = np.zeros((count, _CLASSES)), np.full(count, 128)
    for note in notes:
        start, end = (
            max(float(note.start - origin), 0.0),
            min(max(note.end, note.start + 1.0) - origin, float(count * step)),
        )
        while start < end:
            number = int(start // step)
            until = min((number + 1) * step, end)
            sounding[number, note.key % _CLASSES] += (until - start) * (_LOW_COUNTS if note.key < _LOW_KEY else 1.0)
            lowest[number] = min(lowest[number], note.key) if until - start > step / 8 else lowest[number]
            start = until
    found = list[ChordSymbol]()
    last: tuple[int, ChordKind, int] | None = None
    for number in range(count):
        named = _named(sounding[number], int(lowest[number]))
        if named is None or named == last:
            continue
        last = named
        root, kind, bass = named
        place = Fraction(max(origin + number * step - grid.first, 0), TICKS)
        low = speller.pitch(48 + bass) if bass != root else None
        found.append(ChordSymbol(place, speller.pitch(48 + root), kind, low))
    return tuple(found)


def chord_step(time: Time) -> int:
    """Ticks in which there is one chord: half a bar where that is two beats or more, else a bar."""
    bar, beat = int(time.quarters * TICKS), int(time.beat * TICKS)
    beats = bar // beat
    return bar // 2 if beats % 2 == 0 and (beats > 2 or time.compound) else bar


def _named(sounding: np.ndarray[tuple[int], np.dtype[np.float64]], lowest: int) -> tuple[int, ChordKind, int] | None:
    """Root, kind and bass; nothing where too little sounds."""
    total = float(sounding.sum())
    if total <= 0:
        return None
    shares = sounding / total
    if (shares > _SOUNDS).sum() < _FEWEST_TONES:
        return None
    fits = _TEMPLATES @ shares - _FOREIGN * ((1 - _TEMPLATES) @ shares)
    fits -= _LACKING * (_TEMPLATES @ (shares < _SOUNDS / 2)) / 3
    fits -= np.repeat([0.0 if kind in _PLAINER else _RARE for kind in _KINDS], _CLASSES)
    fits += _BASS_IS_ROOT * (np.tile(np.arange(_CLASSES), len(_KINDS)) == lowest % _CLASSES)
    best = int(np.argmax(fits))
    kind, root = list(_KINDS)[best // _CLASSES], best % _CLASSES
    tones = {(root + tone) % _CLASSES for tone in _KINDS[kind]}
    return root, kind, lowest % _CLASSES if lowest % _CLASSES in tones else root
