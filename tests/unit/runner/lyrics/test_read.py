"""Each form as people and programs write it, down to lines, words and their times."""

from __future__ import annotations

import pytest
from tests.unit.runner.lyrics.reading import lyrics_of, times, told, word_times

from audiojob_runner.lyrics.read import GUESSED, form_of
from audiojob_types.documents.lyrics import Form, Timing

DRAGONS = "[00:01.00]Here be\n[00:03.50]dragons\n"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        pytest.param("Here be\ndragons", Form.PLAIN, id="lines are plain text"),
        pytest.param("[Chorus]\nHere be", Form.PLAIN, id="a heading in square brackets is plain text"),
        pytest.param(DRAGONS, Form.LRC, id="a time before a line is LRC"),
        pytest.param("[ti:Song]\n[00:01]x", Form.LRC, id="LRC may begin with tags"),
        pytest.param("1\n00:00:01,000 --> 00:00:02,000\nx", Form.SRT, id="cues are SRT"),
        pytest.param("00:01.000 --> 00:02.000\nx", Form.SRT, id="cues without a head are read as SRT"),
        pytest.param("00:01.000 --> 00:02.000\nx <00:01.500>y", Form.WEBVTT, id="times within a cue tell WebVTT"),
        pytest.param("WEBVTT - song\n\n00:01.000 --> 00:02.000\nx", Form.WEBVTT, id="the word WEBVTT tells WebVTT"),
        pytest.param("[Script Info]\n[Events]\n", Form.ASS, id="sections tell ASS"),
        pytest.param('{"lines": []}', Form.RECORD, id="an object of JSON is our record"),
        pytest.param("{la} la", Form.PLAIN, id="a brace alone is no JSON"),
        pytest.param("a --> b", Form.PLAIN, id="an arrow alone is no cue"),
    ],
)
def test_the_form_is_seen(text: str, form: Form) -> None:
    assert form_of(text) is form


def test_plain_text_has_lines_stanzas_and_no_times() -> None:
    found = lyrics_of("One two\nthree\n\n\n  four  \n")
    assert [(line.text, line.stanza) for line in found.lines] == [("One two", False), ("three", False), ("four", True)]
    assert found.timing is Timing.NONE
    assert times(found)[0] == ("One two", None, None)


