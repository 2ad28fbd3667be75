"""Lyrics in the forms that players read. Each reads back to the same words and times; ASS counts in centiseconds.

Only our own signs are written besides the words, which :mod:`~audiojob_runner.lyrics.clean` has freed of theirs. Lines
without a time are in LRC only. LRC knows one end for rows that begin together, and none after the next row's begin.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audiojob_runner.lyrics.settle import LONGEST_MILLISECONDS
from audiojob_runner.task import TaskOutput
from audiojob_types.documents.lyrics import Direction, Form, Line, Lyrics, Timing, Word

_HEAD: Final = """\
[Script Info]
ScriptType: v4.00+
PlayResX: 1280
PlayResY: 720
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Words,Noto Sans,56,&H0000D7FF,&H00FFFFFF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,3,1,2,60,60,60,-1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def write_lrc(lyrics: Lyrics) -> str:
    """LRC: times of words too where there are any."""
    lines = lyrics.lines
    digits = 2 if all(time % 10 == 0 for time in _times(lines)) else 3
    written = [
        f"[{tag}:{value.replace(']', '］')}]"
        for tag, value in (("ti", lyrics.title), ("ar", lyrics.artist), ("la", lyrics.language))
        if value
    ]
    for line, limit in zip(lines, _limits(lines), strict=True):
        if line.stanza:
            written.append("")
        if line.start_milliseconds is None:
            written.append(line.text)
            continue
        written.append(f"[{_lrc_time(line.start_milliseconds, digits)}]{_lrc_words(line, digits)}")
        if line.end_milliseconds is not None and _needs_end(line, limit):
            written.append(f"[{_lrc_time(line.end_milliseconds, digits)}]")
    return "".join(f"{line}\n" for line in written)


def write_srt(lyrics: Lyrics) -> str:
    """SRT: a cue for each line that has a time."""
    cues = (
        f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n{line.text}\n"
        for number, (line, start, end) in enumerate(_timed(lyrics.lines), 1)
    )
    return "\n".join(cues)


def write_webvtt(lyrics: Lyrics) -> str:
    """WebVTT: times of words within the cue where there are any, and who sings."""
    language = f"\nLanguage: {lyrics.language}" if lyrics.language else ""
    cues = [f"WEBVTT{language}\n"]
    for line, start, end in _timed(lyrics.lines):
        voice = f"<v {html.escape(line.voice, quote=False)}>" if line.voice else ""
        cues.append(f"{clock(start, '.')} --> {clock(end, '.')}\n{voice}{_webvtt_words(line, start)}\n")
    return "\n".join(cues)


def write_ass(lyrics: Lyrics) -> str:
    """ASS with one style: words fill as they are sung; those that are read from the right change at once."""
    tag = "k" if lyrics.direction is Direction.RIGHT_TO_LEFT else "kf"
    events = []
    for line, start, end in _timed(lyrics.lines):
        voice = " ".join((line.voice or "").replace(",", " ").split())
        begin, last = centiseconds(start), max(centiseconds(end), centiseconds(start) + 1)
        times = f"{ass_clock(begin)},{ass_clock(last)}"
        events.append(f"Dialogue: 0,{times},Words,{voice},0,0,0,,{_ass_words(line, begin, tag)}\n")
    return _HEAD + "".join(events)


@dataclass(frozen=True, slots=True)
class Written:
    """A form that lyrics are written in: its media type and the ending of its files."""

    write: Callable[[Lyrics], str]
    media_type: str
    ending: str


WRITERS: Final[dict[Form, Written]] = {
    Form.LRC: Written(write_lrc, "text/x-lrc", "lrc"),
    Form.SRT: Written(write_srt, "application/x-subrip", "srt"),
    Form.WEBVTT: Written(write_webvtt, "text/vtt", "vtt"),
    Form.ASS: Written(write_ass, "text/x-ssa", "ass"),
}


