"""What is listened for, by instrument: which notes there can be, how many at a time, what counts as one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from audiojob_runner.transcription.decoding.belief import Belief, Believer
from audiojob_runner.transcription.decoding.decode import Settings
from audiojob_runner.transcription.decoding.judgement import Kept
from audiojob_runner.transcription.decoding.parts import Rules
from audiojob_types.documents.notes import Instrument

CANDIDATES: Final = Settings()
"""What may be a note of any instrument; the belief chooses among them."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of instruments. ``voices``: how many notes sound at a time, 0 where there is no limit."""

    belief: Believer
    voices: int
    program: int  # of General MIDI
    bends: bool  # whether its notes move
    late: float  # seconds by which the network tells of a begin too late
    lowest: int = 21
    highest: int = 108
    faint: float = CANDIDATES.faint
    unsure: float = 0.8  # how far its notes are believed on average, where their pitches agree on no tuning
    doubt: str | None = None  # what users are told of results with it


_SOFT: Final = "Notes of instruments that begin softly, such as strings, organs and choirs, are often missed or late."
_BAND: Final = "Of several instruments at a time many notes are missed: separate them first, and leave out the drums."

# By bench/music/piano/fit.py.
_PIANO: Final = Kept("piano.json")
# By bench/music/fit.py.
_GUITAR: Final = Belief((11.41, 2.16, 6.24, -6.95, 3.73, -3.10, 4.86, -5.45, 2.75), -14.09)
_BASS: Final = Belief((4.83, -2.68, 10.63, -3.92, 0.72, -7.52, 8.53, -6.04, 0.43), -8.90)
_VOICE: Final = Belief((9.48, 10.08, 0.85, -3.53, -1.24, 1.89, 4.72, -9.43, -0.73), -11.80)
_OTHER: Final = Belief((8.72, 10.57, -5.07, -8.31, 1.46, -1.66, 1.50, -2.12, 1.13), -7.44)

FAMILIES: Final[dict[Instrument, Family]] = {
    # Of speech and drums its judgement believes a few notes up to 0.88 on average, of pianos 0.95.
    Instrument.PIANO: Family(_PIANO, voices=0, program=0, bends=False, late=0.006, faint=0.15, unsure=0.92),
    Instrument.GUITAR: Family(_GUITAR, voices=6, program=24, bends=True, late=0.008, lowest=38, highest=88),
    Instrument.BASS: Family(_BASS, voices=1, program=33, bends=True, late=0.014, lowest=23, highest=67),
    Instrument.VOICE: Family(
        _VOICE,
        voices=1,
        program=52,
        bends=True,
        late=0.024,
        lowest=36,
        highest=88,
        doubt="Of a voice one note at a time is written; sliding and spoken notes are often wrong.",
    ),
    Instrument.OTHER: Family(_OTHER, voices=0, program=0, bends=True, late=0.012, doubt=f"{_SOFT} {_BAND}"),
    Instrument.DRUMS: Family(
        _OTHER,
        voices=0,
        program=0,
        bends=False,
        late=0.0,
        doubt="Of drums, kick, snare and hi-hat are told apart; toms and cymbals count as the nearest of them.",
    ),
}

# How far a note must be believed.
LEAST: Final = {"Low": 0.6, "Normal": 0.4, "High": 0.25}


def rules_of(instrument: Instrument, sensitivity: str) -> Rules:
    """What counts as a note of the instrument at that sensitivity."""
    family = FAMILIES[instrument]
    settings = replace(CANDIDATES, lowest=family.lowest, highest=family.highest, faint=family.faint)
    return Rules(settings, family.belief, LEAST[sensitivity], family.bends)
