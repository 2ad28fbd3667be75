"""How many notes sound at a time: an instrument with one voice ends a note where it begins the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from audiojob_runner.transcription.decoding.parts import Heard

_TOGETHER: Final = 4  # frames: notes that begin so close begin at the same time


def limited(heard: Sequence[Heard], voices: int) -> list[Heard]:
    """At most so many notes at a time, in order of begin: of too many the faintest goes, or ends early. 0: no limit."""
    if not voices:
        return list(heard)
    kept: list[Heard] = []
    sounding: list[Heard] = []
    for each in sorted(heard, key=lambda each: each.note.first):
        first = each.note.first
        kept += [other for other in sounding if other.note.end <= first]
        sounding = [other for other in sounding if other.note.end > first]
        if len(sounding) >= voices:
            loser = _loser(sounding, each)
            if loser is each:
                continue
            sounding.remove(loser)
            if first - loser.note.first > _TOGETHER:
                kept.append(replace(loser, note=replace(loser.note, end=first)))
        sounding.append(each)
    return sorted(kept + sounding, key=lambda each: (each.note.first, each.note.pitch))


def _loser(sounding: Sequence[Heard], new: Heard) -> Heard:
    """Which one makes room: of those that begin together the faintest, else the one that has sounded longest."""
    rivals = [other for other in sounding if new.note.first - other.note.first <= _TOGETHER]
    if rivals:
        faintest = min(rivals, key=lambda other: other.note.strength)
        return faintest if faintest.note.strength < new.note.strength else new
    return min(sounding, key=lambda other: other.note.first)
