"""Which notes of a staff have an accidental before them: those that the key and the bar so far do not tell."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from audiojob_runner.score.model import Measure, Note, Step

_SHARPS: Final[tuple[Step, ...]] = ("F", "C", "G", "D", "A", "E", "B")

Line = tuple[Step, int]  # where a note stands
Head = tuple[int, int, int]  # a note of a measure: its voice and event in order, and its place in the chord
Shown = frozenset[Head]


def alterations(fifths: int) -> dict[Step, int]:
    """What the key signature alters."""
    if fifths >= 0:
        return dict.fromkeys(_SHARPS[:fifths], 1)
    return dict.fromkeys(_SHARPS[::-1][:-fifths], -1)


def shown_accidentals(measures: Sequence[Measure], fifths: int) -> list[Shown]:
    """For each measure the notes whose accidental is printed.

    A note that goes back to the key in the bar after one that left it is reminded of by an accidental, too.
    """
    key = alterations(fifths)
    found = []
    before = dict[Line, int]()  # what the bar before left altered
    for measure in measures:
        shown = set[Head]()
        now = dict[Line, int]()
        for head, note in _in_order(measure):
            line = (note.pitch.step, note.pitch.octave)
            usual = key.get(note.pitch.step, 0)
            if note.tied_from:
                continue
            known = now.get(line, usual)
            reminded = line not in now and before.get(line, usual) != usual
            if note.pitch.alter != known or reminded:
                shown.add(head)
            now[line] = note.pitch.alter
        found.append(frozenset(shown))
        before = now
    return found


def _in_order(measure: Measure) -> list[tuple[Head, Note]]:
    placed = list[tuple[Fraction, Head, Note]]()
    for voice_number, voice in enumerate(measure.voices):
        place = Fraction(0)
        for event_number, event in enumerate(voice.events):
            placed += [(place, (voice_number, event_number, at), note) for at, note in enumerate(event.notes)]
            place += event.duration
    return [(head, note) for _, head, note in sorted(placed, key=lambda each: each[:2])]
