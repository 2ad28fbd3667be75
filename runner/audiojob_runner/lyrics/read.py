"""Lyrics from a stranger's bytes: decoded, told apart by form, read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from unicodedata import category

from pydantic import ValidationError

from audiojob_runner.lyrics.ass import is_ass, read_ass
from audiojob_runner.lyrics.cues import has_cues, has_times_within, read_srt, read_webvtt
from audiojob_runner.lyrics.draft import MAX_BYTES, Draft, Piece, Row, UnusableError
from audiojob_runner.lyrics.lrc import has_stamps, read_lrc
from audiojob_runner.lyrics.plain import read_plain
from audiojob_runner.media.tags.text import decode, decode_utf16
from audiojob_types.documents.lyrics import MAX_RECORD_BYTES, Form, Lyrics, Word

GUESSED: Final = "The lyrics are not in UTF-8: their encoding was guessed. Look at them, or save them as UTF-8."
_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK: Final = b"\xef\xbb\xbf"
# Text has hardly any, and of UTF-16 without a mark at least every other byte of a space or line end is one.
_LEAST_ZEROS: Final = 0.05
_DOCUMENTS: Final = (
    ("<!doctype html", "a web page"), ("<html", "a web page"), ("{\\rtf", "an RTF document"),
    ("%pdf-", "a PDF document"), ("pk\x03\x04", "an office document or archive"), ("<tt ", "TTML"), ("<tt>", "TTML"),
)  # fmt: skip
_RECORD: Final = re.compile(r'\s*\{\s*"')
_HEAD_CHARACTERS: Final = 1_000
# Bytes that are no text have more characters that no text has.
_NO_TEXT: Final = frozenset({"Cc", "Cn", "Co", "Cs"})
_LOOKED_AT, _LEAST_ODD, _MOST_ODD = 20_000, 10, 0.02


def read_lyrics(raw: bytes, form: Form | None = None) -> Draft:
    """The draft; ``form`` where somebody says which it is. Raises :class:`UnusableError`."""
    _check_size(raw, form)
    text, notes = to_text(raw)
    if not text.strip("\0 \t\r\n"):
        raise UnusableError("The lyrics are empty.")
    _refuse_documents(text)
    draft = _READERS[form or form_of(text)](text)
    if form is Form.LRC and all(row.start is None for row in draft.rows):
        notes = (*notes, "The LRC has no times: its lines are taken as plain text.")
    return Draft(draft.form, draft.rows, draft.title, draft.artist, draft.language, (*notes, *draft.notes))


def _check_size(raw: bytes, form: Form | None) -> None:
    """A record says more of each word than a text does. Raises :class:`UnusableError`."""
    head = raw[:_HEAD_CHARACTERS].removeprefix(_UTF8_MARK).decode("latin-1")
    is_record = form is Form.RECORD or (form is None and _RECORD.match(head) is not None)
    most = MAX_RECORD_BYTES if is_record else MAX_BYTES
    if len(raw) > most:
        raise UnusableError(f"The lyrics have more than {most:,} bytes; a song's have fewer.")


def _refuse_documents(text: str) -> None:
    """What people save in the place of text. Raises :class:`UnusableError`."""
    head = text[:_HEAD_CHARACTERS].lstrip().lower()
    what = next((name for beginning, name in _DOCUMENTS if head.startswith(beginning)), None)
    if what is None and head.startswith("<?xml"):
        what = "TTML" if "<tt" in head else "XML"
    looked_at = text[:_LOOKED_AT]
    odd = sum(category(sign) in _NO_TEXT and not sign.isspace() for sign in looked_at)
    if what is None and odd >= _LEAST_ODD and odd > len(looked_at) * _MOST_ODD:
        what = "no text"
    if what is not None:
        raise UnusableError(f"The lyrics are {what}. Save them as plain text, LRC, SRT, WebVTT or ASS.")


def form_of(text: str) -> Form:
    """What a text looks like; plain text where it looks like nothing else."""
    if text.lstrip().startswith("WEBVTT"):
        return Form.WEBVTT
    if _RECORD.match(text):
        return Form.RECORD
    if is_ass(text):
        return Form.ASS
    if has_cues(text):
        return Form.WEBVTT if has_times_within(text) else Form.SRT  # some leave out the head
    return Form.LRC if has_stamps(text) else Form.PLAIN


def read_record(text: str) -> Draft:
    """``lyrics.json`` as it was written, or with somebody's corrections. Raises :class:`UnusableError`."""
    try:
        lyrics = Lyrics.read(text)
    except ValidationError as error:
        raise UnusableError(f"The lyrics are JSON, but no lyrics.json: {first_fault(error)}.") from error
    return draft_of(lyrics)


def first_fault(error: ValidationError, whole: str = "the text") -> str:
    """The first field of a record that is wrong, and why; ``whole`` is what it is called where it is no field."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or whole
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def draft_of(lyrics: Lyrics) -> Draft:
    """The rows of a record, as if they were just read: whoever wrote it may have made mistakes."""
    rows = tuple(
        Row(
            tuple(map(_piece, line.words)),
            line.start_milliseconds,
            None if line.end_derived else line.end_milliseconds,  # the next line may have been moved
            line.voice or "",
            line.stanza,
        )
        for line in lyrics.lines
    )
    language = "" if lyrics.language_derived else lyrics.language or ""
    return Draft(Form.RECORD, rows, lyrics.title or "", lyrics.artist or "", language)


def _piece(word: Word) -> Piece:
    return Piece(
        word.text if word.joined else f" {word.text}", word.start_milliseconds, word.end_milliseconds, word.derived
    )


def to_text(raw: bytes) -> tuple[str, tuple[str, ...]]:
    """The text, and a sentence where its encoding had to be guessed."""
    if raw.startswith(_MARKS) or raw.count(0) > len(raw) * _LEAST_ZEROS:
        return decode_utf16(raw), ()
    raw = raw.removeprefix(_UTF8_MARK)
    try:
        return raw.decode(), ()
    except UnicodeDecodeError:
        return _guessed(raw), (GUESSED,)


def _guessed(raw: bytes) -> str:
    """By the lines that need it: the head of a file tells nothing, and may be longer than what is looked at."""
    lines = raw.splitlines()
    odd = [number for number, line in enumerate(lines) if not line.isascii()]
    texts = [line.decode("ascii", "replace") for line in lines]
    valid = {number: text for number in odd if (text := _utf8(lines[number])) is not None}
    if len(valid) * 2 > len(odd):  # it is UTF-8, but for some lines that came from elsewhere
        odd = [number for number in odd if number not in valid]
        for number, text in valid.items():
            texts[number] = text
    decoded = decode(b"\n".join(lines[number] for number in odd)).split("\n")
    for number, text in zip(odd, decoded, strict=False):
        texts[number] = text
    return "\n".join(texts)


def _utf8(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


_READERS: Final[dict[Form, Callable[[str], Draft]]] = {
    Form.PLAIN: read_plain,
    Form.LRC: read_lrc,
    Form.SRT: read_srt,
    Form.WEBVTT: read_webvtt,
    Form.ASS: read_ass,
    Form.RECORD: read_record,
}
