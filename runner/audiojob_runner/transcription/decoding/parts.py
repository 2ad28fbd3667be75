"""Long recordings are decoded part by part, so that memory does not grow with their length.

A note is affected only by those that begin later, so a part is decoded with some seconds more at its end: the notes are
those of the whole, but for any that sounds longer than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiojob_runner.transcription.decoding.belief import Believer
from audiojob_runner.transcription.decoding.decode import Found, Settings, decode
from audiojob_runner.transcription.decoding.expression import attack_level, bends_of
from audiojob_runner.transcription.decoding.surroundings import REACH
from audiojob_runner.transcription.network.model import Answer

Matrix = NDArray[np.float32]

PART: Final = 5_200  # frames: a minute
AHEAD: Final = 2_600
BEFORE: Final = REACH + 1


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a note: what may be one, how far it must be believed; and whether pitches move."""

    settings: Settings
    belief: Believer
    least: float
    bends: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """A note and what is known of it only while its part is there. Frames are those of the whole recording."""

    note: Found
    belief: float
    level: float
    bends: tuple[float, ...] | None


class Parts:
    """Takes the network's answers in order, and gives the notes of each part once enough is known."""

    def __init__(self, rules: Rules, part: int = PART, ahead: int = AHEAD) -> None:
        self._rules = rules
        self._part, self._ahead = part, ahead
        self._answers: list[Answer] = []
        self._levels: list[Matrix] = []
        self._first = 0  # frame of the whole that is the first here
        self._begin = 0  # frame here that the next part begins with, after some that show what was before
        self._frames = 0

    def take(self, answer: Answer, levels: Matrix) -> list[Heard]:
        """The answer for the frames that follow, and their levels; what is found by now."""
        self._answers.append(answer)
        self._levels.append(levels)
        self._frames += len(answer.notes)
        if self._frames - self._begin < self._part + self._ahead:
            return []
        return self._decode(self._begin + self._part)

    def rest(self) -> list[Heard]:
        """What the end still has."""
        return self._decode(None) if self._frames else []

    def _decode(self, end: int | None) -> list[Heard]:
        notes, onsets, contours, levels = (
            np.concatenate(pieces)
            for pieces in (*(self._matrices(name) for name in ("notes", "onsets", "contours")), self._levels)
        )
        beliefs: dict[tuple[int, int], float] = {}

        def believed(found: Sequence[Found]) -> list[bool]:
            said = self._rules.belief.of(notes, onsets, found).tolist()
            beliefs.update(((note.first, note.pitch), belief) for note, belief in zip(found, said, strict=True))
            return [belief >= self._rules.least for belief in said]

        found = decode(notes, onsets, self._rules.settings, self._begin, believed)
        found = [note for note in found if end is None or note.first < end]
        heard = [
            Heard(
                _moved(note, self._first),
                beliefs[note.first, note.pitch],
                attack_level(levels, note.first),
                bends_of(contours, note) if self._rules.bends else None,
            )
            for note in found
        ]
        if end is not None:
            before = min(end, BEFORE)
            kept = slice(end - before, None)
            self._answers, self._levels = [Answer(notes[kept], onsets[kept], contours[kept])], [levels[kept]]
            self._first, self._begin = self._first + end - before, before
            self._frames = len(notes) - end + before
        return heard

    def _matrices(self, name: str) -> list[Matrix]:
        found: list[Matrix] = [getattr(answer, name) for answer in self._answers]
        return found


def _moved(note: Found, frames: int) -> Found:
    return Found(note.first + frames, note.end + frames, note.pitch, note.strength, note.onset)
