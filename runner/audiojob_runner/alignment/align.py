"""Times for words that have none: by a synthesizer's voice, else by shares of what is sung."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from typing import Final

from audiojob_runner.alignment.activity import Activity
from audiojob_runner.alignment.belief import LEAST_MARGIN, believed
from audiojob_runner.alignment.listen import SCALES, Listener, listen
from audiojob_runner.alignment.plan import Gap, Placed, filled, gaps_of, kept, moved, spread, with_times
from audiojob_runner.alignment.search import Run, Window, runs_of, search
from audiojob_runner.alignment.warp import Match
from audiojob_types.documents.lyrics import Line

# Of words that were not heard, but whose line's time is known; or whose line was not heard either.
SPREAD_CONFIDENCE, LOST_CONFIDENCE = 0.2, 0.1
# Of words of lines whose time had to be found too, at most.
_SEARCHED_CONFIDENCE: Final = 0.8
# The share of the work that the search for lines is.
_SEARCH: Final = 0.5


@dataclass(frozen=True, slots=True)
class Aligned:
    """The lines; of their words how many were found by their sound, spread, or had times; how many lines had none."""

    lines: tuple[Line, ...]
    found: int = 0
    spread: int = 0
    given: int = 0
    searched: int = 0


def align(lines: Sequence[Line], listener: Listener, activity: Activity, on_share: Callable[[float], None]) -> Aligned:
    """Times for all words. ``on_share`` is told what share is done, 0 to 1; it may raise to stop."""
    runs = runs_of(lines, listener.sound.milliseconds)
    windows = _search(runs, lines, listener, on_share)
    base = _SEARCH if runs else 0.0
    timed = [with_times(line, *windows[number]) if number in windows else line for number, line in enumerate(lines)]
    gaps = [gap for number, line in enumerate(timed) for gap in gaps_of(number, line)]
    matches = list(listen(gaps, timed, listener, lambda at: on_share(base + (1 - base) * at / len(lines))))
    done = _placed(timed, list(zip(gaps, matches, strict=True)), windows.keys(), activity)
    for run in runs:
        margins = [
            match.margin
            for gap, match in zip(gaps, matches, strict=True)
            if match is not None and run.first <= gap.line < run.last
        ]
        if not margins or sum(margins) / len(margins) < LEAST_MARGIN:
            done[run.first : run.last] = _over_activity(lines[run.first : run.last], run, activity)
        done[run.first : run.last] = _one_after_the_other(done[run.first : run.last], run)
    shared = sum(word.derived for line in done for word in line.words)
    given = sum(word.confidence == 1.0 for line in done for word in line.words)
    words = sum(len(line.words) for line in done)
    return Aligned(tuple(done), words - shared - given, shared, given, sum(run.last - run.first for run in runs))


def _search(
    runs: Sequence[Run], lines: Sequence[Line], listener: Listener, on_share: Callable[[float], None]
) -> dict[int, Window]:
    """By the numbers of lines without times, between which times each is to be listened to."""
    found = dict[int, Window]()
    tries = 0

    def on_try() -> None:
        nonlocal tries
        on_share(_SEARCH * min(1.0, tries / (len(runs) * len(SCALES))))
        tries += 1

    for run in runs:
        windows = search(run, lines, listener, on_try)
        found |= dict(zip(range(run.first, run.last), windows or (), strict=False))
    return found


def _placed(
    lines: Sequence[Line], heard: Sequence[tuple[Gap, Match | None]], searched: Container[int], activity: Activity
) -> list[Line]:
    """The lines with times for the words of all gaps."""
    margins = [match.margin for _, match in heard if match is not None]
    usual = sum(margins) / len(margins) if margins else 0.0
    done = [kept(line) for line in lines]
    for gap, match in heard:
        placed = None if match is None else believed(match, usual, gap.start, gap.end)
        if placed is None:
            placed = spread(gap.of(lines), activity.between(gap.start, gap.end), SPREAD_CONFIDENCE)
        if gap.line in searched:
            placed = [replace(each, confidence=min(each.confidence, _SEARCHED_CONFIDENCE)) for each in placed]
            done[gap.line] = with_times(done[gap.line], placed[0].start, placed[-1].end)
        done[gap.line] = filled(done[gap.line], gap, placed)
    return done


def _over_activity(lines: Sequence[Line], run: Run, activity: Activity) -> list[Line]:
    """All words of the lines over what is sung in their time."""
    words = [word for line in lines for word in line.words]
    placed = iter(spread(words, activity.between(run.start, run.end), LOST_CONFIDENCE))
    done = list[Line]()
    for number, line in enumerate(lines):
        own: list[Placed] = [next(placed) for _ in line.words]
        timed = with_times(line, own[0].start, own[-1].end)
        done.append(filled(timed, Gap(number, 0, len(own), own[0].start, own[-1].end), own))
    return done


def _one_after_the_other(lines: Sequence[Line], run: Run) -> list[Line]:
    """Lines that were found for themselves, none before the end of the one before it."""
    done, at = list[Line](), run.start
    for line in lines:
        done.append(moved(line, at, run.end))
        at = done[-1].end_milliseconds or at
    return done
