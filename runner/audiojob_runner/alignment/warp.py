"""Where words are in a recording, by how a synthesizer says them: the cheapest path through both.

Each frame of the recording belongs to one frame of what is said, in order, or to a pause before, between or behind
words. A frame of what is said may be held for any time, as singers do, and every other one be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audiojob_runner.alignment.features import Frames, normalised

# How much each of the 13 coefficients counts, and the energy.
_WEIGHTS: Final = np.array([0.25] * 13 + [0.5], dtype=np.float32)
_HOLD: Final = 0.05  # what it costs to hold a frame
_LEAVE_OUT: Final = 0.1
_WORST: Final = 3.0  # no frame costs more: a click or a breath decides nothing
# A pause costs little where the recording is quiet, and much where it is loud.
_QUIET_PAUSE, _LOUD_PAUSE = 0.6, 1.8
_QUIET_PERCENTILE, _LOUD_PERCENTILE = 10, 90
# What is this far below the loudest is silence (energies are in log10: 30 dB). Of a line before a break most may be.
_TOP_PERCENTILE, _SILENCE = 98, 3.0
_SILENT_PAUSE: Final = 0.0
# What is sung more than this many times as fast as it is said is not followed.
_FASTEST: Final = 4
_NEVER: Final = 1e9


@dataclass(frozen=True, slots=True)
class Heard:
    """A word in the recording: its frames, and how unlike they are on average what was said (0: the same)."""

    start: int
    end: int
    spoken: int  # how many frames it has as it was said
    cost: float


@dataclass(frozen=True, slots=True)
class _Score:
    """What is said, frame by frame: a pause, the first word, a pause, the second word, …, a pause."""

    frames: Frames
    word: NDArray[np.int32]  # -1 for a pause

    @property
    def pauses(self) -> NDArray[np.bool_]:
        return self.word < 0


@dataclass(frozen=True, slots=True)
class Match:
    """The words in the recording, and by how much they fit it better than the same sounds backwards do.

    Words that are not there fit as well backwards as forwards: their margin is about 0.
    """

    words: tuple[Heard, ...]
    cost: float
    margin: float

    def with_silent(self, silent: Sequence[bool]) -> Match:
        """With words between that make no sound: they take no time."""
        words = list(self.words)
        for number in (place for place, each in enumerate(silent) if each):
            at = words[number - 1].end if number else words[0].start
            words.insert(number, Heard(at, at, 0, self.cost))
        return Match(tuple(words), self.cost, self.margin)


def find_words(recorded: Frames, spoken: Sequence[Frames]) -> Match | None:
    """Where the words are in the recording; None where they are too many for it.

    ``spoken`` is what each word sounds like, at least one frame each.
    """
    words = _heard(recorded, spoken)
    backwards = _heard(recorded, [each[::-1] for each in reversed(spoken)])
    if words is None or backwards is None:
        return None
    cost = _mean(words)
    return Match(tuple(words), cost, _mean(backwards) - cost)


def _mean(words: Sequence[Heard]) -> float:
    return sum(each.cost * (each.end - each.start) for each in words) / sum(each.end - each.start for each in words)


def _heard(recorded: Frames, spoken: Sequence[Frames]) -> list[Heard] | None:
    score = _score(len(recorded), spoken)
    if score is None:
        return None
    sounding = _sounding(recorded)
    # By what sounds, as what is said has no pauses: else silence would be like the mean of all, and soft sounds too.
    frames = normalised(recorded, recorded[sounding]) * _WEIGHTS
    path = _cheapest(frames, _pauses(recorded[:, -1], sounding), score)
    if path is None:
        return None
    costs = np.minimum(np.linalg.norm(frames - score.frames[path], axis=1), _WORST)
    words = score.word[path]
    found = ((np.flatnonzero(words == number), said) for number, said in enumerate(spoken))
    return [Heard(int(each[0]), int(each[-1]) + 1, len(said), float(costs[each].mean())) for each, said in found]


def _score(length: int, spoken: Sequence[Frames]) -> _Score | None:
    """What is said, brought to no more frames than the recording has; None where that is too fast."""
    total = sum(map(len, spoken))
    step = -(-total // max(1, length))
    if not spoken or step > _FASTEST:
        return None
    whole = np.concatenate(spoken)
    mean, deviation = whole.mean(axis=0), whole.std(axis=0) + 1e-3
    pause = np.zeros((1, whole.shape[1]), dtype=np.float32)
    frames, word = [pause], [np.array([-1])]
    for number, each in enumerate(spoken):
        kept = (each[::step] - mean) / deviation
        if len(kept) < 2:  # no word can be left out whole
            kept = np.repeat(kept, 2, axis=0)
        frames += [kept, pause]
        word += [np.full(len(kept), number), np.array([-1])]
    return _Score((np.concatenate(frames) * _WEIGHTS).astype(np.float32), np.concatenate(word).astype(np.int32))


def _sounding(recorded: Frames) -> NDArray[np.bool_]:
    """Which frames are no silence."""
    energy = recorded[:, -1]
    return np.asarray(energy >= np.percentile(energy, _TOP_PERCENTILE) - _SILENCE)


def _pauses(energy: NDArray[np.float32], sounding: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What a pause costs at each frame, by its energy."""
    quiet, loud = np.percentile(energy[sounding], (_QUIET_PERCENTILE, _LOUD_PERCENTILE))
    level = np.clip((energy - quiet) / (loud - quiet + 1e-3), 0, 1)
    costs = _QUIET_PAUSE + (_LOUD_PAUSE - _QUIET_PAUSE) * level
    return np.where(sounding, costs, _SILENT_PAUSE).astype(np.float32)


def _cheapest(frames: Frames, pauses: NDArray[np.float32], score: _Score) -> NDArray[np.intp] | None:
    """For each frame of the recording the frame of the score that it belongs to."""
    states = len(score.word)
    hold = np.where(score.pauses, 0.0, _HOLD).astype(np.float32)
    leave_out = np.full(states, _LEAVE_OUT, dtype=np.float32)
    leave_out[1:][score.pauses[:-1]] = 0.0  # words may follow each other without a pause
    squares = (score.frames**2).sum(axis=1)
    came = np.zeros((len(frames), states), dtype=np.uint8)  # by how many states the path went on
    # Two places before the first state, from which nothing comes.
    total = np.full(states + 2, _NEVER, dtype=np.float32)
    total[2:4] = 0.0
    for number, frame in enumerate(frames):
        near = np.sqrt(np.maximum(squares - 2 * (score.frames @ frame) + frame @ frame, 0.0))
        cost = np.where(score.pauses, pauses[number], np.minimum(near, _WORST))
        if number == 0:
            total[2:] += cost
            continue
        ways = np.stack([total[2:] + hold, total[1:-1], total[:-2] + leave_out])
        came[number] = ways.argmin(axis=0)
        total[2:] = ways.min(axis=0) + cost
    last = states - 1 if total[-1] <= total[-2] else states - 2
    return _traced(came, last) if total[last + 2] < _NEVER else None


def _traced(came: NDArray[np.uint8], last: int) -> NDArray[np.intp]:
    path = np.zeros(len(came), dtype=np.intp)
    for number in range(len(came) - 1, -1, -1):
        path[number] = last
        last -= int(came[number, last])
    return path
