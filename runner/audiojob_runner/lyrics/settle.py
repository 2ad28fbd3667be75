"""From rows as they are written to lines whose times hold: in order, within the song, each with an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from audiojob_runner.lyrics.draft import Draft, counted
from audiojob_runner.lyrics.words import Sung, TimedWord, to_words
from audiojob_types.documents.lyrics import MAX_MILLISECONDS, Line, Word

# How long a line stays whose end nobody tells, if no other follows.
LONGEST_MILLISECONDS: Final = 8_000


@dataclass(frozen=True, slots=True)
class Song:
    """What is known of the song besides its words. ``shift`` moves all times, later if positive."""

    milliseconds: int | None = None
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """The lines, and sentences on what was changed or left out."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Faults:
    """What was wrong with the times."""

    negative: int = 0
    swapped: int = 0
    clamped: int = 0
    beyond: int = 0
    repeated: int = 0
    falling: int = 0
    untimed: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Timed:
    """A row whose times are settled, or that has none."""

    row: Sung
    start: int | None = None
    end: int | None = None
    derived: bool = False


def settle(draft: Draft, song: Song) -> Settled:
    """The lines of the draft. Raises :class:`UnusableError` where there is too much of anything."""
    rows, notes = to_words(draft)
    faults = _Faults()
    timed = _with_ends(_in_order([_forward(row, song.shift, faults) for row in rows], faults))
    kept = _unrepeated([each for each in timed if each.row.words], faults)
    within = _within(kept, song, faults)
    if not within and kept:
        faults.notes.append("No line begins before the song ends: the words were kept without their times.")
        faults.beyond = 0
        within = [_Timed(replace(each.row, words=_untimed(each.row.words))) for each in kept]
    faults.untimed = sum(each.start is None for each in within)
    lines = tuple(_line(each, faults) for each in within)
    return Settled(lines, (*notes, *_notes(faults, len(lines), song)))


def _notes(faults: _Faults, lines: int, song: Song) -> list[str]:
    """One sentence for each kind."""
    found = list(faults.notes)
    if faults.beyond:
        end = _clock(song.milliseconds if song.milliseconds is not None else MAX_MILLISECONDS)
        found.append(
            f"{counted(faults.beyond, 'line')} left out that would begin after the end at {end}: the lyrics may be of "
            "a longer version of the song."
        )
    if faults.falling:
        found.append(f"The times fall {counted(faults.falling, 'time')}: the lines were put in order.")
    if faults.negative:
        found.append(f"{counted(faults.negative, 'time')} before the beginning set to 0.")
    if faults.swapped:
        found.append(f"{counted(faults.swapped, 'line')} ended before the beginning: the two times were exchanged.")
    if faults.clamped:
        found.append(f"{counted(faults.clamped, 'word')} had times outside the line, or falling ones: moved into it.")
    if faults.repeated:
        found.append(f"{counted(faults.repeated, 'line')} left out that stood there twice at the same time.")
    if 0 < faults.untimed < lines:
        found.append(f"{faults.untimed} of {lines} lines have no time: SRT, WebVTT and ASS are without them.")
    return found


def _forward(row: Sung, shift: int, faults: _Faults) -> Sung:
    """Moved by the shift, without negative times, the end behind the start."""
    if row.start is None:
        return replace(row, words=_untimed(row.words))

    def moved(time: int | None) -> int | None:
        return None if time is None else time + shift

    start, end = row.start + shift, moved(row.end)
    if end is not None and end < start:
        start, end = end, start
        faults.swapped += 1
    faults.negative += start < 0 and bool(row.words)
    words = tuple(replace(word, start=moved(word.start), end=moved(word.end)) for word in row.words)
    start = max(0, start)
    return replace(row, words=words, start=start, end=None if end is None or end <= start else end)


def _untimed(words: tuple[TimedWord, ...]) -> tuple[TimedWord, ...]:
    return tuple(replace(word, start=None, end=None) for word in words)


def _in_order(rows: list[Sung], faults: _Faults) -> list[Sung]:
    """Sorted, stably; a row without a time stays behind the one before it."""
    keyed = list[tuple[int, Sung]]()
    last = 0
    for row in rows:
        start = last if row.start is None else row.start
        faults.falling += start < last and bool(row.words) and not row.repeated
        keyed.append((start, row))
        last = last if row.repeated else start
    return [row for _, row in sorted(keyed, key=lambda each: each[0])]


