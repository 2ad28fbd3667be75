"""Rows as words: cleaned, cut at spaces, each word with the time of its piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from audiojob_runner.lyrics.clean import Removed, clean, is_note
from audiojob_runner.lyrics.draft import Draft, Row, UnusableError, counted
from audiojob_types.documents.lyrics import MAX_LINE_CHARACTERS, MAX_LINES

MAX_WORDS: Final = 50_000
MAX_VOICE_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word or syllable. One without a time is sung within that of the word before it, where that has one."""

    text: str
    joined: bool
    start: int | None = None
    end: int | None = None
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Sung:
    """A row of words. Without words it ends the rows before it."""

    words: tuple[TimedWord, ...]
    start: int | None
    end: int | None
    voice: str = ""
    stanza: bool = False
    repeated: bool = False


@dataclass(slots=True)
class _Counts:
    removed: Removed = field(default_factory=Removed)
    headings: int = 0
    words: int = 0
    lines: int = 0


def to_words(draft: Draft) -> tuple[list[Sung], list[str]]:
    """The rows, and sentences on what was left out. Raises :class:`UnusableError`."""
    counts = _Counts()
    rows = list[Sung]()
    stanza = False
    for row in draft.rows:
        words = _words(row, counts)
        stanza = row.stanza or (stanza and not words)
        if words or row.start is not None:
            voice = " ".join(clean(row.voice, counts.removed).split())[:MAX_VOICE_CHARACTERS].strip()
            rows.append(Sung(words, row.start, row.end, voice, stanza and bool(rows), row.repeated))
    return rows, [*draft.notes, *_notes(counts)]


def _notes(counts: _Counts) -> Iterator[str]:
    removed = counts.removed
    if counts.headings:
        yield f"{counted(counts.headings, 'line')} in square brackets, such as [Chorus], left out: nobody sings them."
    if removed.pictures:
        yield f"{counted(removed.pictures, 'emoji')} left out: fonts of letters have none."
    if removed.controls:
        yield f"{counted(removed.controls, 'character')} left out that cannot be seen or shown."
    if removed.marks:
        yield f"{counted(removed.marks, 'accent')} left out: at most four are kept on a letter."


def _words(row: Row, counts: _Counts) -> tuple[TimedWord, ...]:
    found = list[TimedWord]()
    apart = True
    for piece in row.pieces:
        text = clean(piece.text, counts.removed)
        tokens = text.split()
        counts.words += len(tokens)
        if counts.words > MAX_WORDS:
            raise UnusableError(f"The lyrics have more than {MAX_WORDS:,} words; a song has fewer.")
        apart = apart or text.startswith(" ")
        for number, token in enumerate(tokens):
            start, end = (piece.start, piece.end) if number == 0 else (None, None)
            joined = not apart and bool(found)
            if joined and start is None and found[-1].start is None:
                found[-1] = replace(found[-1], text=found[-1].text + token)
            else:
                found.append(TimedWord(token, joined, start, end, piece.derived))
            apart = True
        apart = text.endswith(" ") or (apart and not tokens)
    return _checked(found, counts)


def _checked(words: list[TimedWord], counts: _Counts) -> tuple[TimedWord, ...]:
    """The words of a line that is sung, or none. Raises :class:`UnusableError` for what is too long."""
    words = _stable(words, counts)
    if not words:
        return ()
    line = _text(words)
    if line[0] in "[［" and line[-1] in "]］" and not any(sign in line[1:-1] for sign in "[］［]"):
        counts.headings += 1
        return ()
    counts.lines += 1
    if counts.lines > MAX_LINES:
        raise UnusableError(f"The lyrics have more than {MAX_LINES:,} lines; a song has fewer.")
    if len(line) > MAX_LINE_CHARACTERS:
        raise UnusableError(
            f"The line that begins with '{line[:30]}' has {len(line)} characters; at most {MAX_LINE_CHARACTERS} are "
            "allowed. Write what is sung line by line."
        )
    return tuple(words)


def _stable(words: list[TimedWord], counts: _Counts) -> list[TimedWord]:
    """Without signs of music alone, and so that the line is clean as a whole.

    Parts that were harmless apart may not be together, such as a letter and its accents: then they are one phrase.
    """
    while words := [word for word in words if not is_note(word.text)]:
        words[0] = replace(words[0], joined=False)
        line = _text(words)
        again = clean(line, counts.removed)
        if again == line:
            return words
        start = next((word.start for word in words if word.start is not None), None)
        end = next((word.end for word in reversed(words) if word.start is not None), None)
        words = [
            TimedWord(text, False, *((start, end) if number == 0 else ())) for number, text in enumerate(again.split())
        ]
    return []


def _text(words: list[TimedWord]) -> str:
    return "".join(word.text if word.joined else f" {word.text}" for word in words)[1:]