@pytest.mark.parametrize(
    ("stamp", "start"),
    [
        pytest.param("[01:02.50]", 62_500, id="minutes, seconds and hundredths"),
        pytest.param("[1:2.5]", 62_500, id="single digits"),
        pytest.param("[01:02.503]", 62_503, id="thousandths"),
        pytest.param("[01:02.5034]", 62_503, id="more than thousandths"),
        pytest.param("[01:02]", 62_000, id="without a fraction"),
        pytest.param("[01:02:50]", 62_500, id="a colon before the hundredths"),
        pytest.param("[00:01:02.50]", 62_500, id="with hours"),
        pytest.param("[-00:01.00]", 0, id="a negative time is the beginning"),
    ],
)
def test_times_of_lrc(stamp: str, start: int) -> None:
    assert times(lyrics_of(f"{stamp}la"))[0][1] == start


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "[00:01.00][00:21.00]Again\n[00:11.00]Between\n",
            [("Again", 1_000, 9_000), ("Between", 11_000, 19_000), ("Again", 21_000, 29_000)],
            id="several times before a line repeat it",
        ),
        pytest.param(
            "[offset:+500]\n[00:01.00]Early\n", [("Early", 500, 8_500)], id="a positive offset is earlier"
        ),
        pytest.param(
            "[00:01.00]Late\n[offset: -250]\n", [("Late", 1_250, 9_250)], id="a negative one later, wherever it stands"
        ),
        pytest.param("[00:01.00]a\n[00:02.00]\n[00:09.00]b\n", [("a", 1_000, 2_000), ("b", 9_000, 17_000)],
                     id="an empty line ends the one before"),
        pytest.param("[00:01.00]a\n[00:03.00]♪\n[00:09.00]b\n", [("a", 1_000, 3_000), ("b", 9_000, 17_000)],
                     id="a note without words does so too"),
        pytest.param("[00:05.00]b\n[00:01.00]a\n", [("a", 1_000, 5_000), ("b", 5_000, 13_000)],
                     id="falling times are put in order"),
        pytest.param("[00:01.00]hello\n[00:01.00]hallo\n[00:04.00]b", [("hello", 1_000, 4_000), ("hallo", 1_000, 4_000),
                     ("b", 4_000, 12_000)], id="two rows at one time both stay"),
        pytest.param("[00:01.00]a\nb\n", [("a", 1_000, 9_000), ("b", None, None)], id="a line without a time has none"),
        pytest.param("[by:x][re:y]\n[id: 7]\n[#comment:]\n[00:01]a", [("a", 1_000, 9_000)], id="tags are no lines"),
        pytest.param("\ufeff[00:01]a\r\n[00:02]b\r", [("a", 1_000, 2_000), ("b", 2_000, 10_000)],
                     id="a byte order mark and other line ends"),
    ],
)  # fmt: skip
def test_lines_of_lrc(text: str, expected: list[object]) -> None:
    assert times(lyrics_of(text)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "<00:01.00>Here <00:01.50>be <00:02.00>dragons<00:03.00>",
            [("Here", 1_000, 1_500), ("be", 1_500, 2_000), ("dragons", 2_000, 3_000)],
            id="a time before each word, and behind the last",
        ),
        pytest.param(
            "<00:01.00>Here<00:01.40> <00:02.00>be<00:03.00>",
            [("Here", 1_000, 1_400), ("be", 2_000, 3_000)],
            id="a pause between two words",
        ),
        pytest.param(
            "<00:01.00>Dra<00:01.50>gons <00:02.00>fly<00:03.00>",
            [("Dra", 1_000, 1_500), ("+gons", 1_500, 2_000), ("fly", 2_000, 3_000)],
            id="syllables",
        ),
        pytest.param(
            "Here <00:02.00>be<00:03.00>", [("Here", 1_000, 2_000), ("be", 2_000, 3_000)],
            id="the first word begins with the line",
        ),
        pytest.param(
            "<00:01.00>ab cd<00:02.00>", [("ab", 1_000, 1_500), ("cd", 1_500, 2_000)],
            id="words of one time share it",
        ),
        pytest.param(
            "你[00:01.50]好[00:02.00]", [("你", 1_000, 1_500), ("+好", 1_500, 2_000)],
            id="square brackets within a line",
        ),
        pytest.param(
            "<00:00.50>a <00:05.00>b <00:03.00>c<00:09.00>",
            [("a", 1_000, 5_000), ("b", 5_000, 5_000), ("c", 5_000, 9_000)],
            id="times that fall, or lie before the line, are moved into it",
        ),
    ],
)  # fmt: skip
def test_words_of_enhanced_lrc(line: str, expected: list[object]) -> None:
    (found, *_) = lyrics_of(f"[00:01.00]{line}").lines
    assert word_times(found) == expected


def test_repeated_lines_take_their_words_with_them() -> None:
    found = lyrics_of("[00:01.00][00:11.00]<00:01.50>a<00:02.00>")
    assert [word_times(line) for line in found.lines] == [[("a", 1_500, 2_000)], [("a", 11_500, 12_000)]]


def test_tags_of_lrc_name_the_song() -> None:
    found = lyrics_of("[ti: The Song ]\n[AR:Somebody]\n[la:de]\n[00:01.00]la\n")
    assert (found.title, found.artist, found.language) == ("The Song", "Somebody", "de")