def _with_ends(rows: list[Sung]) -> list[_Timed]:
    """Ends that were not told: at the next row that begins later, but not long after the last word began."""
    found = list[_Timed]()
    later: tuple[int, bool] | None = None  # where the next rows begin, and whether an empty one ends these
    group: tuple[int, bool] | None = None
    for row in reversed(rows):
        if row.start is None:
            found.append(_Timed(row))
            continue
        if group is not None and group[0] > row.start:
            later = group
        group = (row.start, not row.words)
        found.append(_ended(row, row.start, later))
    return found[::-1]


def _ended(row: Sung, start: int, later: tuple[int, bool] | None) -> _Timed:
    if row.end is not None:
        return _Timed(row, start, row.end)
    if later is not None and later[1]:
        return _Timed(row, start, later[0])
    last = next((word.end for word in reversed(row.words) if word.start is not None), None)
    if last is not None and last > start:
        return _Timed(row, start, last)
    begun = max(start, max((word.start for word in row.words if word.start is not None), default=start))
    end = begun + LONGEST_MILLISECONDS
    return _Timed(row, start, end if later is None else min(end, later[0]), derived=True)


def _unrepeated(rows: list[_Timed], faults: _Faults) -> list[_Timed]:
    seen = set[tuple[int, str, str]]()
    kept = list[_Timed]()
    for each in rows:
        if each.start is not None:
            key = (each.start, " ".join(word.text for word in each.row.words), each.row.voice)
            if key in seen:
                faults.repeated += 1
                continue
            seen.add(key)
        kept.append(each)
    return kept


def _within(rows: list[_Timed], song: Song, faults: _Faults) -> list[_Timed]:
    """What begins before the song ends, cut off there."""
    limit = min(MAX_MILLISECONDS, song.milliseconds or MAX_MILLISECONDS)
    kept = list[_Timed]()
    for each in rows:
        if each.start is None or each.end is None:
            kept.append(each)
        elif each.start < limit:
            kept.append(replace(each, end=min(each.end, limit)))
        else:
            faults.beyond += 1
    return kept


def _line(each: _Timed, faults: _Faults) -> Line:
    row = each.row
    if each.start is None or each.end is None:
        words = tuple(Word(text=word.text, joined=word.joined) for word in row.words)
        return Line(words=words, stanza=row.stanza, voice=row.voice or None)
    return Line(
        words=_timed_words(row.words, each.start, each.end, faults),
        start_milliseconds=each.start,
        end_milliseconds=each.end,
        end_derived=each.derived,
        stanza=row.stanza,
        voice=row.voice or None,
    )


def _timed_words(words: Sequence[TimedWord], start: int, end: int, faults: _Faults) -> tuple[Word, ...]:
    """Each phrase, a word with a time and those without behind it, has its time within the line, one after another."""
    if all(word.start is None for word in words):
        return tuple(Word(text=word.text, joined=word.joined) for word in words)
    phrases = list[list[TimedWord]]()
    for word in words:
        if word.start is not None or not phrases:
            phrases.append([])
        phrases[-1].append(word)
    begins = [start if phrase[0].start is None else phrase[0].start for phrase in phrases]
    held, found, at = [*begins, end], list[Word](), start
    for number, phrase in enumerate(phrases):
        begin = min(max(held[number], at), end)
        told = phrase[0].end
        last = min(max(begin, held[number + 1]), end)
        last = last if told is None else min(max(told, begin), last)
        faults.clamped += begin != held[number] or (told is not None and told > end)
        found += _shared(phrase, begin, last)
        at = last
    return tuple(found)


def _shared(phrase: list[TimedWord], start: int, end: int) -> list[Word]:
    """The time of a phrase by the letters of its words."""
    whole, before = sum(len(word.text) for word in phrase), 0
    found = list[Word]()
    for word in phrase:
        begin = start + (end - start) * before // whole
        before += len(word.text)
        found.append(
            Word(
                text=word.text,
                joined=word.joined,
                start_milliseconds=begin,
                end_milliseconds=start + (end - start) * before // whole,
                derived=len(phrase) > 1 or word.derived,
            )
        )
    return found


def _clock(milliseconds: int) -> str:
    minutes, seconds = divmod(milliseconds // 1_000, 60)
    return f"{minutes}:{seconds:02}"
