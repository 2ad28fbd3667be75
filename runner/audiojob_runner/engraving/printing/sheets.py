"""Pages of SVG as one PDF and as a picture of the first, by typst."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typst

from audiojob_runner.engraving.printing.pages import Paper

TEXT_FONT: Final = "Libertinus Serif"  # typst carries it
_STYLE: Final = re.compile(r"<style[^>]*>\s*@font-face.*?</style>", re.DOTALL)
_FAMILY: Final = re.compile(r'font-family="Times, serif"')
_PREVIEW_DPI: Final = 150
# What is the user's comes in as data (sys.inputs): nothing of it is ever source text.
_SOURCE: Final = """\
#let about = json(bytes(sys.inputs.about))
#set document(
  title: if about.title == none { none } else { about.title },
  author: if about.author == none { () } else { (about.author,) },
  date: none,
)
#set page(width: about.width * 1mm, height: about.height * 1mm, margin: 0mm)
#for (at, name) in about.pages.enumerate() {
  if at > 0 { pagebreak() }
  image(name, width: 100%, height: 100%)
}
"""


@dataclass(frozen=True, slots=True)
class Words:
    """What the document says of itself."""

    title: str | None = None
    author: str | None = None


def printable(svg: str) -> str:
    """The page with fonts that typst has: it does not read those that an SVG carries."""
    return _FAMILY.sub(f'font-family="{TEXT_FONT}"', _STYLE.sub("", svg))


class Press:
    """Prints the pages that lie in a folder. ``fonts`` are folders of fonts, our own of musical signs among them."""

    def __init__(self, folder: Path, paper: Paper, words: Words, fonts: Sequence[Path]) -> None:
        self._folder = folder
        self._paper = paper
        self._words = words
        self._source = folder / "sheets.typ"
        self._source.write_text(_SOURCE, encoding="utf-8")
        self._fonts = [str(path) for path in fonts]

    def pdf(self, pages: Sequence[Path]) -> bytes:
        """All pages as one document."""
        made = typst.compile(
            str(self._source),
            root=str(self._folder),
            font_paths=self._fonts,
            ignore_system_fonts=True,
            format="pdf",
            sys_inputs=self._inputs(pages),
        )
        return bytes(made)

    def png(self, page: Path) -> bytes:
        """One page as a picture."""
        made = typst.compile(
            str(self._source),
            root=str(self._folder),
            font_paths=self._fonts,
            ignore_system_fonts=True,
            format="png",
            ppi=_PREVIEW_DPI,
            sys_inputs=self._inputs([page]),
        )
        return bytes(made)

    def _inputs(self, pages: Sequence[Path]) -> dict[str, str]:
        width, height = self._paper.millimetres
        about = {
            "title": self._words.title,
            "author": self._words.author,
            "width": width,
            "height": height,
            "pages": [path.name for path in pages],
        }
        return {"about": json.dumps(about)}
