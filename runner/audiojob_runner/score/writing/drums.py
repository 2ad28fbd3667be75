"""A drum kit's part: hands above, feet below, each hit until the next one or its beat's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.score.heard import Drum
from audiojob_runner.score.model import PERCUSSION, Head, Key, Mode, Note, Part, Pitch
from audiojob_runner.score.writing.measures import Writer
from audiojob_runner.score.writing.staff import Page, staff_of
from audiojob_runner.score.writing.timed import Chord, Grid, Timed
from audiojob_runner.score.writing.voices import fitted, on_one_grid


@dataclass(frozen=True, slots=True)
class _Written:
    key: int  # General MIDI
    pitch: Pitch  # where it stands
    head: Head = Head.NORMAL
    feet: bool = False


_WRITTEN: Final = {
    Drum.KICK: _Written(36, Pitch("F", 0, 4), feet=True),
    Drum.SNARE: _Written(38, Pitch("C", 0, 5)),
    Drum.CLOSED_HAT: _Written(42, Pitch("G", 0, 5), Head.CROSS),
    Drum.OPEN_HAT: _Written(46, Pitch("G", 0, 5), Head.CIRCLED_CROSS),
    Drum.LOW_TOM: _Written(45, Pitch("A", 0, 4)),
    Drum.MIDDLE_TOM: _Written(47, Pitch("D", 0, 5)),
    Drum.HIGH_TOM: _Written(50, Pitch("E", 0, 5)),
    Drum.CRASH: _Written(49, Pitch("A", 0, 5), Head.CROSS),
    Drum.RIDE: _Written(51, Pitch("F", 0, 5), Head.CROSS),
}
KEYS: Final = {drum: written.key for drum, written in _WRITTEN.items()}
"""General MIDI's keys of drums."""
_BY_KEY: Final = {written.key: written for written in _WRITTEN.values()}


def drums_of(name: str, hits: Sequence[Timed], page: Page) -> Part:
    """``hits`` have General MIDI's keys, in order of their starts."""
    writer = Writer(page.time, page.grid, _note, lambda _: ())
    hits = on_one_grid(hits)
    hands = [hit for hit in hits if not _BY_KEY[hit.key].feet]
    feet = [hit for hit in hits if _BY_KEY[hit.key].feet]
    above = writer.voices(_line(hands, page.grid), 1, always=True)
    below = writer.voices(_line(feet, page.grid), 2, always=False)
    voices = [tuple(voice for voice in pair if voice) for pair in zip(above, below, strict=True)]
    return Part(name, 0, (staff_of(voices, (PERCUSSION,)),), Key(0, Mode.MAJOR), percussion=True)


def _line(hits: Sequence[Timed], grid: Grid) -> tuple[Chord, ...]:
    starts = sorted({hit.start for hit in hits})
    found = list[Chord]()
    together = dict[int, dict[int, Timed]]()
    for hit in hits:
        together.setdefault(hit.start, {})[hit.key] = hit
    for number, start in enumerate(starts):
        end = grid.downbeat + ((start - grid.downbeat) // grid.beat + 1) * grid.beat
        if number + 1 < len(starts):
            end = min(end, starts[number + 1])
        notes = sorted(together[start].values(), key=lambda hit: _BY_KEY[hit.key].pitch.key)
        found.append(Chord(start, end, tuple(notes)))
    return fitted(found)


def _note(hit: Timed, _: Timed | None) -> Note:
    written = _BY_KEY[hit.key]
    return Note(written.pitch, written.key, hit.velocity, head=written.head)
