"""Words of a song that its file holds: ID3's own frames, and what ffprobe shows of other tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audiojob_runner.media.tags.id3 import Frame, texts_of, wanted_frames
from audiojob_runner.media.tags.text import decode, decode_utf16, repair

_UNTIMED: Final = frozenset({"USLT", "ULT"})
_TIMED: Final = frozenset({"SYLT", "SLT"})
_MILLISECONDS, _LYRICS = 2, 1  # how a timed frame counts, and what it holds: others hold chords or jokes
_NAMES: Final = frozenset({"lyrics", "syncedlyrics", "unsyncedlyrics", "unsynced lyrics", "lyrics3", "uslt"})
_MAX_ENTRIES: Final = 20_000


@dataclass(frozen=True, slots=True)
class SungTag:
    """A text as the file has it, perhaps LRC; the language as the tag names it, or ''."""

    name: str
    text: str
    language: str = ""


def read_sung(path: Path, demuxer: str, document: Mapping[str, Any]) -> list[SungTag]:
    """What there is, texts with times first. ``document`` is ffprobe's answer about all tags."""
    found = list(_in_id3(path)) if demuxer in ("mp3", "aac", "flac") else []
    for holder in (document.get("format") or {}, *(document.get("streams") or [])):
        found += _shown(holder.get("tags") or {})
    return sorted((each for each in found if each.text.strip("\0 \r\n\t")), key=lambda each: each.name not in _TIMED)


def _in_id3(path: Path) -> Iterator[SungTag]:
    with path.open("rb") as file:
        for frame in wanted_frames(file, 0, _UNTIMED | _TIMED):
            if len(frame.body) < 5:
                continue
            language = frame.body[1:4].decode("latin-1").strip("\0 ")
            if frame.name in _TIMED:
                yield SungTag(frame.name, _as_lrc(list(_entries(frame))), language)
            else:
                values = texts_of(frame.body[0], frame.body[4:])[1:]  # a description goes first
                texts = [decode(value) if isinstance(value, bytes) else value for value in values]
                yield SungTag(frame.name, "\n".join(texts), language)


def _shown(tags: Mapping[str, Any]) -> Iterator[SungTag]:
    for name, value in tags.items():
        first, _, rest = str(name).lower().partition("-")
        if first in _NAMES:
            # ffmpeg writes a description before the language of three letters.
            yield SungTag(first, repair(str(value)), rest[-3:])


def _entries(frame: Frame) -> Iterator[tuple[str, int]]:
    """Each text with its time, where the frame counts in milliseconds."""
    encoding, body = frame.body[0], frame.body[6:]
    if len(frame.body) < 6 or frame.body[4] != _MILLISECONDS or frame.body[5] != _LYRICS:
        return
    wide = encoding in (1, 2)
    order = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(body[:2], "utf-16-be") if wide else None
    _, at = _until_zero(body, 0, wide)  # the description
    for _ in range(_MAX_ENTRIES):
        raw, at = _until_zero(body, at, wide)
        if at + 4 > len(body):
            return
        yield decode_utf16(raw, order) if wide else decode(raw), int.from_bytes(body[at : at + 4], "big")
        at += 4


def _until_zero(body: bytes, at: int, wide: bool) -> tuple[bytes, int]:
    """The text that ends there, and where what follows it begins."""
    if not wide:
        end = body.find(b"\0", at)
        return (body[at:], len(body)) if end < 0 else (body[at:end], end + 1)
    end = at
    while end + 2 <= len(body) and body[end : end + 2] != b"\0\0":
        end += 2
    return body[at:end], end + 2


def _as_lrc(entries: list[tuple[str, int]]) -> str:
    """A line for each entry; or, where any entry begins a new line, words of lines."""
    if not any("\n" in text.strip("\r\n ") or text.startswith(("\n", "\r")) for text, _ in entries):
        return "\n".join(f"[{_stamp(time)}]{text.strip()}" for text, time in entries)
    lines = list[str]()
    for text, time in entries:
        fresh = text.startswith(("\n", "\r")) or not lines
        word = " ".join(text.strip("\r\n").splitlines())
        if fresh:
            lines.append(f"[{_stamp(time)}]")
        lines[-1] += f"<{_stamp(time)}>{word}"
    return "\n".join(lines)


def _stamp(milliseconds: int) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{min(minutes, 9_999):02}:{rest // 1_000:02}.{rest % 1_000:03}"
