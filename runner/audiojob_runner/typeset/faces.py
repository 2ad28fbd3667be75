"""Fonts of a folder: which letters each one has, and how wide they are. fontTools is used here only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fontTools.ttLib import TTCollection, TTFont, TTLibError

ENVIRONMENT: Final = "AUDIOJOB_FONTS"
_USUAL_FOLDER: Final = Path("/usr/share/fonts")
_ENDINGS: Final = frozenset({".ttf", ".otf", ".ttc", ".otc"})
_MAX_FILES: Final = 5_000
# Names go into subtitles, where these signs mean nothing.
_NAME: Final = re.compile(r"[A-Za-z0-9][-A-Za-z0-9 ._']{0,99}")


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One font. ``advances`` are widths of characters in shares of the em, ``height`` that of a line as players of
    subtitles take it for the size of letters.
    """

    family: str
    path: Path
    height: float
    advances: Mapping[str, float]

    def covers(self, text: str) -> bool:
        """Whether it has a sign for each character."""
        return all(character in self.advances for character in text)


def fonts_folder() -> Path:
    """The folder of fonts: the image's own, else the system's."""
    return Path(os.environ.get(ENVIRONMENT) or _USUAL_FOLDER)


def font_files(folder: Path) -> dict[str, Path]:
    """The font files below a folder by their names, in the order of names."""
    found = dict[str, Path]()
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in _ENDINGS and len(found) < _MAX_FILES:
                found.setdefault(name, Path(root, name))
    return dict(sorted(found.items()))


def read_faces(path: Path) -> tuple[Face, ...]:
    """The fonts in a file; none where it is none that we can use."""
    return tuple(_read(path))


def read_face(path: Path, family: str) -> Face | None:
    """The font of that family in a file."""
    return next((face for face in _read(path, family) if face.family == family), None)


def _read(path: Path, family: str | None = None) -> Iterator[Face]:
    try:
        # fontTools would leave the file open where it cannot read it.
        with path.open("rb") as file:
            many = path.suffix.lower() in (".ttc", ".otc")
            for font in TTCollection(file, lazy=True).fonts if many else [TTFont(file, lazy=True)]:
                if family is None or _family(font) == family:
                    yield from _face(font, path)
    except (TTLibError, OSError, KeyError, ValueError, AttributeError, AssertionError):
        return


def _family(font: TTFont) -> str:
    return str(font["name"].getDebugName(1) or "")


def _face(font: TTFont, path: Path) -> Iterator[Face]:
    family, letters = _family(font), font.getBestCmap()
    units = int(font["head"].unitsPerEm)
    if not _NAME.fullmatch(family) or not letters or units <= 0:
        return
    metrics, system, head = font["hmtx"].metrics, font["OS/2"], font["hhea"]
    # Players go by what Windows is told, where there is anything.
    height = system.usWinAscent + system.usWinDescent or head.ascent - head.descent
    advances = {chr(code): metrics[glyph][0] / units for code, glyph in letters.items() if glyph in metrics}
    if height > 0:
        yield Face(family, path, height / units, advances)
