"""Lyrics that nobody can sing as they are written: what is kept of them, and the sentence that says so."""

from __future__ import annotations

import json
import re
import time

import pytest
from tests.unit.runner.lyrics.reading import lyrics_of, times, told, word_times

from audiojob_runner.lyrics.draft import MAX_BYTES, UnusableError
from audiojob_runner.lyrics.settle import Song
from audiojob_runner.lyrics.write import WRITERS
from audiojob_types.documents.lyrics import Direction, Form

ASS = "[Script Info]\n[Events]\nDialogue: 0,0:00:01.00,0:00:09.00,x,,0,0,0,,"


@pytest.mark.parametrize(
    ("content", "form", "sentence"),
    [
        pytest.param("", None, "The lyrics are empty.", id="nothing"),
        pytest.param("\ufeff \r\n\t", None, "The lyrics are empty.", id="spaces"),
        pytest.param("la\n" * 350_000, None, "The lyrics have more than 524,288 bytes; a song's have fewer.",
                     id="1 MB"),
        pytest.param('{"lines": [' + " " * 16 * 1024**2 + "]}", None, "The lyrics have more than 16,777,216 bytes; a "
                     "song's have fewer.", id="a record without end"),
        pytest.param("la\n" * 5_001, None, "The lyrics have more than 5,000 lines; a song has fewer.",
                     id="5,001 lines"),
        pytest.param("la " * 25_000 + "\n" + "la " * 25_001, None, "A line of the lyrics has 75,000 characters. "
                     "Write what is sung line by line.", id="a line as long as a book"),
        pytest.param("Here be " + "la " * 200, None, "The line that begins with 'Here be la la la la la la la l' has "
                     "607 characters; at most 500 are allowed. Write what is sung line by line.", id="a long line"),
        pytest.param("a b c d e f g h i j k l m\n" * 4_900, None, "The lyrics have more than 50,000 words; a song has "
                     "fewer.", id="too many words"),
        pytest.param("[00:01.00]" * 20_000 + "la", None, "The lyrics have more than 5,000 lines; a song has fewer.",
                     id="a line repeated without end"),
        pytest.param("la", Form.SRT, "The lyrics are no SRT: no line is like '00:00:12,500 --> 00:00:15,000'.",
                     id="text that is said to be SRT"),
        pytest.param("la", Form.WEBVTT, "The lyrics are no WebVTT: no line is like '00:12.500 --> 00:15.000'.",
                     id="text that is said to be WebVTT"),
        pytest.param("la", Form.ASS, "The lyrics are no ASS: no line begins with 'Dialogue:' below '[Events]'.",
                     id="text that is said to be ASS"),
        pytest.param("<!DOCTYPE html>\n<html>la", None, "The lyrics are a web page. Save them as plain text, LRC, SRT, "
                     "WebVTT or ASS.", id="a web page"),
        pytest.param('<?xml version="1.0"?>\n<tt xmlns="x">la</tt>', None, "The lyrics are TTML. Save them as plain "
                     "text, LRC, SRT, WebVTT or ASS.", id="TTML"),
        pytest.param("{\\rtf1 la}", None, "The lyrics are an RTF document. Save them as plain text, LRC, SRT, WebVTT "
                     "or ASS.", id="RTF"),
        pytest.param("ID3\x04" + "\x05\x06la\x01\x02" * 9, None, "The lyrics are no text. Save them as plain text, "
                     "LRC, SRT, WebVTT or ASS.", id="a song in the place of its words"),
        pytest.param("WEBVTT\n\n00:01.000 --> 00:09.000\n" + "<00:02.000>" * 30_000, None, "A cue of the lyrics has "
                     "330,000 characters. Write what is sung line by line.", id="a cue of nothing but times"),
    ],
)  # fmt: skip
def test_what_is_refused(content: str, form: Form | None, sentence: str) -> None:
    with pytest.raises(UnusableError) as refused:
        told(content, form)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("content", "where"),
    [
        pytest.param('{"timing": "None", "origin": {"place": "Input"}, "lines": [{"words": []}]}', "lines.0.words",
                     id="a line without words"),
        pytest.param('{"timing": "None", "origin": {"place": "Input"}, "lines": [{"words": [{"text": "a"}], '
                     '"startMilliseconds": 1}]}', "lines.0", id="a start without an end"),
        pytest.param('{"a": ' + "[" * 200_000, "the text", id="a deep one"),
        pytest.param('{"la" la', "the text", id="no JSON"),
    ],
)  # fmt: skip
def test_records_that_are_none_say_where(content: str, where: str) -> None:
    with pytest.raises(UnusableError, match=rf"^The lyrics are JSON, but no lyrics\.json: {re.escape(where)}: "):
        told(content)


