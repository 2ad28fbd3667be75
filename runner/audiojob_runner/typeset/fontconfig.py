"""A fontconfig of our own: it knows the fonts that a text was measured in, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from audiojob_runner.typeset.faces import Face

_CONFIGURATION: Final = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


def write_fontconfig(faces: Iterable[Face], folder: Path) -> dict[str, str]:
    """Write it below ``folder``; the environment that names it."""
    fonts, cache, file = folder / "fonts", folder / "fontcache", folder / "fonts.conf"
    fonts.mkdir(parents=True)
    cache.mkdir()
    for number, path in enumerate(dict.fromkeys(face.path for face in faces)):
        (fonts / f"{number}{path.suffix}").symlink_to(path.resolve())
    file.write_text(_CONFIGURATION.format(fonts=escape(str(fonts)), cache=escape(str(cache))), encoding="utf-8")
    return {"FONTCONFIG_FILE": str(file)}
