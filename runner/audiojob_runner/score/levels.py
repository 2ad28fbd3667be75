"""How much of it is written: all parts, two staves for a piano, or the melody alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from audiojob_runner.score.heard import HeardNote, Instrument, Level, PartNotes

_KEYBOARDS: Final = (Instrument.PIANO, Instrument.ORGAN, Instrument.HARP, Instrument.STRINGS)
_TOGETHER_SECONDS: Final = 0.04
_MOST_FINGERS: Final = 8  # notes that begin at once in a reduction: more are doublings


def simplified(parts: Sequence[PartNotes], level: Level) -> list[PartNotes]:
    """The parts that are written."""
    if level is Level.FULL_SCORE:
        return list(parts)
    pitched = [part for part in parts if part.notes]
    if not pitched:
        return list(parts)
    if level is Level.LEAD_SHEET:
        return [_melody(pitched)]
    notes = sorted((note for part in pitched for note in part.notes), key=lambda note: (note.start, note.key))
    sung = next((part.words for part in pitched if part.words), ())
    return [PartNotes("Piano", Instrument.PIANO, _reduced(notes), words=sung)]


def _melody(parts: Sequence[PartNotes]) -> PartNotes:
    """What is sung; else the highest notes of the highest part that is no bass."""
    voice = next((part for part in parts if part.instrument is Instrument.VOICE), None)
    chosen = voice or max(parts, key=_height)
    instrument = Instrument.OTHER if chosen.instrument in _KEYBOARDS else chosen.instrument
    return PartNotes(chosen.name, instrument, _highest(chosen.notes), words=chosen.words)


def _height(part: PartNotes) -> float:
    keys = sorted(note.key for note in part.notes)
    return keys[len(keys) * 3 // 4]


def _highest(notes: Sequence[HeardNote]) -> list[HeardNote]:
    """At each time the highest note, unless a higher one still sounds."""
    found = list[HeardNote]()
    for note in sorted(notes, key=lambda note: (note.start, -note.key)):
        last = found[-1] if found else None
        if last and note.key < last.key and note.start < last.end - _TOGETHER_SECONDS:
            continue
        if last and note.start - last.start <= _TOGETHER_SECONDS and note.key <= last.key:
            continue
        found.append(note)
    return found


def _reduced(notes: Sequence[HeardNote]) -> list[HeardNote]:
    """Each key once at a time; of too many notes at once the lowest and the highest."""
    found, group = list[HeardNote](), dict[int, HeardNote]()
    began = 0.0
    for note in notes:
        if group and note.start - began > _TOGETHER_SECONDS:
            found += _playable(group)
            group = {}
        began = note.start if not group else began
        if note.key not in group or group[note.key].end < note.end:
            group[note.key] = note
    return sorted(found + _playable(group), key=lambda note: (note.start, note.key))


def _playable(group: dict[int, HeardNote]) -> list[HeardNote]:
    keys = sorted(group)
    if len(keys) > _MOST_FINGERS:
        keys = keys[: _MOST_FINGERS // 2] + keys[-(_MOST_FINGERS // 2) :]
    return [group[key] for key in keys]