LATE = "[00:01.00]a\n[00:50.00]b\n[02:00.00]c\n"


@pytest.mark.parametrize(
    ("text", "song", "expected", "note"),
    [
        pytest.param(LATE, Song(60_000), [("a", 1_000, 9_000), ("b", 50_000, 58_000)], "1 line left out that would "
                     "begin after the end at 1:00: the lyrics may be of a longer version of the song.",
                     id="lines after the end of the song"),
        pytest.param(LATE, Song(52_000), [("a", 1_000, 9_000), ("b", 50_000, 52_000)], "1 line left out that would "
                     "begin after the end at 0:52: the lyrics may be of a longer version of the song.",
                     id="a line that the end cuts off"),
        pytest.param(LATE, Song(500), [("a", None, None), ("b", None, None), ("c", None, None)],
                     "No line begins before the song ends: the words were kept without their times.",
                     id="all lines after the end"),
        pytest.param("[00:01]b\n[9999:59.99]a", Song(), [("b", 1_000, 9_000)], "1 line left out that would begin after "
                     "the end at 1440:00: the lyrics may be of a longer version of the song.", id="a time after a day"),
        pytest.param("[-00:05.00]a\n[00:01]b", Song(), [("a", 0, 1_000), ("b", 1_000, 9_000)],
                     "1 time before the beginning set to 0.", id="a negative time"),
        pytest.param("[00:05]b\n[00:01]a\n[00:03]c", Song(), [("a", 1_000, 3_000), ("c", 3_000, 5_000), ("b", 5_000,
                     13_000)], "The times fall 1 time: the lines were put in order.", id="a time that falls"),
        pytest.param("[00:01]a\n[00:01]a\n[00:02]a", Song(), [("a", 1_000, 2_000), ("a", 2_000, 10_000)],
                     "1 line left out that stood there twice at the same time.", id="a line that stands there twice"),
        pytest.param("00:00:05,000 --> 00:00:02,000\na", Song(), [("a", 2_000, 5_000)],
                     "1 line ended before the beginning: the two times were exchanged.", id="an end before the start"),
        pytest.param("[00:01]a\nb\nc", Song(), [("a", 1_000, 9_000), ("b", None, None), ("c", None, None)],
                     "2 of 3 lines have no time: SRT, WebVTT and ASS are without them.", id="lines without a time"),
        pytest.param("[Verse 1: Ann]\na\n[Chorus: all]\nb", Song(), [("a", None, None), ("b", None, None)],
                     "2 lines in square brackets, such as [Chorus], left out: nobody sings them.", id="headings"),
        pytest.param("I 🎸 you 👍🏽", Song(), [("I you", None, None)], "3 emojis left out: fonts of letters have none.",
                     id="emoji"),
        pytest.param("a\u202eb\u2066c\u200bd\u00ade\ue000f", Song(), [("abcdef", None, None)],
                     "5 characters left out that cannot be seen or shown.",
                     id="bidi controls, zero width, private use"),
        pytest.param("a" + "\u0301" * 300, Song(), [("á\u0301\u0301\u0301", None, None)],
                     "296 accents left out: at most four are kept on a letter.", id="a tower of accents"),
    ],
)  # fmt: skip
def test_what_is_put_right(text: str, song: Song, expected: list[object], note: str) -> None:
    found, notes = told(text, song=song)
    assert (times(found), notes) == (expected, (note,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{\\an8}\\N la", "｛⧵an8｝⧵N la", id="braces and backslashes"),
        pytest.param("a\t \u00a0\u3000b", "a b", id="tabs and other spaces"),
        pytest.param("<i>a</i><br>b <font color='red'>c</font>", "a b c", id="markup"),
        pytest.param("<<b>b>a", "＜b>a", id="markup within markup"),
        pytest.param("می\u200cخواهم क्\u200dष", "می\u200cخواهم क्\u200dष", id="joiners between letters that need them"),
        pytest.param("a\u200db", "ab", id="joiners between other letters"),
        pytest.param("a [00:10.00] <00:11.00>b", "a ［00:10.00] ＜00:11.00>b", id="what looks like a time"),
        pytest.param("♪ la la ♫", "la la", id="signs of music at the edges"),
        pytest.param("e\u0301t\u00e9", "été", id="one form of each letter"),
        pytest.param("I ❤\ufe0f you", "I ❤ you", id="a heart without its colour"),
    ],
)
def test_what_a_line_becomes(text: str, expected: str) -> None:
    assert lyrics_of(text, Form.PLAIN).lines[0].text == expected


