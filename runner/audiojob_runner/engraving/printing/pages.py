"""MusicXML as pages of SVG, by verovio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from xml.etree import ElementTree as ET

import verovio

_TENTHS: Final = 10  # verovio counts tenths of a millimetre, at its scale of 100 %, where a staff is 7.2 mm high
_MARGIN_MM: Final = 14
_MEI: Final = "http://www.music-encoding.org/ns/mei"
_SMALL: Final = "110%"


class Paper(StrEnum):
    """What the pages are printed on."""

    A4 = "A4"
    LETTER = "Letter"

    @property
    def millimetres(self) -> tuple[float, float]:
        """Width and height."""
        return (210.0, 297.0) if self is Paper.A4 else (215.9, 279.4)


class EngravingError(Exception):
    """verovio could not read what we wrote: a fault of ours, not of the user."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above the music on the first page."""

    title: str | None = None
    composer: str | None = None
    title_size: str = "200%"  # of that of words in the score
    composer_size: str = "110%"


@dataclass(frozen=True, slots=True)
class Look:
    """How the pages look."""

    paper: Paper = Paper.A4
    percent: int = 95  # how large everything is; at 97 a staff is 7 mm high


class Engraver:
    """A score laid out on pages, which are drawn one by one."""

    def __init__(self, musicxml: bytes, look: Look, heading: Heading) -> None:
        read = _loaded(musicxml.decode(), {"inputFrom": "musicxml", "breaks": "none", "xmlIdSeed": 1})
        encoded = with_heading(read.getMEI(), heading)
        self._toolkit = _loaded(encoded, _options(look))
        self.count: int = self._toolkit.getPageCount()

    def pages(self) -> Iterator[str]:
        """The SVG of each page."""
        for number in range(1, self.count + 1):
            yield self._toolkit.renderToSVG(number)


def with_heading(mei: str, heading: Heading) -> str:
    """The score in verovio's own form, with a title as large as titles are, which MusicXML's reader drops."""
    ET.register_namespace("", _MEI)
    root = ET.fromstring(mei)  # noqa: S314 - verovio wrote it
    definition = root.find(f".//{{{_MEI}}}scoreDef")
    if definition is None:
        raise EngravingError("verovio gives back no score")
    for tag in ("pgHead", "pgFoot"):
        for found in definition.findall(f"{{{_MEI}}}{tag}"):
            definition.remove(found)
    first = ET.Element(f"{{{_MEI}}}pgHead", {"func": "first"})
    if heading.title:
        _write(first, heading.title, heading.title_size, {"halign": "center", "valign": "middle"})
    if heading.composer:
        _write(first, heading.composer, heading.composer_size, {"halign": "right", "valign": "bottom"})
    others = ET.Element(f"{{{_MEI}}}pgHead", {"func": "all"})
    number = _write(others, "", _SMALL, {"halign": "center", "valign": "middle"})
    ET.SubElement(number, f"{{{_MEI}}}num", {"label": "page"}).text = "#"
    definition.insert(0, first)
    definition.insert(1, others)
    return ET.tostring(root, encoding="unicode")


def _write(into: ET.Element, text: str, size: str, place: dict[str, str]) -> ET.Element:
    row = ET.SubElement(ET.SubElement(into, f"{{{_MEI}}}rend", place), f"{{{_MEI}}}rend")
    row.set("fontsize", size)
    row.text = text
    return row


def _loaded(score: str, options: dict[str, Any]) -> Any:
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    if not toolkit.setOptions(options) or not toolkit.loadData(score):
        raise EngravingError("verovio cannot read the score")
    return toolkit


def _options(look: Look) -> dict[str, Any]:
    width, height = look.paper.millimetres
    unit = _TENTHS * 100 / look.percent
    margin = round(_MARGIN_MM * unit)
    return {
        "inputFrom": "mei",
        "scale": look.percent,
        "pageWidth": round(width * unit),
        "pageHeight": round(height * unit),
        "pageMarginTop": margin,
        "pageMarginBottom": margin,
        "pageMarginLeft": margin,
        "pageMarginRight": margin,
        "breaks": "auto",
        "condense": "none",
        "footer": "none",
        "header": "auto",
        "lyricWordSpace": 2.4,  # the words' font is a little wider than the one that verovio measures
        "justifyVertically": False,
        "mmOutput": True,
        "smuflTextFont": "embedded",
        "svgViewBox": True,
        "xmlIdSeed": 1,  # the same names of elements each time
    }
