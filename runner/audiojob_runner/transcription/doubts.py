"""What users are told of a result, and whether there was any music at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from audiojob_runner.transcription.decoding.parts import Heard
from audiojob_runner.transcription.families import FAMILIES
from audiojob_runner.transcription.tuning import Tuning
from audiojob_types.documents.notes import Instrument, Notes

LEAST_RATE: Final = 16_000
TOLD_CENTS: Final = 10.0
# Of noise and drums a few notes are heard as well, faint ones on no tuning.
_FEW_A_MINUTE: Final = 20.0


def is_music(heard: Sequence[Heard], tuning: Tuning, seconds: float, instrument: Instrument) -> bool:
    """Whether what was heard are notes that somebody played, and not what noise or drums leave behind."""
    if not heard or tuning.certain:
        return bool(heard)
    few = len(heard) / seconds * 60 < _FEW_A_MINUTE
    belief = sum(each.belief for each in heard) / len(heard)
    return not few and belief >= FAMILIES[instrument].unsure


def doubts_of(record: Notes, tuning: Tuning, source_rate: int) -> list[str]:
    """Warnings, one sentence or two each."""
    found = []
    if (doubt := FAMILIES[record.instrument].doubt) is not None:
        found.append(doubt)
    if source_rate < LEAST_RATE:
        found.append(f"The recording has {source_rate} Hz: notes are missed below {LEAST_RATE} Hz.")
    if record.instrument is Instrument.DRUMS:
        return found
    if not tuning.certain:
        found.append("The pitches agree on no tuning: many notes are wrong if this is speech, noise or drums.")
    elif abs(record.tuning_cents) >= TOLD_CENTS:
        side = "above" if record.tuning_cents > 0 else "below"
        found.append(f"The recording is {abs(record.tuning_cents):.0f} cents {side} A = 440 Hz; notes are the nearest.")
    return found
