"""What holds for each score, whatever it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from audiojob_runner.score.model import Event, Place, Score, Staff


def faults(score: Score) -> list[str]:
    """What is wrong with a score; nothing, for each one that :func:`arrange` makes."""
    found = [*_of_bars(score), *_of_tempos(score)]
    for part in score.parts:
        for number, staff in enumerate(part.staves, 1):
            found += [f"{part.name}, staff {number}: {fault}" for fault in _of_staff(score, staff)]
            if not part.percussion:
                keys = part.transposition.keys if part.transposition else 0
                heads = (note for _, event in _events(staff) for note in event.notes)
                wrong = sum(note.pitch.key + keys != note.key for note in heads)
                found += [f"{part.name}: {wrong} notes are written otherwise than they sound"] * bool(wrong)
    return found


def _of_bars(score: Score) -> Iterator[str]:
    if not score.bars:
        yield "no bars"
        return
    if score.bars[0].place != 0:
        yield "the first bar is not at place 0"
    for before, after in pairwise(score.bars):
        if after.place != before.place + before.length:
            yield f"bar {after.number} does not begin where bar {before.number} ends"
        if after.number != before.number + 1:
            yield f"bar {after.number} comes after bar {before.number}"
        if after.pickup:
            yield f"bar {after.number} is not filled"


def _of_tempos(score: Score) -> Iterator[str]:
    if not score.tempos or score.tempos[0].place != 0:
        yield "no tempo at place 0"
    if any(after.place <= before.place for before, after in pairwise(score.tempos)):
        yield "tempo marks are out of order"


def _of_staff(score: Score, staff: Staff) -> Iterator[str]:
    if len(staff.measures) != len(score.bars):
        yield f"{len(staff.measures)} measures in {len(score.bars)} bars"
        return
    for bar, measure in zip(score.bars, staff.measures, strict=True):
        if not measure.voices:
            yield f"bar {bar.number} has no voice"
        for voice in measure.voices:
            total = sum((event.duration for event in voice.events), Fraction(0))
            if total != bar.length:
                yield f"bar {bar.number}, voice {voice.number} is {total} of {bar.length} long"
            yield from (f"bar {bar.number}: {fault}" for event in voice.events for fault in _of_event(event))
            yield from (f"bar {bar.number}: {fault}" for fault in _of_tuplets(voice.events))
    yield from _of_ties(staff)


def _of_event(event: Event) -> Iterator[str]:
    if event.whole_bar:
        if event.notes:
            yield "a rest of the whole bar has notes"
        return
    length = event.value.quarters * (2 - Fraction(1, 2**event.dots))
    if event.tuplet:
        length = length * event.tuplet.normal / event.tuplet.actual
    if length != event.duration:
        yield f"{event.value} with {event.dots} dots stands for {event.duration}"
    keys = [note.pitch.key for note in event.notes]
    if sorted(keys) != keys:
        yield "the notes of a chord are not in order"


def _of_tuplets(events: Sequence[Event]) -> Iterator[str]:
    inside = False
    total = Fraction(0)
    for event in events:
        if event.tuplet is None:
            if inside:
                yield "a tuplet is left open"
            inside = False
            continue
        if inside == (event.tuplet.place is Place.START):
            yield "a tuplet's beginning is not where the one before it ends"
        total = event.duration if event.tuplet.place is Place.START else total + event.duration
        inside = event.tuplet.place is not Place.STOP
        if not inside and total.denominator & (total.denominator - 1):
            yield f"a tuplet is {total} long"
    if inside:
        yield "a tuplet is left open at the barline"


def _of_ties(staff: Staff) -> Iterator[str]:
    open_keys = dict[int, set[int]]()
    for voice, event in _events(staff):
        tied = {note.key for note in event.notes if note.tied_from}
        if tied != open_keys.get(voice, set()):
            yield f"ties of voice {voice} do not match: {sorted(open_keys.get(voice, set()))} on, {sorted(tied)} from"
        open_keys[voice] = {note.key for note in event.notes if note.tied_on}
    if any(open_keys.values()):
        yield "a tie leads nowhere"


def _events(staff: Staff) -> Iterator[tuple[int, Event]]:
    for measure in staff.measures:
        for voice in measure.voices:
            yield from ((voice.number, event) for event in voice.events)
