"""One event of a voice as music21 has it: a note, a chord, a hit or a rest, with all its signs."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any, Final

from audiojob_runner.engraving.notation.beams import Beam
from audiojob_runner.engraving.notation.quiet import m21
from audiojob_runner.score.model import Event, Head, Note, Pitch, Place, Syllabic

_BEAMS: Final[dict[Beam, tuple[str, ...]]] = {
    Beam.BEGIN: ("start",),
    Beam.CONTINUE: ("continue",),
    Beam.END: ("stop",),
    Beam.FORWARD: ("partial", "right"),
    Beam.BACKWARD: ("partial", "left"),
}
_LINES: Final = 8  # verses that are written


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of an event besides itself."""

    beams: tuple[Beam, ...] = ()
    bracket: bool = True  # of the tuplet that it is in
    percussion: bool = False
    shown: Set[int] = frozenset()  # places in the chord of the notes whose accidental is printed


def sign_of(event: Event, signs: Signs) -> Any:
    """The event as an object of music21."""
    if not event.notes:
        return _rest(event)
    heads = [_head(note, signs, at) for at, note in enumerate(event.notes)]
    if len(heads) == 1:
        made = heads[0]
    else:
        made = m21.percussion.PercussionChord(heads) if signs.percussion else m21.chord.Chord(heads)
    made.duration = _duration(event, signs.bracket)
    for beam in signs.beams:
        made.beams.append(*_BEAMS[beam])
    _add_words(made, event)
    return made


def pitch_of(pitch: Pitch, shown: bool = False) -> Any:
    """The pitch as music21 has it; ``shown``: its accidental is printed."""
    made = m21.pitch.Pitch(step=pitch.step, octave=pitch.octave)
    if pitch.alter or shown:
        made.accidental = m21.pitch.Accidental(pitch.alter)
        made.accidental.displayStatus = shown
    return made


def _rest(event: Event) -> Any:
    made = m21.note.Rest()
    if event.whole_bar:
        made.duration.quarterLength = event.duration
        made.fullMeasure = True
    else:
        made.duration = _duration(event, True)
    if event.hidden:
        made.style.hideObjectOnPrint = True
    return made


def _head(note: Note, signs: Signs, at: int) -> Any:
    if signs.percussion:
        made = m21.note.Unpitched(displayName=f"{note.pitch.step}{note.pitch.octave}")
        made.editorial.key = note.key  # which of the kit's instruments it is, for the file
    else:
        made = m21.note.Note(pitch_of(note.pitch, at in signs.shown))
    if note.head is not Head.NORMAL:
        made.notehead = note.head.value
    if note.tied_on or note.tied_from:
        both = note.tied_on and note.tied_from
        made.tie = m21.tie.Tie("continue" if both else "start" if note.tied_on else "stop")
    return made


def _duration(event: Event, bracket: bool) -> Any:
    made = m21.duration.Duration(event.value.value, dots=event.dots)
    if event.tuplet is not None:
        tuplet = m21.duration.Tuplet(event.tuplet.actual, event.tuplet.normal, event.value.value, event.dots)
        tuplet.type = {Place.START: "start", Place.STOP: "stop"}.get(event.tuplet.place)
        tuplet.bracket = bracket
        made.appendTuplet(tuplet)
    return made


def _add_words(made: Any, event: Event) -> None:
    for lyric in event.lyrics[:_LINES]:
        word = m21.note.Lyric(number=lyric.verse, applyRaw=True)
        word.text = lyric.text
        word.syllabic = lyric.syllabic.value if lyric.syllabic is not Syllabic.SINGLE else "single"
        made.lyrics.append(word)
