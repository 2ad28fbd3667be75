"""What is written reads back to the same words and times."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.runner.lyrics.reading import lyrics_of, times

from audiojob_runner.lyrics.clean import Removed, clean, is_note
from audiojob_runner.lyrics.write import WRITERS, write_ass, write_lrc, write_srt, write_webvtt
from audiojob_types.documents.lyrics import Direction, Form, Line, Lyrics, Origin, Place, Word, timing_of

# Words with whatever a form of lyrics could take for its own signs.
ODD = (
    "la", "Dragons,", "don't", "<3", "a<b", "R&B", "&amp;", "{\\k50}", "{\\p1}", "[Chorus:", "[00:10.00]", "<00:10.00>",
    "<i>", "<<b>b>", "-->", "12", "1999", "WEBVTT", "NOTE", "Dialogue:", "[Events]", "\\N", "♥", "你好", "שלום", "नमस्ते",
    "[ti:x]", "[", "]x", "#", "…", "<v", "a>", "ｗ",
)  # fmt: skip


def cleaned(word: str) -> str:
    found = "".join(clean(word, Removed()).split())
    return "la" if is_note(found) else found  # signs of music alone are no words, and nothing is either


WORDS = (st.sampled_from(ODD) | st.text(max_size=6)).map(cleaned)


@st.composite
def lines_of(draw: st.DrawFn, step: int, overlapping: bool) -> tuple[Line, ...]:
    """Lines with and without times of words, with and without pauses; times are multiples of ``step``."""
    spans = st.integers(0, 9_000 // step).map(lambda number: number * step)
    found, at = list[Line](), draw(spans)
    for _ in range(draw(st.integers(1, 4))):
        texts = draw(st.lists(WORDS, min_size=1, max_size=4))
        start, timed = at, draw(st.booleans())
        words, now = list[Word](), start + draw(spans)
        for number, text in enumerate(texts):
            end = now + draw(spans)
            joined = timed and number > 0 and draw(st.booleans())
            begin, last = (now, end) if timed else (None, None)
            words.append(Word(text=text, joined=joined, start_milliseconds=begin, end_milliseconds=last))
            now = end + draw(st.sampled_from([0, step, 700]))
        end = max(now if timed else start, start + 20) + draw(spans)
        line = Line(words=tuple(words), start_milliseconds=start, end_milliseconds=end)
        if heard(line):
            found.append(line)
        at = end + draw(spans) - (draw(st.sampled_from([0, end - start - step])) if overlapping else 0)
    return tuple(found)


def heard(line: Line) -> bool:
    """A line that readers keep: no heading, and no markup made of two of its words."""
    text = line.text
    return clean(text, Removed()) == text and not (text[0] in "[［" and text[-1] in "]］")


def song(lines: tuple[Line, ...]) -> Lyrics:
    return Lyrics(timing=timing_of(lines), origin=Origin(place=Place.INPUT), lines=lines)


def spoken(lyrics: Lyrics) -> list[object]:
    """All that must stay."""
    return [
        (
            (line.start_milliseconds, line.end_milliseconds),
            [(word.text, word.joined, word.start_milliseconds, word.end_milliseconds) for word in line.words],
        )
        for line in lyrics.lines
    ]


@given(st.lists(st.sampled_from(ODD) | st.text(max_size=4)).map("".join))
def test_clean_text_stays_as_it_is(text: str) -> None:
    once = clean(text, Removed())
    assert clean(once, Removed()) == once


@given(lines_of(step=10, overlapping=False).map(song))
def test_lrc_keeps_hundredths(lyrics: Lyrics) -> None:
    assert spoken(lyrics_of(write_lrc(lyrics) or "x", Form.LRC)) == spoken(lyrics) or not lyrics.lines


@given(lines_of(step=1, overlapping=False).map(song))
def test_lrc_keeps_thousandths_where_there_are_any(lyrics: Lyrics) -> None:
    assert spoken(lyrics_of(write_lrc(lyrics) or "x", Form.LRC)) == spoken(lyrics) or not lyrics.lines


@given(lines_of(step=1, overlapping=True).map(song))
def test_webvtt_keeps_everything(lyrics: Lyrics) -> None:
    assert not lyrics.lines or spoken(lyrics_of(write_webvtt(lyrics), Form.WEBVTT)) == spoken(lyrics)


@given(lines_of(step=10, overlapping=True).map(song))
def test_ass_keeps_hundredths(lyrics: Lyrics) -> None:
    assert not lyrics.lines or spoken(lyrics_of(write_ass(lyrics), Form.ASS)) == spoken(lyrics)


@given(lines_of(step=1, overlapping=True).map(song))
def test_srt_keeps_lines(lyrics: Lyrics) -> None:
    assert not lyrics.lines or times(lyrics_of(write_srt(lyrics), Form.SRT)) == times(lyrics)


@given(lines_of(step=1, overlapping=True).map(song))
def test_the_record_itself_keeps_everything(lyrics: Lyrics) -> None:
    assert lyrics_of(json.dumps(lyrics.to_wire())).lines == lyrics.lines


@given(lines_of(step=1, overlapping=False).map(song))
def test_rounding_to_hundredths_never_adds_up(lyrics: Lyrics) -> None:
    if not lyrics.lines:
        return
    read = lyrics_of(write_ass(lyrics), Form.ASS)
    for before, after in zip(lyrics.lines, read.lines, strict=True):
        for word, again in zip(before.words, after.words, strict=True):
            if word.start_milliseconds is not None and again.start_milliseconds is not None:
                assert abs(word.start_milliseconds - again.start_milliseconds) <= 5


STRANGER = """[Script Info]
Title: {\\p1}evil
[V4+ Styles]
Style: Evil,EvilFont,5000,&H0,&H0,&H0,&H0
[Fonts]
fontname: evil.ttf
!!!!
[Events]
Dialogue: 0,0:00:01.00,0:00:09.00,Evil,{\\p1}Ann,0,0,0,,\
{\\fnEvil\\k50\\t(\\fs5000)}{\\p1}m 0 0 l 9 9{\\p0}la {\\\\p1\\iclip(m 0 0)}{lu
Dialogue: 0,0:00:02.00,0:00:09.00,Evil,,0,0,0,,{{{\\b1}}}\\{\\k9}\\N\\h{\\move(1,2,3,4)}\\p1
"""


def test_of_a_strangers_ass_nothing_is_left_but_words_and_times() -> None:
    written = write_ass(lyrics_of(STRANGER))
    assert re.sub(r"\{\\kf?\d+\}", "", written).count("\\") == 0
    assert re.findall(r"\{[^}]*\}", re.sub(r"\{\\kf?\d+\}", "", written)) == []
    assert "evil" not in written.lower()


TWO = (
    Line(
        words=(
            Word(text="Here", start_milliseconds=1_000, end_milliseconds=1_500),
            Word(text="be", start_milliseconds=2_000, end_milliseconds=2_500),
        ),
        start_milliseconds=1_000,
        end_milliseconds=3_000,
        voice="Ann, <Bob>",
    ),
    Line(words=(Word(text="R&B"),), start_milliseconds=3_723_450, end_milliseconds=3_725_000, stanza=True),
)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        pytest.param(
            Form.LRC,
            "[00:01.00]<00:01.00>Here<00:01.50> <00:02.00>be<00:02.50>\n[00:03.00]\n\n[62:03.45]R&B\n[62:05.00]\n",
            id="LRC",
        ),
        pytest.param(
            Form.SRT,
            "1\n00:00:01,000 --> 00:00:03,000\nHere be\n\n2\n01:02:03,450 --> 01:02:05,000\nR&B\n",
            id="SRT",
        ),
        pytest.param(
            Form.WEBVTT,
            "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\n<v Ann, &lt;Bob&gt;>Here<00:00:01.500> <00:00:02.000>be"
            "<00:00:02.500>\n\n01:02:03.450 --> 01:02:05.000\nR&amp;B\n",
            id="WebVTT",
        ),
        pytest.param(
            Form.ASS,
            "Dialogue: 0,0:00:01.00,0:00:03.00,Words,Ann <Bob>,0,0,0,,{\\kf50}Here{\\k50} {\\kf50}be\n"
            "Dialogue: 0,1:02:03.45,1:02:05.00,Words,,0,0,0,,R&B\n",
            id="ASS",
        ),
    ],
)
def test_what_is_written(form: Form, expected: str) -> None:
    written = WRITERS[form].write(song(TWO))
    assert written[-len(expected) :] == expected


def test_a_corrected_record_is_read_like_any_lyrics() -> None:
    wire = lyrics_of("[ti:Song]\n[la:en]\n[00:01]a\n[00:05]b").to_wire()
    wire["lines"][1]["startMilliseconds"] = 3_000
    wire["lines"][1]["words"] = [{"text": "{b}"}]
    found = lyrics_of(json.dumps(wire))
    assert times(found) == [("a", 1_000, 3_000), ("｛b｝", 3_000, 11_000)]
    assert (found.title, found.language, found.origin.form) == ("Song", "en", Form.RECORD)


def test_words_that_are_read_from_the_right_change_at_once() -> None:
    lyrics = song(TWO).model_copy(update={"direction": Direction.RIGHT_TO_LEFT})
    assert "{\\k50}Here" in write_ass(lyrics)
    assert "\\kf" not in write_ass(lyrics)


def test_tags_of_lrc_cannot_be_closed_from_within() -> None:
    lyrics = song(TWO).model_copy(update={"title": "a] [00:00.00]b", "artist": "c", "language": "en"})
    found = lyrics_of(write_lrc(lyrics))
    assert (found.artist, found.language, len(found.lines)) == ("c", "en", 2)


def test_cues_never_fall() -> None:
    starts = [line.start_milliseconds or 0 for line in lyrics_of("[00:09]b\n[00:01][00:20]a").lines]
    assert all(before <= after for before, after in pairwise(starts))