def write_all(lyrics: Lyrics, folder: Path) -> list[TaskOutput]:
    """``lyrics.json``, and where there are times the forms of players."""
    path = folder / "lyrics.json"
    path.write_text(json.dumps(lyrics.to_wire(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    outputs = [TaskOutput("lyrics", path, "application/json", described(lyrics))]
    if lyrics.timing is Timing.NONE:
        return outputs
    for written in WRITERS.values():
        path = folder / f"lyrics.{written.ending}"
        path.write_text(written.write(lyrics), encoding="utf-8", newline="")
        outputs.append(TaskOutput(written.ending, path, written.media_type))
    return outputs


def described(lyrics: Lyrics) -> dict[str, Any]:
    """What manifest and status say of them."""
    found = {
        "lines": len(lyrics.lines),
        "words": sum(len(line.words) for line in lyrics.lines),
        "timing": lyrics.timing.value,
        "origin": lyrics.origin.to_wire(),
        "language": lyrics.language,
    }
    return {name: value for name, value in found.items() if value is not None}


def _times(lines: Sequence[Line]) -> Iterator[int]:
    for line, start, end in _timed(lines):
        yield from (start, end)
        for _, begin, last in _spans(line) or ():
            yield from (begin, last)


def _timed(lines: Sequence[Line]) -> Iterator[tuple[Line, int, int]]:
    for line in lines:
        if line.start_milliseconds is not None and line.end_milliseconds is not None:
            yield line, line.start_milliseconds, line.end_milliseconds


def _spans(line: Line) -> list[tuple[Word, int, int]] | None:
    """The words with their times; None where they have none."""
    spans = [
        (word, word.start_milliseconds, word.end_milliseconds)
        for word in line.words
        if word.start_milliseconds is not None and word.end_milliseconds is not None
    ]
    return spans if len(spans) == len(line.words) else None


def _stamped(spans: list[tuple[Word, int, int]], stamp: Callable[[int], str], text: Callable[[str], str]) -> list[str]:
    """Pairs of a time and what follows it, one after the other; the last one is a time."""
    parts = list[str]()
    at: int | None = None
    for word, start, end in spans:
        space = "" if word.joined or not parts else " "
        if at is None:
            parts.append(stamp(start))
        elif at == start:
            parts += [space, stamp(start)]
        else:
            parts += [stamp(at), space, stamp(start)]
        parts.append(text(word.text))
        at = end
    return [*parts, stamp(at or 0)]


def _lrc_words(line: Line, digits: int) -> str:
    spans = _spans(line)
    if spans is None:
        return line.text
    return "".join(_stamped(spans, lambda time: f"<{_lrc_time(time, digits)}>", str))


def _limits(lines: Sequence[Line]) -> list[int | None]:
    """For each line, where the next one begins that begins later."""
    found = list[int | None]()
    limit: int | None = None
    begin: int | None = None
    for line in reversed(lines):
        start = line.start_milliseconds
        if start is not None:
            limit, begin = (begin if begin is not None and begin > start else limit), start
        found.append(limit)
    return found[::-1]


def _needs_end(line: Line, limit: int | None) -> bool:
    """Whether readers would take another end than this, and can be told."""
    start, end = line.start_milliseconds or 0, line.end_milliseconds or 0
    spans = _spans(line)
    if spans is not None and spans[-1][2] > start:
        taken = spans[-1][2]
    else:
        taken = start + LONGEST_MILLISECONDS if limit is None else min(limit, start + LONGEST_MILLISECONDS)
    return end != taken and (limit is None or end <= limit)


def _webvtt_words(line: Line, begin: int) -> str:
    def text(word: str) -> str:
        return html.escape(word, quote=False)

    spans = _spans(line)
    if spans is None:
        return text(line.text)
    parts = _stamped(spans, lambda time: f"<{clock(time, '.')}>", text)
    ended = spans[-1][2] == line.end_milliseconds
    # A time at the very edge of its cue is not allowed, and says nothing; but some time must tell that words have any.
    if ended and len(spans) > 1:
        parts.pop()
    if spans[0][1] == begin and len(spans) + (not ended) > 1:
        del parts[0]
    return "".join(parts)


def _ass_words(line: Line, begin: int, tag: str) -> str:
    spans = _spans(line)
    if spans is None:
        return line.text
    parts, at = list[str](), begin
    for number, (word, start, end) in enumerate(spans):
        first, last = centiseconds(start), centiseconds(end)
        space = "" if word.joined or number == 0 else " "
        parts.append(f"{{\\k{first - at}}}{space}" if first > at else space)
        parts.append(f"{{\\{tag}{last - max(first, at)}}}{word.text}")
        at = last
    return "".join(parts)


def _lrc_time(milliseconds: int, digits: int) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    fraction = f"{rest % 1_000:03}"[:digits]
    return f"{minutes:02}:{rest // 1_000:02}.{fraction}"


def clock(milliseconds: int, mark: str) -> str:
    """``hh:mm:ss`` and thousandths behind the mark, as SRT (a comma) and WebVTT (a point) have it."""
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1_000:02}{mark}{rest % 1_000:03}"


def centiseconds(milliseconds: int) -> int:
    """The nearest hundredth of a second, in which ASS counts."""
    return (milliseconds + 5) // 10


def ass_clock(hundredths: int) -> str:
    """``h:mm:ss.cc`` of hundredths, as ASS has it."""
    minutes, rest = divmod(hundredths, 6_000)
    return f"{minutes // 60}:{minutes % 60:02}:{rest // 100:02}.{rest % 100:02}"
