"""The stream as a machine plays it: what is on the screen, when."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.unit.runner.cdg.machine import Machine, draw, line

from audiojob_runner.cdg.song import About, Graphics, graphics_of
from audiojob_runner.cdg.stream import PALETTE, after, before
from audiojob_runner.karaoke.timed import SungLine

WHITE, BLUE = before(0), after(0)


def song(lines: Sequence[SungLine], length: float, **about: object) -> tuple[Machine, Graphics]:
    graphics = graphics_of(lines, About(length, **about), draw)  # type: ignore[arg-type]
    return Machine(b"".join(graphics.packets())), graphics


VERSES = [line("aa bb cc", 10_000 + 3_000 * n, 13_000 + 3_000 * n) for n in range(6)]


@pytest.mark.parametrize(("length", "delay", "packets"), [(60_000, 0, 18_000), (1_234, 25.06, 378), (0, 0, 0)])
def test_it_is_exactly_as_long_as_the_song_and_the_delay(length: float, delay: float, packets: int) -> None:
    graphics = graphics_of(VERSES, About(length, delay=delay), draw)
    assert len(b"".join(graphics.packets())) == 24 * packets


def test_a_minute_has_432_000_bytes_whatever_is_in_it() -> None:
    for lines in ([], VERSES):
        graphics = graphics_of(lines, About(60_000), draw)
        assert sum(map(len, graphics.packets())) == 432_000


def test_words_change_their_colour_as_they_are_sung() -> None:
    machine, graphics = song(VERSES, 40_000)
    for number, verse in enumerate(VERSES):
        for place, word in enumerate(verse.words):
            middle = (word.start + word.end) / 2
            colours = machine.play(middle + 4).colours(number % 4)
            sung = 2 * place + 1
            assert colours == [BLUE] * sung + [WHITE] * (6 - sung), (verse.text, word.text)
    assert graphics.warnings() == []


def test_the_next_rows_are_there_before_they_are_sung() -> None:
    machine, _ = song(VERSES, 40_000)
    for number, verse in enumerate(VERSES):
        shown = machine.play(verse.start - 1_000).colours(number % 4)
        assert shown == [WHITE] * 6
        both = number % 2 == 0
        assert not both or machine.colours(number % 4 + 1) == [WHITE] * 6


def test_a_delay_moves_everything() -> None:
    late, _ = song(VERSES, 40_000, delay=500)
    prompt, _ = song(VERSES, 40_000)
    for at in range(11_000, 29_000, 1_000):
        assert late.play(at + 500).screen == prompt.play(at).screen


def test_every_tile_is_told_once_and_undone_once() -> None:
    machine, _ = song(VERSES, 40_000)
    machine.play(40_000)
    columns = machine.wiped // 6
    assert machine.wiped % 6 == 0
    assert 12 <= columns <= 18  # six letters of two columns each, more where words share one
    assert machine.idle > 10_000
    assert not any(any(pixels) for pixels in machine.screen)  # the end is an empty screen
    assert machine.palette == list(PALETTE)


def test_the_title_comes_first_and_goes_before_the_words() -> None:
    machine, _ = song(VERSES, 40_000, title="so ng", artist="who")
    machine.play(2_000)
    assert machine.colours(0) == [9] * 4
    assert machine.colours(1) == [10] * 3
    machine.play(8_000)
    assert machine.colours(0) == [WHITE] * 6
    assert machine.colours(1) == [WHITE] * 6


def test_there_is_no_title_where_the_words_begin_at_once() -> None:
    machine, _ = song([line("aa", 500, 1_000)], 3_000, title="song")
    assert machine.play(450).colours(0) == [WHITE] * 2


def test_without_words_the_title_stays() -> None:
    machine, graphics = song([], 20_000, title="song")
    assert machine.play(19_900).colours(0) == [9] * 4
    assert graphics.rows == 0


def test_two_voices_have_two_colours_even_at_once() -> None:
    lines = [line("aaaa", 8_000, 10_000, 0), line("bbbb", 8_500, 10_500, 1), line("cc", 11_000, 12_000, 0)]
    machine, graphics = song(lines, 15_000)
    machine.play(9_504)
    assert machine.colours(0) == [after(0)] * 3 + [before(0)]
    assert machine.colours(1) == [after(1)] * 2 + [before(1)] * 2
    assert machine.play(11_504).colours(2) == [after(0), before(0)]
    assert graphics.warnings() == []


def test_what_is_read_from_the_right_changes_from_the_right() -> None:
    graphics = graphics_of([line("אבגד", 8_000, 12_000, to_left=True)], About(15_000), draw)
    machine = Machine(b"".join(graphics.packets())).play(9_004)
    assert machine.colours(0) == [WHITE] * 3 + [BLUE]


def test_a_long_silence_empties_the_screen() -> None:
    machine, _ = song([line("aa", 5_000, 6_000), line("bb", 40_000, 41_000)], 50_000)
    assert not any(any(pixels) for pixels in machine.play(20_000).screen)
    assert machine.play(36_000).colours(0) == [WHITE] * 2


def test_what_is_sung_faster_than_it_can_be_drawn_is_told() -> None:
    lines = [line("x" * 20 + " " + "y" * 20, 5_000 + 50 * n, 5_050 + 50 * n) for n in range(200)]
    machine, graphics = song(lines, 30_000)
    assert machine.play(30_000).played == 9_000
    left_out, late = graphics.warnings()
    assert "rows left out: sung faster than it can be drawn." in left_out
    assert "coloured late or in part" in late


def test_fast_words_do_not_delay_those_that_follow() -> None:
    fast = [line("x" * 20 + " " + "y" * 20, 5_000 + 50 * n, 5_050 + 50 * n) for n in range(200)]
    machine, graphics = song([*fast, line("aa bb", 20_000, 22_000)], 30_000)
    shown = machine.play(21_004)
    assert graphics.warnings()
    assert [BLUE, BLUE, WHITE, WHITE] in [shown.colours(slot) for slot in range(4)]


def test_a_song_of_an_hour_keeps_its_time() -> None:
    lines = [line("aa bb cc", 4_000 * n, 4_000 * n + 3_000) for n in range(2, 899)]
    machine, graphics = song(lines, 3_600_000)
    assert machine.play(3_592_000 + 1_504).colours((898 - 2) % 4) == [BLUE] * 3 + [WHITE] * 3
    assert graphics.warnings() == []