SRT = "1\n00:00:01,000 --> 00:00:02,500\n<i>Here</i> be\ndragons\n\n2\n00:01:00,000 --> 00:01:01,000 X1:0\n{\\an8}fly\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(SRT, [("Here be dragons", 1_000, 2_500), ("fly", 60_000, 61_000)],
                     id="rows of a cue are one line"),
        pytest.param(SRT.replace("\n\n", "\n"), [("Here be dragons", 1_000, 2_500), ("fly", 60_000, 61_000)],
                     id="without an empty line between cues"),
        pytest.param("00:00:05,000 --> 00:00:02,000\na", [("a", 2_000, 5_000)], id="times the wrong way round"),
        pytest.param("00:00:05,000 --> 00:00:05,000\na\n\n00:00:07.000 --> 00:00:08.000\nb",
                     [("a", 5_000, 7_000), ("b", 7_000, 8_000)], id="a cue without length lasts to the next one"),
        pytest.param("-00:00:01,000 --> 00:00:02,000\na", [("a", 0, 2_000)], id="a time before the beginning"),
        pytest.param("00:00:01,0 --> 00:00:09,0\na\n\n00:00:02,0 --> 00:00:03,0\nb",
                     [("a", 1_000, 9_000), ("b", 2_000, 3_000)], id="cues that overlap both stay"),
        pytest.param("00:00:01,000 --> 00:00:02,000\nI <3 you <b>much</b>", [("I <3 you much", 1_000, 2_000)],
                     id="a heart is no markup"),
    ],
)  # fmt: skip
def test_cues_of_srt(text: str, expected: list[object]) -> None:
    assert times(lyrics_of(text, Form.SRT)) == expected


WEBVTT = """WEBVTT
Kind: captions
Language: en

NOTE
nothing --

STYLE
::cue { color: red }

intro
00:01.000 --> 00:04.000 align:start position:0%
<v.loud Ann &amp; Bob>Here <00:02.000><c.red>be</c> <00:03.000>R&amp;B</v>

00:05.000 --> 00:06.000
<ruby>漢<rt>kan</rt></ruby>字
"""


def test_webvtt_has_words_voices_and_a_language() -> None:
    found = lyrics_of(WEBVTT)
    assert word_times(found.lines[0]) == [("Here", 1_000, 2_000), ("be", 2_000, 3_000), ("R&B", 3_000, 4_000)]
    assert [(line.text, line.voice) for line in found.lines] == [("Here be R&B", "Ann & Bob"), ("漢字", None)]
    assert (found.language, found.language_derived) == ("en", False)


SCROLLING = """WEBVTT

00:00:00.160 --> 00:00:02.390
 \nnever<00:00:00.480><c> gonna</c>

00:00:02.390 --> 00:00:02.400
never gonna
 \n
00:00:02.400 --> 00:00:04.000
never gonna
give<00:00:03.000><c> you</c>

00:00:04.000 --> 00:00:04.010
give you

"""


def test_machine_made_captions_that_scroll_have_each_line_once() -> None:
    found = lyrics_of(SCROLLING)
    assert times(found) == [("never gonna", 160, 2_390), ("give you", 2_400, 4_000)]
    assert word_times(found.lines[1]) == [("give", 2_400, 3_000), ("you", 3_000, 4_000)]


def test_parts_that_make_markup_together_are_no_words() -> None:
    found = lyrics_of(
        "WEBVTT\n\n00:01.000 --> 00:04.000\n<v Ann <00:02.000>la -> [Chorus]\n\n00:05.000 --> 00:06.000\nlu"
    )
    assert [line.text for line in found.lines] == ["lu"]


def test_lines_that_are_sung_twice_are_no_scrolling() -> None:
    found = lyrics_of("WEBVTT\n\n00:01.000 --> 00:02.000\nla la\n\n00:02.000 --> 00:03.000\nla la\n")
    assert times(found) == [("la la", 1_000, 2_000), ("la la", 2_000, 3_000)]


ASS_HEAD = "[Script Info]\nTitle: x\n\n[Events]\nFormat: Layer, Start, End, Style, Name, Effect, Text\n"


