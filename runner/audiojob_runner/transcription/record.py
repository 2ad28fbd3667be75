"""What was heard as ``notes.json`` and as MIDI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from audiojob_runner.transcription.decoding.expression import velocities
from audiojob_runner.transcription.decoding.parts import Heard
from audiojob_runner.transcription.drums import Stroke
from audiojob_runner.transcription.families import FAMILIES
from audiojob_runner.transcription.midi import DRUM_CHANNEL, MidiNote, MidiTrack, midi_file
from audiojob_runner.transcription.network.windows import FRAMES_A_SECOND
from audiojob_types.documents.notes import BEND_STEP_SECONDS, MAX_NOTES, Drum, Hit, Instrument, Note, Notes

_LEAST_SECONDS: Final = 0.03
_STROKE_SECONDS: Final = 0.1
_DRUM_PITCHES: Final = {Drum.KICK: 36, Drum.SNARE: 38, Drum.HAT: 42}  # General MIDI


@dataclass(frozen=True, slots=True)
class About:
    """What the record says besides notes. ``stretch``: how many times as long as the recording its frames are."""

    seconds: float
    instrument: Instrument
    stem: str | None
    cents: float
    stretch: float = 1.0


def record_of_notes(heard: Sequence[Heard], about: About) -> Notes:
    """The record of notes; of more than it takes the faintest are left out."""
    if len(heard) > MAX_NOTES:
        heard = sorted(heard, key=lambda each: each.belief)[-MAX_NOTES:]
    struck = velocities(np.array([each.level for each in heard], dtype=np.float32))
    notes = [_note(each, velocity, about) for each, velocity in zip(heard, struck, strict=True)]
    return _record(about, notes=tuple(sorted(notes, key=lambda note: (note.onset, note.pitch))))


def record_of_strokes(found: Sequence[Stroke], about: About) -> Notes:
    """The record of a drum kit."""
    hits = tuple(
        Hit(
            time=round(stroke.time, 4),
            drum=stroke.drum,
            velocity=int(np.clip(round(40 + 70 * stroke.strength), 1, 127)),
            confidence=round(stroke.strength, 3),
        )
        for stroke in found[:MAX_NOTES]
    )
    return _record(about, hits=hits)


def _record(about: About, notes: tuple[Note, ...] = (), hits: tuple[Hit, ...] = ()) -> Notes:
    return Notes(
        duration_seconds=round(about.seconds, 3),
        instrument=about.instrument,
        stem=about.stem,
        tuning_cents=round(about.cents, 1),
        notes=notes,
        hits=hits,
    )


def _note(heard: Heard, velocity: int, about: About) -> Note:
    seconds = 1 / FRAMES_A_SECOND / about.stretch
    late = FAMILIES[about.instrument].late
    onset = min(max(0.0, heard.note.first * seconds - late), about.seconds)
    offset = max(onset + _LEAST_SECONDS, min(heard.note.end * seconds - late, about.seconds))
    return Note(
        onset=round(onset, 4),
        offset=round(offset, 4),
        pitch=heard.note.pitch,
        velocity=velocity,
        confidence=round(heard.belief, 3),
        bends=heard.bends,
    )


def midi_of(record: Notes) -> bytes:
    """The record as one MIDI file."""
    name = record.stem or record.instrument.value.lower()
    if record.instrument is Instrument.DRUMS:
        strokes = [
            MidiNote(hit.time, hit.time + _STROKE_SECONDS, _DRUM_PITCHES[hit.drum], hit.velocity) for hit in record.hits
        ]
        return midi_file([MidiTrack(name, DRUM_CHANNEL, 0, strokes)])
    family = FAMILIES[record.instrument]
    notes = [MidiNote(note.onset, note.offset, note.pitch, note.velocity) for note in record.notes]
    # A bend holds for all that sounds on a channel: only where one note sounds at a time can it be that note's.
    bends = _bends(record) if family.voices == 1 else []
    return midi_file([MidiTrack(name, 0, family.program, notes, bends)])


def _bends(record: Notes) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    bent = False
    for note in record.notes:
        if note.bends is None:
            if bent:
                found.append((note.onset, 0.0))
                bent = False
            continue
        found += [(note.onset + step * BEND_STEP_SECONDS, bend) for step, bend in enumerate(note.bends)]
        bent = True
    return found
