"""Packets, byte by byte."""

from __future__ import annotations

import pytest

from audiojob_runner.cdg import packets


def test_every_packet_has_24_bytes_and_the_command() -> None:
    made = [
        *packets.clear(3),
        *packets.colour_tables([(0, 0, 0)] * 16),
        packets.tile(1, 2, [63] * 12, 5),
        packets.tile_xor(17, 49, [1] * 12, 3),
    ]
    assert {len(packet) for packet in made} == {24}
    assert {packet[0] for packet in made} == {9}
    assert bytes(24) == packets.NOTHING


def test_a_tile_says_its_colours_its_place_and_its_lines() -> None:
    bits = list(range(12))
    assert packets.tile(4, 7, bits, 5, 2) == bytes([9, 6, 0, 0, 2, 5, 4, 7, *bits, 0, 0, 0, 0])
    assert packets.tile_xor(4, 7, bits, 3) == bytes([9, 38, 0, 0, 0, 3, 4, 7, *bits, 0, 0, 0, 0])


def test_colours_have_four_bits_of_each_part_in_two_bytes_of_six() -> None:
    low, high = packets.colour_tables([(15, 0, 0), (0, 15, 0), (0, 0, 15), (10, 6, 9), *[(0, 0, 0)] * 12])
    assert low[:12] == bytes([9, 30, 0, 0, 0b111100, 0, 0b000011, 0b110000, 0, 0b001111, 0b101001, 0b101001])
    assert high[:5] == bytes([9, 31, 0, 0, 0])


@pytest.mark.parametrize("colours", [[(0, 0, 0)] * 15, [(16, 0, 0), *[(0, 0, 0)] * 15]])
def test_other_colours_are_refused(colours: list[packets.Colour]) -> None:
    with pytest.raises(ValueError, match="16 colours"):
        packets.colour_tables(colours)


def test_clearing_is_told_sixteen_times_numbered_and_the_border_once() -> None:
    *presets, border = packets.clear(3)
    assert [tuple(packet[1:6]) for packet in presets] == [(1, 0, 0, 3, number) for number in range(16)]
    assert border[:5] == bytes([9, 2, 0, 0, 3])


@pytest.mark.parametrize(("milliseconds", "number"), [(0, 0), (1_000, 300), (25.057, 8), (3_600_000, 1_080_000)])
def test_three_hundred_packets_are_played_a_second(milliseconds: float, number: int) -> None:
    assert packets.packet_at(milliseconds) == number
