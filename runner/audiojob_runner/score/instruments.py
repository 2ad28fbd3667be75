"""How each instrument is written: staves, clefs, transposition, and its MIDI program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audiojob_runner.score.heard import Instrument
from audiojob_runner.score.model import ALTO, BASS, TENOR, TREBLE, TREBLE_OCTAVE_LOWER, Clef, Transposition


@dataclass(frozen=True, slots=True)
class Writing:
    """``clefs`` are those that its staff may have, the usual one first; a keyboard has two staves instead."""

    program: int  # General MIDI, from 0
    clefs: tuple[Clef, ...] = (TREBLE,)
    transposition: Transposition | None = None
    keyboard: bool = False


_HIGH_AND_LOW: Final = (TREBLE, BASS)
_LOW: Final = (BASS, TENOR)
_OCTAVE_LOWER: Final = Transposition(0, 0, -1)
_KEYBOARD: Final = (TREBLE, BASS)

WRITINGS: Final[dict[Instrument, Writing]] = {
    Instrument.PIANO: Writing(0, _KEYBOARD, keyboard=True),
    Instrument.ORGAN: Writing(19, _KEYBOARD, keyboard=True),
    Instrument.HARP: Writing(46, _KEYBOARD, keyboard=True),
    Instrument.GUITAR: Writing(25, (TREBLE_OCTAVE_LOWER,)),
    Instrument.BASS: Writing(33, (BASS,), _OCTAVE_LOWER),
    Instrument.VOICE: Writing(53, _HIGH_AND_LOW),
    Instrument.VIOLIN: Writing(40),
    Instrument.VIOLA: Writing(41, (ALTO, TREBLE)),
    Instrument.CELLO: Writing(42, (BASS, TENOR, TREBLE)),
    Instrument.DOUBLE_BASS: Writing(43, (BASS,), _OCTAVE_LOWER),
    Instrument.STRINGS: Writing(48, _KEYBOARD, keyboard=True),
    Instrument.FLUTE: Writing(73),
    Instrument.OBOE: Writing(68),
    Instrument.CLARINET: Writing(71, transposition=Transposition(-1, -2)),
    Instrument.BASSOON: Writing(70, _LOW),
    Instrument.HORN: Writing(60, transposition=Transposition(-4, -7)),
    Instrument.TRUMPET: Writing(56, transposition=Transposition(-1, -2)),
    Instrument.TROMBONE: Writing(57, _LOW),
    Instrument.ALTO_SAXOPHONE: Writing(65, transposition=Transposition(-5, -9)),
    Instrument.TENOR_SAXOPHONE: Writing(66, transposition=Transposition(-1, -2, -1)),
    Instrument.OTHER: Writing(0, _HIGH_AND_LOW),
    Instrument.DRUMS: Writing(0),
}
