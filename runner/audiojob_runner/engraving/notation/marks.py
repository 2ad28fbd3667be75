"""What stands above a part's first staff: tempo, words, chord symbols."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from audiojob_runner.engraving.notation.quiet import m21
from audiojob_runner.engraving.notation.signs import pitch_of
from audiojob_runner.score.model import ChordKind, ChordSymbol, Part, Score, TempoMark

_KINDS: Final[dict[ChordKind, str]] = {ChordKind.DOMINANT: "dominant-seventh"}  # where music21 has other names
_TEXTS: Final[dict[ChordKind, str]] = {
    ChordKind.MAJOR: "",
    ChordKind.MINOR: "m",
    ChordKind.DIMINISHED: "dim",
    ChordKind.AUGMENTED: "aug",
    ChordKind.DOMINANT: "7",
    ChordKind.MAJOR_SEVENTH: "maj7",
    ChordKind.MINOR_SEVENTH: "m7",
    ChordKind.HALF_DIMINISHED: "m7♭5",
    ChordKind.DIMINISHED_SEVENTH: "dim7",
    ChordKind.SUSPENDED_FOURTH: "sus4",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign, and where in its bar it stands."""

    place: Fraction
    sign: Any


def marks_of(score: Score, part: Part, first: bool) -> dict[int, list[Mark]]:
    """The marks of a part by the bar's place in the score; tempo and words stand above the first part alone."""
    starts = [bar.place for bar in score.bars]
    found = dict[int, list[Mark]]()
    for place, sign in _signs(score, part, first):
        number = max(bisect_right(starts, place) - 1, 0)
        found.setdefault(number, []).append(Mark(place - starts[number], sign))
    return found


def _signs(score: Score, part: Part, first: bool) -> Iterator[tuple[Fraction, Any]]:
    if first:
        for mark in score.tempos:
            yield mark.place, _tempo(mark, score)
        for direction in score.directions:
            text = m21.expressions.TextExpression(direction.text)
            text.placement = "above"
            yield direction.place, text
    for chord in part.chords:
        yield chord.place, _chord(chord)


def _tempo(mark: TempoMark, score: Score) -> Any:
    starts = [bar.place for bar in score.bars]
    time = score.bars[max(bisect_right(starts, mark.place) - 1, 0)].time
    sounding = round(mark.quarters_per_minute, 3)
    if not mark.printed:
        return m21.tempo.MetronomeMark(numberSounding=sounding, playbackOnly=True)
    beat = m21.duration.Duration(time.beat)
    made = m21.tempo.MetronomeMark(number=round(mark.per_minute(time)), referent=beat)
    made.numberSounding = round(mark.per_minute(time), 3)
    made.placement = "above"
    return made


def _chord(chord: ChordSymbol) -> Any:
    made = m21.harmony.ChordSymbol(
        root=pitch_of(chord.root),
        kind=_KINDS.get(chord.kind, chord.kind.value),
        bass=chord.bass and pitch_of(chord.bass),
    )
    made.chordKindStr = _TEXTS[chord.kind]
    made.writeAsChord = False
    return made
