"""Where the fonts are that words in pictures are drawn with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

ENV_FONTS: Final = "AUDIOJOB_FONTS"  # folders with `:` between; the image runner-music sets it
DEBIAN_FONTS: Final = "/usr/share/fonts"


def font_folders(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The folders with fonts, with all that is below each; those of Debian's packages where none are named."""
    named = [Path(folder) for folder in environ.get(ENV_FONTS, "").split(":") if folder]
    return tuple(named) or (Path(DEBIAN_FONTS),)
