"""What the tests read lyrics with, and in what they hold them against each other."""

from __future__ import annotations

from audiojob_runner.lyrics.read import read_lyrics
from audiojob_runner.lyrics.record import record_of
from audiojob_runner.lyrics.settle import Song, settle
from audiojob_types.documents.lyrics import Form, Line, Lyrics, Origin, Place

SONG = Song()


def lyrics_of(content: str | bytes, form: Form | None = None, song: Song = SONG, language: str | None = None) -> Lyrics:
    return told(content, form, song, language)[0]


def told(
    content: str | bytes, form: Form | None = None, song: Song = SONG, language: str | None = None
) -> tuple[Lyrics, tuple[str, ...]]:
    """The lyrics, and what is said of them."""
    draft = read_lyrics(content.encode() if isinstance(content, str) else content, form)
    return record_of(draft, settle(draft, song), Origin(place=Place.INPUT, form=draft.form), language)


def times(lyrics: Lyrics) -> list[tuple[str, int | None, int | None]]:
    return [(line.text, line.start_milliseconds, line.end_milliseconds) for line in lyrics.lines]


def word_times(line: Line) -> list[tuple[str, int | None, int | None]]:
    return [
        (f"+{word.text}" if word.joined else word.text, word.start_milliseconds, word.end_milliseconds)
        for word in line.words
    ]