@pytest.mark.parametrize(
    ("text", "language", "known", "derived", "direction", "odd"),
    [
        pytest.param("Here be dragons", None, None, False, Direction.LEFT_TO_RIGHT, None, id="Latin tells no language"),
        pytest.param("さくら 花", None, "ja", True, Direction.LEFT_TO_RIGHT, None, id="kana tell Japanese"),
        pytest.param("שלום עליכם hello", None, "he", True, Direction.RIGHT_TO_LEFT, None, id="Hebrew, from the right"),
        pytest.param("سلام", "fas", "fa", False, Direction.RIGHT_TO_LEFT, None, id="three letters for a language"),
        pytest.param("Broken Greek: γεια σου κόσμε", "el", "el", False, Direction.LEFT_TO_RIGHT, None,
                     id="Greek with some English"),
        pytest.param("Широка страна моя", "en", "en", False, Direction.LEFT_TO_RIGHT, "The words are written in "
                     "Cyrillic letters, but their language is said to be en: are they right?",
                     id="Cyrillic that is said to be en"),
        pytest.param("Konnichiwa", "ja", "ja", False, Direction.LEFT_TO_RIGHT, None, id="Japanese in Latin letters"),
        pytest.param("la", "no language", None, False, Direction.LEFT_TO_RIGHT, None, id="a language that is none"),
        pytest.param("la", "und", None, False, Direction.LEFT_TO_RIGHT, None, id="an unknown language"),
    ],
)  # fmt: skip
def test_languages(
    text: str, language: str | None, known: str | None, derived: bool, direction: Direction, odd: str | None
) -> None:
    found, notes = told(text, language=language)
    assert (found.language, found.language_derived, found.direction) == (known, derived, direction)
    assert notes == ((odd,) if odd else ())


def test_no_words_at_all_are_no_lines() -> None:
    assert lyrics_of("[00:01.00]\n[00:05.00]♪\n[Instrumental]\n").lines == ()


def test_a_shift_moves_everything() -> None:
    found = lyrics_of("[00:01.00]<00:01.00>a <00:02.00>b<00:03.00>", song=Song(shift=500))
    assert times(found) == [("a b", 1_500, 3_500)]
    assert word_times(found.lines[0]) == [("a", 1_500, 2_500), ("b", 2_500, 3_500)]


HOSTILE = {
    "ten thousand overrides": ASS + "{\\blur9\\fnEvil}" * 10_000 + "la",
    "deep parentheses": ASS + "{" + "\\t(" * 80_000 + "}la",
    "braces that nothing closes": ASS + "{" * 500_000,
    "braces that close nothing": ASS + "}" * 4_000,
    "ten thousand syllables": ASS + "{\\k1}a" * 400,
    "tags that nothing closes": "<" * 4_900 + "\n" + "<v " * 1_600,
    "brackets": "[" * 4_900 + "\n" + "[00:" * 1_000,
    "arrows": "-->" * 160_000,
    "a cue line without end": "00:00:01,000 -->" + " " * 500_000,
    "accents": ("a" + "\u0301\u0327" * 2_000 + "\n") * 60,
    "stamps": ("[00:01.00]" + "<00:01.00>a" * 400 + "\n") * 110,
    "lines at one time": "[00:01.00]a\n" * 4_900,
    "empty lines": "[00:01.00]\n" * 9_000 + "[00:02.00]la",
    "line ends": "\r\v\f\x1c\u2028" * 70_000 + "la",
    "one long word of marks": "\u0301" * 4_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_takes_little_time(text: str) -> None:
    assert len(text.encode()) <= MAX_BYTES
    begun = time.process_time()
    try:
        found = lyrics_of(text)
    except UnusableError:
        pass
    else:
        for form in WRITERS.values():
            form.write(found)
    assert time.process_time() - begun < 10  # hundreds of seconds where it grows with the square


def test_a_record_may_be_longer_than_a_text() -> None:
    written = lyrics_of("\n".join(f"[{minute:02}:00.00]la la la la" for minute in range(90)), Form.LRC)
    record = json.dumps(written.to_wire(), indent=1)
    assert lyrics_of(record + " " * MAX_BYTES).lines == written.lines
