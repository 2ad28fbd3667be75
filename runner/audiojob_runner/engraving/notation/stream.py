"""A score as music21's stream, of which nothing is left to music21's own judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from audiojob_runner.engraving.notation.accidentals import Shown, shown_accidentals
from audiojob_runner.engraving.notation.beams import Beam, beams_of, needs_bracket
from audiojob_runner.engraving.notation.marks import Mark, marks_of
from audiojob_runner.engraving.notation.quiet import m21
from audiojob_runner.engraving.notation.signs import Signs, sign_of
from audiojob_runner.score.model import Bar, Clef, Event, Measure, Part, Place, Score, Staff, Voice

_CLEFS: Final = {
    "G": m21.clef.TrebleClef,
    "F": m21.clef.BassClef,
    "C": m21.clef.AltoClef,
    "percussion": m21.clef.PercussionClef,
}

_SHORT: Final = 6  # letters that need no abbreviation
_ABBREVIATIONS: Final = {
    "Piano": "Pno.", "Guitar": "Gtr.", "Bass": "Bass", "Voice": "V.", "Violin": "Vln.", "Viola": "Vla.", "Cello": "Vc.",
    "Flute": "Fl.", "Clarinet": "Cl.", "Trumpet": "Tpt.", "Drums": "Dr.", "Alto saxophone": "A. Sax.",
    "Tenor saxophone": "T. Sax.", "Double bass": "Db.",
}  # fmt: skip


def abbreviation(name: str) -> str:
    """What stands before the staves of a part from the second system on."""
    return _ABBREVIATIONS.get(name) or (name if len(name) <= _SHORT else f"{name[: _SHORT - 1]}.")


def stream_of(score: Score, on_bar: Callable[[], None] = lambda: None) -> Any:
    """The whole as a stream of parts, as written. ``on_bar()`` is called for each measure of each staff."""
    made = m21.stream.Score()
    made.metadata = m21.metadata.Metadata()
    if score.title:
        made.metadata.movementName = score.title
    if score.composer:
        made.metadata.composer = score.composer
    for number, part in enumerate(score.parts):
        staves = _Staves(score, part, first=number == 0, on_bar=on_bar).make()
        for staff in staves:
            made.insert(0, staff)
        if len(staves) > 1:
            made.insert(0, m21.layout.StaffGroup(staves, name=part.name, symbol="brace", barTogether=True))
    made.atSoundingPitch = False
    return made


@dataclass(frozen=True, slots=True)
class _Staves:
    """One part."""

    score: Score
    part: Part
    first: bool
    on_bar: Callable[[], None]

    def make(self) -> list[Any]:
        one = len(self.part.staves) == 1
        made = []
        for number, staff in enumerate(self.part.staves):
            stream = m21.stream.Part() if one else m21.stream.PartStaff()
            stream.partName = self.part.name
            if len(self.score.parts) > 1:
                stream.partAbbreviation = abbreviation(self.part.name)
            stream.atSoundingPitch = False
            if number == 0:
                stream.insert(0, self._instrument())
            marks = marks_of(self.score, self.part, self.first) if number == 0 else {}
            for measure in self._measures(staff, marks):
                stream.append(measure)
            made.append(stream)
        return made

    def _instrument(self) -> Any:
        part = self.part
        made = m21.instrument.UnpitchedPercussion() if part.percussion else m21.instrument.Instrument()
        made.partName = made.instrumentName = part.name
        if not part.percussion:
            made.midiProgram = part.program
        if part.transposition is not None:
            steps = part.transposition.diatonic + 7 * part.transposition.octaves
            made.transposition = _interval(steps, part.transposition.keys)
        return made

    def _measures(self, staff: Staff, marks: dict[int, list[Mark]]) -> Iterator[Any]:
        shown = shown_accidentals(staff.measures, 0 if self.part.percussion else self.part.key.fifths)
        before: Bar | None = None
        for number, (bar, measure) in enumerate(zip(self.score.bars, staff.measures, strict=True)):
            made = m21.stream.Measure(number=bar.number)
            if before is None:
                made.insert(0, _clef(staff.clef))
                if not self.part.percussion:
                    made.insert(0, m21.key.KeySignature(self.part.key.fifths).asKey(self.part.key.mode.value))
            elif measure.clef is not None:
                made.insert(0, _clef(measure.clef))
            if before is None or before.time != bar.time:
                made.insert(0, m21.meter.TimeSignature(f"{bar.time.beats}/{bar.time.unit}"))
            if bar.pickup:
                made.paddingLeft = bar.time.quarters - bar.length
                made.showNumber = m21.stream.enums.ShowNumber.NEVER
            for mark in marks.get(number, ()):
                made.insert(mark.place, mark.sign)
            self._fill(made, measure, bar, shown[number])
            if number == len(self.score.bars) - 1:
                made.rightBarline = m21.bar.Barline("final")
            self.on_bar()
            yield made
            before = bar

    def _fill(self, made: Any, measure: Measure, bar: Bar, shown: Shown) -> None:
        several = len(measure.voices) > 1
        for number, voice in enumerate(measure.voices):
            target = m21.stream.Voice(id=str(voice.number)) if several else made
            place = Fraction(0)
            for at, signs in enumerate(self._signs(number, voice, bar, shown)):
                sign = sign_of(voice.events[at], signs)
                if (several or self.part.percussion) and not sign.isRest:
                    sign.stemDirection = "up" if voice.number == 1 else "down"
                target.insert(place, sign)
                place += voice.events[at].duration
            if several:
                made.insert(0, target)

    def _signs(self, number: int, voice: Voice, bar: Bar, shown: Shown) -> Iterator[Signs]:
        beams = beams_of(voice.events, bar.time, bar.length)
        brackets = _brackets(voice.events, beams)
        for at, beam in enumerate(beams):
            heads = frozenset(place for voice_number, event, place in shown if (voice_number, event) == (number, at))
            yield Signs(beam, brackets[at], self.part.percussion, heads)


def _brackets(events: Sequence[Event], beams: Sequence[tuple[Beam, ...]]) -> list[bool]:
    found = [True] * len(events)
    start = 0
    for at, event in enumerate(events):
        if event.tuplet is None:
            continue
        if event.tuplet.place is Place.START:
            start = at
        if event.tuplet.place is Place.STOP:
            needed = needs_bracket(events[start : at + 1], beams[start : at + 1])
            found[start : at + 1] = [needed] * (at + 1 - start)
    return found


def _interval(steps: int, keys: int) -> Any:
    """The interval with so many steps of the scale and so many keys."""
    generic = m21.interval.GenericInterval(steps + 1 if steps >= 0 else steps - 1)
    return m21.interval.intervalFromGenericAndChromatic(generic, m21.interval.ChromaticInterval(keys))


def _clef(clef: Clef) -> Any:
    made = _CLEFS[clef.sign]()
    made.line = clef.line
    made.octaveChange = clef.octaves
    return made
