"""Words under the notes that they are sung to: each at the note that begins nearest to it, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from audiojob_runner.score.heard import Word
from audiojob_runner.score.model import Lyric, Syllabic
from audiojob_runner.score.writing.timed import Timed

_AWAY_SECONDS: Final = 0.6  # a word that begins farther from any note is not written
_EARLIER_SECONDS: Final = 0.15  # a note that begins so much before a word may still be its
_LONGEST: Final = 60  # letters under one note; more, where words have no notes of their own, would leave the page


def placed(words: Sequence[Word], notes: Sequence[Timed]) -> tuple[dict[int, tuple[Lyric, ...]], int]:
    """Syllables by the written place of their notes, and how many words have none. Notes in order of their starts."""
    melody = _melody(notes)
    chosen = dict[int, list[Word]]()  # by the number of the note
    number, left_out = 0, 0
    ordered = sorted(words, key=lambda word: word.start)
    for word in ordered:
        while number + 1 < len(melody) and _nearer(melody, number, word):
            number += 1
        if not melody or abs(melody[number].seconds - word.start) > _AWAY_SECONDS:
            left_out += 1
            continue
        chosen.setdefault(number, []).append(word)
        number = _next(melody, number, word)
    return _written(ordered, melody, chosen), left_out


def _melody(notes: Sequence[Timed]) -> list[Timed]:
    """One note for each written place: the highest."""
    found = dict[int, Timed]()
    for note in notes:
        if note.start not in found or found[note.start].key < note.key:
            found[note.start] = note
    return [found[start] for start in sorted(found)]


def _nearer(melody: Sequence[Timed], number: int, word: Word) -> bool:
    return abs(melody[number + 1].seconds - word.start) <= abs(melody[number].seconds - word.start)


def _next(melody: Sequence[Timed], number: int, word: Word) -> int:
    """The next note, unless the next word may have to share this one."""
    following = number + 1
    if following < len(melody) and melody[following].seconds <= word.end + _EARLIER_SECONDS:
        return following
    return number


def _written(
    ordered: Sequence[Word], melody: Sequence[Timed], chosen: dict[int, list[Word]]
) -> dict[int, tuple[Lyric, ...]]:
    goes_on = {id(before) for before, word in pairwise(ordered) if word.joined}
    found = dict[int, tuple[Lyric, ...]]()
    for number, words in chosen.items():
        text = words[0].text + "".join(word.text if word.joined else f" {word.text}" for word in words[1:])
        begun, more = words[0].joined, id(words[-1]) in goes_on
        syllabic = {
            (False, False): Syllabic.SINGLE,
            (False, True): Syllabic.BEGIN,
            (True, True): Syllabic.MIDDLE,
            (True, False): Syllabic.END,
        }[begun, more]
        following = melody[number + 1] if number + 1 < len(melody) else None
        extends = (
            not more
            and following is not None
            and number + 1 not in chosen
            and following.seconds < words[-1].end - _EARLIER_SECONDS
        )
        found[melody[number].start] = (Lyric(_cut(text), syllabic, extends),)
    return found


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"
