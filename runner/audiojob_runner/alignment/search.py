"""Lines without times: where they are in the song, by listening to all of it at once, coarsely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

import numpy as np

from audiojob_runner.alignment.features import FRAMES_PER_SECOND, Frames, frames_of
from audiojob_runner.alignment.listen import SCALES, Listener
from audiojob_runner.alignment.sound import RATE, Sound
from audiojob_runner.alignment.warp import Match, find_words
from audiojob_types.documents.lyrics import Line

# Frames of 40 ms are enough to find a line; of 80 ms where a song has so many words that those would be too many.
_STEPS: Final = (4, 8)
# Frames of the song times those of its words: a byte each, and as much again in time.
_MAX_CELLS: Final = 150_000_000
_BLOCK_MILLISECONDS: Final = 10_000
_SCALES: Final = SCALES[:4]
# How far beyond what was found coarsely a line is listened to, and how far into its neighbours.
_AROUND_MILLISECONDS, _INTO_MILLISECONDS = 400, 200


Window = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Run:
    """Lines without times, ``first`` up to ``last``, that are sung between two times in milliseconds."""

    first: int
    last: int
    start: int
    end: int


def runs_of(lines: Sequence[Line], milliseconds: int) -> list[Run]:
    """Neighbours without times, each between the lines with times around them."""
    found = list[Run]()
    for untimed, group in groupby(range(len(lines)), lambda number: lines[number].start_milliseconds is None):
        numbers = list(group)
        if untimed:
            before = lines[numbers[0] - 1].end_milliseconds if numbers[0] else 0
            after = lines[numbers[-1] + 1].start_milliseconds if numbers[-1] + 1 < len(lines) else milliseconds
            start = min(before or 0, milliseconds)
            end = min(milliseconds if after is None else after, milliseconds)
            found.append(Run(numbers[0], numbers[-1] + 1, start, max(start, end)))
    return found


def search(run: Run, lines: Sequence[Line], listener: Listener, on_try: Callable[[], None]) -> list[Window] | None:
    """For each line between which times in milliseconds it is to be listened to; None where nothing is found.

    ``on_try`` is called four times. Raises :class:`FfmpegError`.
    """
    texts = [word.text for line in lines[run.first : run.last] for word in line.words]
    if listener.speaker is None or listener.sound.silent or not texts:
        return None
    spoken = listener.speaker.say(texts)
    length = (run.end - run.start) * FRAMES_PER_SECOND // 1_000
    total = sum(map(len, spoken)) + 2 * len(spoken)
    step = next((each for each in _STEPS if length * total <= _MAX_CELLS * each**2), None)
    if step is None or not any(map(len, spoken)):
        return None
    said = [each[::step] for each in spoken if len(each)]
    best: Match | None = None
    for scale in _SCALES:
        on_try()
        match = find_words(_coarse(listener.sound, run, scale, step), said)
        if match is not None and (best is None or match.margin > best.margin):
            best = match
    return None if best is None else _windows(run, lines, [bool(len(each)) for each in spoken], best, step)


def _coarse(sound: Sound, run: Run, scale: float, step: int) -> Frames:
    """Frames of ``step`` times 10 ms."""
    parts = list[Frames]()
    for start in range(run.start, run.end, _BLOCK_MILLISECONDS):
        frames = frames_of(sound.read(start, min(run.end, start + _BLOCK_MILLISECONDS)), RATE, scale)
        kept = frames[: len(frames) // step * step]
        parts.append(kept.reshape(-1, step, kept.shape[1]).mean(axis=1))
    return np.concatenate(parts)


def _windows(run: Run, lines: Sequence[Line], sounding: Sequence[bool], match: Match, step: int) -> list[Window]:
    """Around the first and the last word of each line, and not far into its neighbours."""
    frame = step * 1_000 // FRAMES_PER_SECOND
    heard = iter(match.words)
    spans, at, number = list[Window](), 0, 0
    for line in lines[run.first : run.last]:
        words = [next(heard) for known in sounding[number : number + len(line.words)] if known]
        number += len(line.words)
        begin = words[0].start * frame if words else at
        at = words[-1].end * frame if words else at
        spans.append((run.start + begin, run.start + at))
    edges = [(run.start, run.start), *spans, (run.end, run.end)]
    return [
        (
            max(run.start, before[1] - _INTO_MILLISECONDS, own[0] - _AROUND_MILLISECONDS),
            min(run.end, after[0] + _INTO_MILLISECONDS, own[1] + _AROUND_MILLISECONDS),
        )
        for (before, own), (_, after) in pairwise(pairwise(edges))
    ]
