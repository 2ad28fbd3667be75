"""A part's notes as its staves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from audiojob_runner.score.harmony.spelling import Speller
from audiojob_runner.score.heard import Instrument
from audiojob_runner.score.instruments import WRITINGS
from audiojob_runner.score.model import BASS, TREBLE, Clef, Key, Lyric, Measure, Note, Part, Staff, Time, Voice
from audiojob_runner.score.writing.clefs import clefs_of
from audiojob_runner.score.writing.hands import hands_of
from audiojob_runner.score.writing.measures import Writer
from audiojob_runner.score.writing.timed import Chord, Grid, Timed
from audiojob_runner.score.writing.voices import lines_of

_CLASSES: Final = 12
_MOST_SIGNS: Final = 6  # of a key signature
_LOW_KEY, _HIGH_KEY, _WIDE = 55, 64, 0.25
_STILL_SOUNDS: Final = 6  # ticks into the next note: less is one line that is played without gaps
_RIGHT_CLEFS: Final = (TREBLE, BASS)
_LEFT_CLEFS: Final = (BASS, TREBLE)
Words = dict[int, tuple[Lyric, ...]]
"""Syllables by the written place of the note that they are sung to."""


@dataclass(frozen=True, slots=True)
class Page:
    """What all parts of a score share."""

    time: Time
    grid: Grid
    key: Key


def part_of(name: str, instrument: Instrument, notes: Sequence[Timed], page: Page, words: Words) -> Part:
    """The part of an instrument with pitches. ``notes`` are in order of their starts."""
    writing = WRITINGS[instrument]
    down = writing.transposition.keys if writing.transposition else 0
    key = written_key(page.key, down)
    copyist = _Copyist(page, Speller(key), down, words)
    if writing.keyboard or (instrument is Instrument.OTHER and is_wide(notes)):
        right, left = hands_of(notes)
        staves = [copyist.staff(right, _RIGHT_CLEFS), copyist.staff(left, _LEFT_CLEFS, lyrics=False)]
    else:
        staves = [copyist.staff(notes, writing.clefs, two=instrument is not Instrument.VOICE)]
    return Part(name, writing.program, tuple(staves), key, writing.transposition)


def is_wide(notes: Sequence[Timed]) -> bool:
    """Whether low and high notes sound together so often that no clef shows both. In order of their starts."""
    wide, groups = 0, 0
    sounding = list[Timed]()
    for start, group in groupby(notes, key=lambda note: note.start):
        sounding = [note for note in sounding if note.end >= start + _STILL_SOUNDS] + list(group)
        groups += 1
        wide += min(note.key for note in sounding) < _LOW_KEY and max(note.key for note in sounding) > _HIGH_KEY
    return wide > _WIDE * groups


def written_key(key: Key, down: int) -> Key:
    """The key signature of a part that sounds ``down`` keys from what is written, with six signs at most."""
    fifths = key.fifths - down * 7 % _CLASSES
    while fifths < -_MOST_SIGNS:
        fifths += _CLASSES
    while fifths > _MOST_SIGNS:
        fifths -= _CLASSES
    return Key(fifths, key.mode)


@dataclass(frozen=True, slots=True)
class _Copyist:
    """Writes staves."""

    page: Page
    speller: Speller
    down: int
    words: Words

    def staff(self, notes: Sequence[Timed], clefs: Sequence[Clef], *, two: bool = True, lyrics: bool = True) -> Staff:
        lines = lines_of(notes, self.page.grid, two=two)
        writer = Writer(self.page.time, self.page.grid, self._note, self._lyrics if lyrics else _no_lyrics)
        above = writer.voices(lines.first, 1, always=True)
        below = writer.voices(lines.second, 2, always=False)
        voices = [tuple(voice for voice in pair if voice) for pair in zip(above, below, strict=True)]
        return staff_of(voices, clefs)

    def _note(self, note: Timed, following: Timed | None) -> Note:
        after = following.key - self.down if following else None
        return Note(self.speller.pitch(note.key - self.down, after), note.key, note.velocity)

    def _lyrics(self, chord: Chord) -> tuple[Lyric, ...]:
        return self.words.get(chord.start, ())


def staff_of(bars: Sequence[tuple[Voice, ...]], allowed: Sequence[Clef]) -> Staff:
    """Measures with the clefs that suit them."""
    pitches = [[note.pitch for voice in bar for event in voice.events for note in event.notes] for bar in bars]
    clefs = clefs_of(pitches, allowed)
    before = [clefs[0], *clefs[:-1]]
    measures = (
        Measure(voices, clef if clef != last else None) for voices, clef, last in zip(bars, clefs, before, strict=True)
    )
    return Staff(clefs[0], tuple(measures))


def _no_lyrics(_: Chord) -> tuple[Lyric, ...]:
    return ()
