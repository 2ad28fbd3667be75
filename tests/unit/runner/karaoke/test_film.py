from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.runner.karaoke.songs import sung
from tests.unit.runner.typeset.fontfiles import write_font

from audiojob_runner.karaoke.film import Look, subtitles
from audiojob_runner.karaoke.timed import Sung, SungLine
from audiojob_runner.typeset.fonts import Fonts
from audiojob_types.tasks.render import RenderParameters

Event = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Fonts:
    folder = tmp_path_factory.mktemp("fonts")
    write_font(folder / "NotoSans-Bold.ttf", "Noto Sans", "abcdefghijklmnopqrstuvwxyzABCDEFGHILMNOPST 0123456789…")
    write_font(folder / "NotoSansHebrew-Bold.ttf", "Noto Sans Hebrew", "שלום")
    return Fonts(folder)


def events(fonts: Fonts, lines: Sequence[SungLine], *, title: str = "", **wanted: Any) -> list[Event]:
    """Start, end, style and text of each event, without fonts and places."""
    look = Look(1_280, 720, 30_000, title, "Band" if title else "", RenderParameters(**wanted))
    found = []
    for line in subtitles(lines, look, fonts).subtitles.splitlines():
        if line.startswith("Dialogue: "):
            _, start, end, style, *_, text = line.split(",", 9)
            found.append((start, end, style, re.sub(r"\\fn[^\\}]+|\\fs[0-9.]+|\\pos\([^)]*\)|\{\}", "", text)))
    return [(start, end, style, text.replace("{}", "")) for start, end, style, text in found]


def test_words_fill_as_they_are_sung_and_wait_in_between(fonts: Fonts) -> None:
    line = SungLine((Sung("aa", False, 8_000, 8_500), Sung("bb", False, 8_700, 9_200), Sung("cc", True, 9_200, 9_700)))
    assert events(fonts, [line], countdown=False) == [
        ("0:00:04.00", "0:00:10.70", "Voice0", r"{\k400}{\kf50}aa{\k20} {\kf50}bb{\kf50}cc")
    ]


def test_words_read_from_the_right_change_at_once(fonts: Fonts) -> None:
    line = sung("שלום שלום", 4_000)
    found = events(fonts, [SungLine(line.words, to_left=True)])
    assert found[0][3] == r"{\k400}{\k50}שלום{\k0} {\k50}שלום"


def test_two_voices_have_styles_of_their_own(fonts: Fonts) -> None:
    found = events(fonts, [sung("aa", 4_000), sung("bb", 5_000, voice=1)])
    assert [each[2] for each in found] == ["Voice0", "Voice1"]
    text = subtitles([], Look(1_280, 720, 9_000, "", "", RenderParameters()), fonts).subtitles
    assert "Style: Voice1,Sans,20,&H00FFB030,&H00FFF0C8," in text, "blue, green, red"


def test_times_do_not_add_up_their_rounding(fonts: Fonts) -> None:
    words = (Sung(text, False, 5_000 + at * 333, 5_333 + at * 333) for at, text in enumerate("abcd"))
    line = SungLine(tuple(words))
    text = events(fonts, [line], countdown=False)[0][3]
    assert sum(map(int, re.findall(r"\\kf?(\d+)", text))) == 633 - 100


@pytest.mark.parametrize(
    ("lines", "wanted", "want"),
    [
        pytest.param([sung("aa", 10_000)], {}, ["3", "2", "1"], id="before the first words"),
        pytest.param([sung("aa", 10_000)], {"countdown": False}, [], id="not wanted"),
        pytest.param([sung("aa", 4_000)], {}, [], id="no pause before them"),
        pytest.param([sung("aa", 7_000), sung("bb", 20_000)], {}, ["3", "2", "1"] * 2, id="in the middle"),
        pytest.param([sung("aa", 10_000)], {"pause_seconds": 12}, [], id="a pause that is none"),
    ],
)  # fmt: skip
def test_a_countdown_leads_to_words_after_a_pause(
    fonts: Fonts, lines: list[SungLine], wanted: dict[str, Any], want: list[str]
) -> None:
    counts = [each for each in events(fonts, lines, **wanted) if each[2] == "Count"]
    assert [each[3] for each in counts] == want
    if want:
        assert counts[len(counts) - 1][1] == ("0:00:20.00" if len(want) > 3 else "0:00:10.00")


def cards(fonts: Fonts, lines: Sequence[SungLine], **wanted: Any) -> list[tuple[str, str, str]]:
    found = events(fonts, lines, **wanted)
    return [(start, end, re.sub(r"\{.*?\}", "", text)) for start, end, style, text in found if style == "Card"]


def test_title_and_end_are_shown_while_nobody_sings(fonts: Fonts) -> None:
    assert cards(fonts, [sung("aa", 10_000)], title="Song") == [
        ("0:00:00.00", "0:00:05.00", "Song"),
        ("0:00:00.00", "0:00:05.00", "Band"),
        ("0:00:12.00", "0:00:30.00", "Song"),
        ("0:00:12.00", "0:00:30.00", "Band"),
    ]


def test_the_end_says_what_is_wanted(fonts: Fonts) -> None:
    lines = [sung("aa", 10_000)]
    assert cards(fonts, lines, end_text="bye") == [("0:00:12.00", "0:00:30.00", "bye")]
    assert cards(fonts, lines, end_text="", title_seconds=0, title="Song") == []
    assert cards(fonts, [sung("aa", 29_000)], end_text="bye") == [], "no time is left"


def test_an_instrumental_shows_its_title_from_beginning_to_end(fonts: Fonts) -> None:
    assert cards(fonts, [], title="Song")[0] == ("0:00:00.00", "0:00:30.00", "Song")
    assert cards(fonts, []) == [("0:00:00.00", "0:00:30.00", "Instrumental")]


def test_a_long_title_is_cut_off_after_three_rows(fonts: Fonts) -> None:
    found = [text for _, _, text in cards(fonts, [], title="a" * 60 + " " + "bb " * 40)]
    assert found[:-1][2].endswith("…")
    assert len(found) == 4


def test_the_thumbnail_shows_the_title_or_the_first_words(fonts: Fonts) -> None:
    def shown(lines: list[SungLine], title: str) -> int:
        return subtitles(lines, Look(1_280, 720, 30_000, title, "", RenderParameters()), fonts).shown

    assert shown([sung("aa", 10_000)], "Song") == 2_500
    assert shown([sung("aa", 10_000)], "") == 10_500
    assert shown([], "Song") == 15_000
