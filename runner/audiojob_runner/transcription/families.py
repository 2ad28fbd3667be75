"""What is listened for, by instrument: which notes there can be, how many at a time, what counts as one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from audiojob_runner.transcription.decoding.decode import Settings
from audiojob_types.documents.notes import Instrument


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of instruments. ``voices``: how many notes sound at a time, 0 where there is no limit."""

    settings: Settings
    voices: int
    program: int  # of General MIDI
    bends: bool  # whether its notes move
    doubt: str | None = None  # what users are told of results with it


_SOFT: Final = "Notes of instruments that begin softly, such as strings, organs and choirs, are often missed or late."
_BAND: Final = "Of several instruments at a time many notes are missed: separate them first, and leave out the drums."

FAMILIES: Final[dict[Instrument, Family]] = {
    Instrument.PIANO: Family(Settings(), voices=0, program=0, bends=False),
    Instrument.GUITAR: Family(Settings(onset=0.7, note=0.5, lowest=38, highest=88), voices=6, program=24, bends=True),
    Instrument.BASS: Family(Settings(note=0.5, lowest=23, highest=67), voices=1, program=33, bends=True),
    Instrument.VOICE: Family(
        Settings(note=0.45, least=5, lowest=36, highest=88),
        voices=1,
        program=52,
        bends=True,
        doubt="Of a voice one note at a time is written; sliding and spoken notes are often wrong.",
    ),
    Instrument.OTHER: Family(Settings(note=0.5, least=5), voices=0, program=0, bends=True, doubt=f"{_SOFT} {_BAND}"),
    Instrument.DRUMS: Family(
        Settings(),
        voices=0,
        program=0,
        bends=False,
        doubt="Of drums, kick, snare and hi-hat are told apart; toms and cymbals count as the nearest of them.",
    ),
}

# How much likelier, or less likely, a begin and what follows must be.
_SHIFTS: Final = {"Low": 0.1, "Normal": 0.0, "High": -0.1}


def settings_of(instrument: Instrument, sensitivity: str) -> Settings:
    """The family's settings at that sensitivity."""
    settings, shift = FAMILIES[instrument].settings, _SHIFTS[sensitivity]
    return replace(settings, onset=settings.onset + shift, note=settings.note + shift / 2)
