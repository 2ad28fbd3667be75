"""What is said and where chapters begin, in the forms that players read. No I/O."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.compose.frame import Frame
from audiojob_runner.compose.plan import Shot
from audiojob_runner.lyrics.clean import Removed, clean, one_row
from audiojob_runner.lyrics.write import clock
from audiojob_runner.media.ffmetadata import Chapter

# Two rows of a usual player, and no cue shorter than an eye needs.
MOST_CHARACTERS: Final = 84
ROW_CHARACTERS: Final = 42
_ENDS: Final = ".!?…。！？।؟"


@dataclass(frozen=True, slots=True)
class Cue:
    """Text from and to milliseconds of the film."""

    start: int
    end: int
    text: str


def cues(shots: Sequence[Shot], spoken: Sequence[int], frame: Frame) -> tuple[Cue, ...]:
    """Subtitles of all scenes. ``spoken`` is how long each narration plays, in milliseconds, 0 without one.

    What is said in a scene is spread over it by its letters.
    """
    found = list[Cue]()
    for shot, milliseconds in zip(shots, spoken, strict=True):
        text = clean(shot.scene.subtitle or "", Removed()).strip()
        begin, end = (round(1_000 * frame.seconds(each)) for each in (shot.first, shot.end))
        end = min(end, begin + milliseconds) if milliseconds else end
        parts = split_text(text)
        letters = sum(map(len, parts))
        done = 0
        for part in parts:
            start = begin + (end - begin) * done // letters
            done += len(part)
            stop = begin + (end - begin) * done // letters
            if stop > start:
                found.append(Cue(start, stop, rows(part)))
    return tuple(found)


def split_text(text: str) -> list[str]:
    """Pieces of at most two rows, cut behind sentences where they are near, else between words."""
    pieces = list[str]()
    words = [word[at : at + MOST_CHARACTERS] for word in text.split() for at in range(0, len(word), MOST_CHARACTERS)]
    current = ""
    for word in words:
        if current and len(current) + 1 + len(word) > MOST_CHARACTERS:
            pieces.append(current)
            current = word
        else:
            current = f"{current} {word}" if current else word
        if current[-1] in _ENDS and len(current) >= ROW_CHARACTERS // 2:
            pieces.append(current)
            current = ""
    return [*pieces, current] if current else pieces


def rows(text: str) -> str:
    """In two rows of about the same length where it is too long for one."""
    if len(text) <= ROW_CHARACTERS or " " not in text:
        return text
    places = [at for at, character in enumerate(text) if character == " "]
    middle = min(places, key=lambda at: abs(at - len(text) / 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def write_srt(found: Sequence[Cue]) -> str:
    """SRT."""
    return "\n".join(
        f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(found, 1)
    )


def write_webvtt(found: Sequence[Cue], language: str | None = None) -> str:
    """WebVTT."""
    head = "WEBVTT\n" + (f"Language: {language}\n" if language else "")
    return "\n".join([head, *(_webvtt(cue, html.escape) for cue in found)])


def chapters(shots: Sequence[Shot], frame: Frame) -> tuple[Chapter, ...]:
    """One for each scene with a title, up to the next one; from the beginning, where any has one."""
    begun = [(shot.first, one_row(shot.scene.title)) for shot in shots if shot.scene.title]
    if not begun:
        return ()
    if begun[0][0] > 0:
        begun.insert(0, (0, ""))
    ends = [first for first, _ in begun[1:]] + [shots[-1].end]
    return tuple(
        Chapter(frame.seconds(first), frame.seconds(end), title)
        for (first, title), end in zip(begun, ends, strict=True)
    )


def write_chapters(found: Sequence[Chapter]) -> str:
    """WebVTT, as players on the web take chapters."""
    listed = [Cue(round(each.start * 1_000), round(each.end * 1_000), each.title or "…") for each in found]
    return write_webvtt(listed)


def _webvtt(cue: Cue, escape: Callable[..., str]) -> str:
    return f"{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{escape(cue.text, quote=False)}\n"