def event(text: str, kind: str = "Dialogue", effect: str = "", start: str = "0:00:01.00") -> str:
    return f"{kind}: 0,{start},0:00:04.00,Default,Ann,{effect},{text}\n"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(event("Here, be\\Ndragons"),
                     [[("Here,", None, None), ("be", None, None), ("dragons", None, None)]],
                     id="a text with commas and two rows"),
        pytest.param(event("{\\k50}Dra{\\kf50}gons {\\k20}{\\ko30}fly"),
                     [[("Dra", 1_000, 1_500), ("+gons", 1_500, 2_000), ("fly", 2_200, 2_500)]],
                     id="syllables fill one after the other, an empty one is a pause"),
        pytest.param(event("{\\pos(1,2)\\fnEvil\\t(0,100,\\k500)\\k100}la{\\r}la"), [[("lala", 1_000, 2_000)]],
                     id="fonts, positions and changes in time are dropped"),
        pytest.param(event("{\\p1}m 0 0 l 100 0{\\p0}la"), [[("la", None, None)]], id="drawings are dropped"),
        pytest.param(event("{\\k100}a{\\k900}b"), [[("a", 1_000, 2_000), ("+b", 2_000, 4_000)]],
                     id="no syllable goes on after its line"),
        pytest.param(event("la {never closed"), [[("la", None, None), ("｛never", None, None), ("closed", None, None)]],
                     id="a brace that nothing closes is text"),
        pytest.param(event("la", "Comment") + event("lu"), [[("lu", None, None)]], id="comments are not sung"),
        pytest.param(event("{\\k100}la", "Comment", "karaoke") + event("{\\move(1,2)}la", effect="fx"),
                     [[("la", 1_000, 2_000)]], id="of a karaoke template the words, and not what it made of them"),
        pytest.param(event("la") + event("{\\blur3}la"), [[("la", None, None)]], id="a line and its shadow are one"),
        pytest.param(event("la", start="nonsense") + event("lu"), [[("lu", None, None)]],
                     id="an event without a time is none"),
    ],
)  # fmt: skip
def test_events_of_ass(events: str, expected: list[object]) -> None:
    found = lyrics_of(ASS_HEAD + events)
    assert [word_times(line) for line in found.lines] == expected
    assert found.lines[0].voice == "Ann"


def test_what_ass_loses_is_counted() -> None:
    _, notes = told(ASS_HEAD + event("{\\p1}m 0 0{\\p0}{\\fnEvil\\fs5000}la") + "[Fonts]\nfontname: evil.ttf\n!!!!\n")
    assert [note.split(" of")[0] for note in notes] == ["1 drawing", "2 style overrides"]


@pytest.mark.parametrize(
    ("raw", "expected", "guessed"),
    [
        pytest.param("Grüße".encode(), "Grüße", False, id="UTF-8"),
        pytest.param("Grüße".encode("utf-8-sig"), "Grüße", False, id="UTF-8 with a mark"),
        pytest.param("Grüße".encode("utf-16"), "Grüße", False, id="UTF-16 with a mark"),
        pytest.param("Grüße dich".encode("utf-16-be"), "Grüße dich", False, id="UTF-16 without a mark"),
        pytest.param("Grüße dich, schöne Stadt".encode("cp1252"), "Grüße dich, schöne Stadt", True, id="cp1252"),
        pytest.param("Широка страна моя родная".encode("cp1251"), "Широка страна моя родная", True, id="cp1251"),
        pytest.param("月亮代表我的心\n你问我爱你有多深".encode("gbk"), "月亮代表我的心", True, id="GBK"),
        pytest.param(b"[ti:" + b"x" * 3_000 + b"]\n[00:01]" + "사랑해 너를 사랑해".encode("cp949"),
                          "사랑해 너를 사랑해", True, id="EUC-KR behind a long head of ASCII"),
        pytest.param("été\n".encode() * 3 + b"caf\xe9 au lait", "été", True, id="UTF-8 but for one line"),
    ],
)  # fmt: skip
def test_encodings(raw: bytes, expected: str, guessed: bool) -> None:
    found, notes = told(raw)
    assert found.lines[0].text == expected
    assert (GUESSED in notes) is guessed
