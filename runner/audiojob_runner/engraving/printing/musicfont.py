"""The font of musical signs, as typst reads it.

verovio carries its font Leipzig only as WOFF2 in a style sheet, which typst does not read: it would print boxes.
"""

from __future__ import annotations

import base64
import re
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Final

from fontTools.ttLib import TTFont

FAMILY: Final = "Leipzig"
_EMBEDDED: Final = re.compile(r"url\(data:[^;,]+;(?:charset=[^;,]+;)?base64,([A-Za-z0-9+/=]+)\)")


def write_music_font(folder: Path) -> Path:
    """Write the font as TTF into the folder. Raises ``ValueError`` where verovio no longer carries it so."""
    sheet = files("verovio").joinpath("data", f"{FAMILY}.css").read_text(encoding="utf-8")
    found = _EMBEDDED.search(sheet)
    if found is None:
        raise ValueError(f"verovio's {FAMILY}.css has no embedded font")
    font = TTFont(BytesIO(base64.b64decode(found[1])))
    font.flavor = None  # no longer packed
    target = folder / f"{FAMILY}.ttf"
    font.save(target)
    return target
