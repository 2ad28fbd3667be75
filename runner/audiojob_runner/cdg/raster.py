"""Letters as pixels, drawn by Pillow: black or white, as CD+G has no room for greys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final

from PIL import Image, ImageDraw, ImageFont, features

from audiojob_runner.cdg.bitmap import ROW_HEIGHT, Glyphs, Mask
from audiojob_runner.typeset.clusters import clusters
from audiojob_runner.typeset.faces import Face
from audiojob_runner.typeset.fonts import Fonts, Run

FONT_PIXELS: Final = 20
# Most letters stand on the border of two tiles.
_BASELINE: Final = 24
_MAX_CACHED: Final = 2_000
_MAX_FACES: Final = 16  # of one collection


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Text in one font, as pixels."""

    text: str
    font: ImageFont.FreeTypeFont
    direction: str | None
    width: int
    lines: Mask

    def x(self, place: int) -> int:
        """How far from where reading begins the letter stands."""
        if place >= len(self.text):
            return self.width
        before = self.font.getlength(self.text[:place], mode="1", direction=self.direction) if place > 0 else 0
        return min(self.width, round(before))

    def columns(self, first: int, last: int) -> int:
        """The columns of these letters, as the bits of one line of pixels."""
        low, high = self.x(first), self.x(last)
        if self.direction == "rtl":
            low, high = self.width - high, self.width - low
        return (1 << self.width - low) - (1 << self.width - high) if low < high else 0


class Raster:
    """Draws words in the fonts that each script has. What no font has is left out."""

    def __init__(self, fonts: Fonts) -> None:
        self._fonts = fonts
        self._loaded = dict[tuple[Face, int], ImageFont.FreeTypeFont]()
        self._cached = lru_cache(maxsize=_MAX_CACHED)(self._draw)

    def draw(self, parts: Sequence[str], from_right: bool) -> Glyphs:
        """The pixels of each part of one word."""
        return self._cached(tuple(parts), from_right)

    def _draw(self, parts: tuple[str, ...], from_right: bool) -> Glyphs:
        shown = [self._shown(part) for part in parts]
        runs = [self._run(run, from_right) for run in self._fonts.runs("".join(shown))]
        whole = sum(run.width for run in runs)
        masks = [[0] * ROW_HEIGHT for _ in parts]
        ends = list(accumulate((len(part) for part in shown), initial=0))
        begin, left = 0, 0
        for run in runs:
            # From the right the first run is the last one on the screen.
            shift = left if from_right else whole - left - run.width
            for mask, (low, high) in zip(masks, pairwise(ends), strict=True):
                first, last = max(low - begin, 0), min(high - begin, len(run.text))
                columns = run.columns(first, last) if first < last else 0
                mask[:] = [have | (line & columns) << shift for have, line in zip(mask, run.lines, strict=True)]
            begin += len(run.text)
            left += run.width
        return Glyphs(whole, tuple(map(tuple, masks)))

    def _shown(self, part: str) -> str:
        lacking = set(self._fonts.lacks(part))
        return "".join(each for each in clusters(part) if each not in lacking) if lacking else part

    def _run(self, run: Run, from_right: bool) -> _Drawn:
        font = self._font(run)
        direction = ("rtl" if from_right else "ltr") if shapes() else None
        left, _, right, _ = font.getbbox(run.text, mode="1", anchor="ls", direction=direction)
        overhang = -min(0, round(left))
        length = round(font.getlength(run.text, mode="1", direction=direction))
        width = max(length, round(right)) + overhang
        if width <= 0:
            return _Drawn(run.text, font, direction, 0, (0,) * ROW_HEIGHT)
        image = Image.new("1", (width, ROW_HEIGHT))
        draw = ImageDraw.Draw(image)
        draw.fontmode = "1"
        draw.text((overhang, _BASELINE), run.text, fill=1, font=font, anchor="ls", direction=direction)
        raw, stride = image.tobytes(), (width + 7) // 8
        lines = (int.from_bytes(raw[stride * n : stride * (n + 1)]) >> 8 * stride - width for n in range(ROW_HEIGHT))
        return _Drawn(run.text, font, direction, width, tuple(lines))

    def _font(self, run: Run) -> ImageFont.FreeTypeFont:
        key = (run.face, round(FONT_PIXELS * run.scale))
        if key not in self._loaded:
            self._loaded[key] = _load(*key)
        return self._loaded[key]


def shapes() -> bool:
    """Whether letters are joined and ordered as their script demands; else only plain scripts come out right."""
    return bool(features.check("raqm"))


def _load(face: Face, pixels: int) -> ImageFont.FreeTypeFont:
    """The font of that family in the file, which may be a collection."""
    font = ImageFont.truetype(str(face.path), pixels)
    for index in range(1, _MAX_FACES):
        if font.getname()[0] == face.family:
            break
        try:
            font = ImageFont.truetype(str(face.path), pixels, index=index)
        except OSError:
            break
    return font
