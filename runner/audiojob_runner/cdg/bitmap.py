"""Rows of the screen as bits: what is drawn of a text, and the tiles that it takes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from audiojob_runner.cdg.packets import TILE_HEIGHT, TILE_WIDTH

# A row of text is three tiles high and as wide as the screen within its border.
ROW_TILES, ROW_COLUMNS = 3, 48
ROW_HEIGHT: Final = ROW_TILES * TILE_HEIGHT
ROW_WIDTH: Final = ROW_COLUMNS * TILE_WIDTH

Mask = tuple[int, ...]
"""One number for each line of pixels from above, its highest bit at the left."""
Bits = tuple[int, ...]
"""The 12 lines of a tile, of 6 bits each."""
_TILE_BITS: Final = (1 << TILE_WIDTH) - 1
BLANK_TILE: Final[Bits] = (0,) * TILE_HEIGHT
BLANK_ROW: Final[Mask] = (0,) * ROW_HEIGHT


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What is drawn for the parts of one word, which may be joined to each other. Masks are ``width`` bits wide."""

    width: int
    parts: tuple[Mask, ...]


def placed(mask: Mask, x: int, width: int, taken: Mask = BLANK_ROW) -> Mask:
    """The mask in a row of the screen, ``x`` pixels from the left, without the pixels that another one has."""
    shift = ROW_WIDTH - x - width
    moved = ((line << shift if shift >= 0 else line >> -shift) & ((1 << ROW_WIDTH) - 1) for line in mask)
    return tuple(line & ~other for line, other in zip(moved, taken, strict=True))


def united(*masks: Mask) -> Mask:
    """The pixels of any of them."""
    whole = list(BLANK_ROW)
    for mask in masks:
        whole = [one | other for one, other in zip(whole, mask, strict=True)]
    return tuple(whole)


def extent(mask: Mask) -> tuple[int, int] | None:
    """The first column of pixels, and the one behind the last; None where there is nothing."""
    folded = 0
    for line in mask:
        folded |= line
    if not folded:
        return None
    return ROW_WIDTH - folded.bit_length(), ROW_WIDTH - ((folded & -folded).bit_length() - 1)


def tiles(mask: Mask) -> Iterator[tuple[int, int, Bits]]:
    """Tiles that are not blank: row and column within the row of text, column by column."""
    edges = extent(mask)
    if edges is None:
        return
    bands = [mask[row * TILE_HEIGHT : (row + 1) * TILE_HEIGHT] for row in range(ROW_TILES)]
    used = [(row, band) for row, band in enumerate(bands) if any(band)]
    for column in range(edges[0] // TILE_WIDTH, (edges[1] - 1) // TILE_WIDTH + 1):
        shift = ROW_WIDTH - (column + 1) * TILE_WIDTH
        for row, band in used:
            bits = tuple([line >> shift & _TILE_BITS for line in band])
            if any(bits):
                yield row, column, bits
