"""The key: which scale the sounding time fits best, and what the piece begins and ends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from audiojob_runner.score.heard import HeardNote
from audiojob_runner.score.model import Key, Mode

_MAJOR: Final = (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0)
_MINOR: Final = (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0)
"""How well each degree from the tonic fits, as Temperley has it."""
_ENDS_ON_TONIC, _BEGINS_ON_TONIC = 0.25, 0.10
_MOST_WORSE: Final = 0.22  # a scale that fits worse than another by more than that is no key, whatever the ends are
_ECHO: Final = 0.4  # of the usual velocity: what is fainter neither begins nor ends a piece
_MOST_EVEN: Final = 0.99  # entropy of the pitch classes, of the most that it may be
_TOGETHER_SECONDS: Final = 0.1
_CLASSES: Final = 12
_LONGEST_SECONDS: Final = 4.0


def key_of(notes: Sequence[HeardNote]) -> Key | None:
    """The key of notes in order of time. None where all pitch classes sound alike, or nothing does."""
    if not notes:
        return None
    sounding = np.zeros(_CLASSES)
    for note in notes:
        sounding[note.key % _CLASSES] += min(note.end - note.start, _LONGEST_SECONDS)
    shares = sounding[sounding > 0] / sounding.sum()
    if -float(shares @ np.log(shares)) / np.log(_CLASSES) > _MOST_EVEN:
        return None
    usual = float(np.median([note.velocity for note in notes]))
    struck = [note for note in notes if note.velocity >= _ECHO * usual]
    first, last = _lowest(struck, struck[0].start), _lowest(struck, struck[-1].start)
    fits = {
        (tonic, mode): float(np.corrcoef(sounding, np.roll(profile, tonic))[0, 1]) if np.ptp(sounding) > 0 else 0.0
        for mode, profile in ((Mode.MAJOR, _MAJOR), (Mode.MINOR, _MINOR))
        for tonic in range(_CLASSES)
    }
    least = max(fits.values()) - _MOST_WORSE
    tonic, mode = max(
        (each for each, fit in fits.items() if fit >= least),
        key=lambda each: fits[each] + _ENDS_ON_TONIC * (last == each[0]) + _BEGINS_ON_TONIC * (first == each[0]),
    )
    return Key(fifths_of(tonic, mode), mode)


def fifths_of(tonic: int, mode: Mode) -> int:
    """The key signature of a tonic's pitch class, of -5 to 6."""
    major = tonic if mode is Mode.MAJOR else tonic + 3
    return (major * 7 + 5) % _CLASSES - 5


def _lowest(notes: Sequence[HeardNote], around: float) -> int:
    """The pitch class of the lowest note that begins about then."""
    return min(note.key for note in notes if abs(note.start - around) <= _TOGETHER_SECONDS) % _CLASSES
