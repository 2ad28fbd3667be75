"""Packets of CD+G: 24 bytes, 300 a second. Pure.

A packet is a command (9), an instruction, two bytes of parity, 16 bytes of data and four of parity. Parity is for
discs, whose writers make it anew; in files it is zero, and nobody reads it. Of each byte six bits count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PACKET_BYTES: Final = 24
PACKETS_PER_SECOND: Final = 300
TILE_WIDTH, TILE_HEIGHT = 6, 12
# The whole screen in tiles. Its outermost ones are the border, which most players do not show.
COLUMNS, ROWS = 50, 18
NOTHING: Final = bytes(PACKET_BYTES)
COLOURS: Final = 16

_COMMAND: Final = 9
_MEMORY_PRESET, _BORDER_PRESET, _TILE, _TILE_XOR = 1, 2, 6, 38
_COLOUR_TABLES: Final = (30, 31)
# Players may miss packets of a scratched disc: the clearing is told so many times, numbered.
CLEARINGS: Final = 16

Colour = tuple[int, int, int]
"""Red, green, blue, each of four bits."""


def packet_at(milliseconds: float) -> int:
    """The number of the packet that is played at that time."""
    return round(milliseconds * PACKETS_PER_SECOND / 1_000)


def clear(colour: int) -> list[bytes]:
    """The whole screen and its border in one colour."""
    presets = [_packet(_MEMORY_PRESET, (colour, number)) for number in range(CLEARINGS)]
    return [*presets, _packet(_BORDER_PRESET, (colour,))]


def colour_tables(colours: Sequence[Colour]) -> list[bytes]:
    """All 16 colours, in two packets."""
    if len(colours) != COLOURS or any(not 0 <= part < 16 for colour in colours for part in colour):
        raise ValueError("CD+G has 16 colours of three parts from 0 to 15")
    packed = [part for red, green, blue in colours for part in (red << 2 | green >> 2, (green & 3) << 4 | blue)]
    return [_packet(instruction, packed[16 * n : 16 * (n + 1)]) for n, instruction in enumerate(_COLOUR_TABLES)]


def tile(row: int, column: int, bits: Sequence[int], colour: int, background: int = 0) -> bytes:
    """A tile of two colours. ``bits`` are 12 rows of 6 bits, the left one highest."""
    return _packet(_TILE, (background, colour, row, column, *bits))


def tile_xor(row: int, column: int, bits: Sequence[int], difference: int) -> bytes:
    """Changes the colour numbers of the pixels that are set, by exclusive or."""
    return _packet(_TILE_XOR, (0, difference, row, column, *bits))


def _packet(instruction: int, data: Sequence[int]) -> bytes:
    return bytes((_COMMAND, instruction, 0, 0, *data)).ljust(PACKET_BYTES, b"\0")
