"""A score as MusicXML, plain and compressed. The same score gives the same bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Final
from xml.etree import ElementTree as ET

from audiojob_runner.engraving.notation.kit import events_of, name_kits
from audiojob_runner.engraving.notation.quiet import m21
from audiojob_runner.engraving.notation.stream import stream_of
from audiojob_runner.score.model import Part, Score

VERSION: Final = "3.1"  # of MusicXML: what programs of today and of ten years ago read
SOFTWARE: Final = "audiojob"
XML_TYPE: Final = "application/vnd.recordare.musicxml+xml"
MXL_TYPE: Final = "application/vnd.recordare.musicxml"
_DOCTYPE: Final = (
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">'
)
_CONTAINER: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<container><rootfiles><rootfile full-path="score.musicxml" '
    f'media-type="{XML_TYPE}"/></rootfiles></container>\n'
)
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # the first date of a zip

_DIRECTIONS: Final = {"note": 1, "forward": 1, "backup": -1}

Element = ET.Element


def musicxml_of(score: Score, on_bar: Callable[[], None] = lambda: None) -> bytes:
    """The score as MusicXML 3.1. ``on_bar`` is called for each bar of each staff."""
    exporter = m21.musicxml.m21ToXml.ScoreExporter(stream_of(score, on_bar), makeNotation=False)
    root: Element = exporter.parse()
    _identify(root, score)
    for number, written in enumerate(root.findall("part"), 1):
        _name_part(root, written, f"P{number}")
        for measure in written.findall("measure"):
            _tidy(measure)
            _lead_with_chords(measure)
        _close(written)
    for part, written in zip(score.parts, root.findall("part"), strict=True):
        _extend_words(part, written)
        if not part.percussion:
            _forget_instruments(written)
    name_kits(root, score)
    ET.indent(root, " ")
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_DOCTYPE}\n{body}\n'.encode()


def mxl_of(musicxml: bytes) -> bytes:
    """The same, compressed as MusicXML's programs exchange it."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in (("META-INF/container.xml", _CONTAINER.encode()), ("score.musicxml", musicxml)):
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, content)
    return packed.getvalue()


def _identify(root: Element, score: Score) -> None:
    """Title, composer, and who wrote the file: no day, which would make each file another one."""
    root.set("version", VERSION)
    for tag in ("work", "movement-number", "movement-title", "identification", "credit", "defaults"):
        for found in root.findall(tag):
            root.remove(found)
    head = list[Element]()
    if score.title:
        work = Element("work")
        ET.SubElement(work, "work-title").text = score.title
        head.append(work)
    identification = Element("identification")
    if score.composer:
        ET.SubElement(identification, "creator", {"type": "composer"}).text = score.composer
    encoding = ET.SubElement(identification, "encoding")
    ET.SubElement(encoding, "software").text = SOFTWARE
    head.append(identification)
    head += _credits(score)
    for place, element in enumerate(head):
        root.insert(place, element)


def _credits(score: Score) -> list[Element]:
    """What stands above the music on the first page."""
    made = []
    for kind, text, side, size in (("title", score.title, "center", "22"), ("composer", score.composer, "right", "11")):
        if text:
            credit = Element("credit", {"page": "1"})
            ET.SubElement(credit, "credit-type").text = kind
            place = {"justify": side, "halign": side, "valign": "top", "font-size": size}
            ET.SubElement(credit, "credit-words", place).text = text
            made.append(credit)
    return made


def _close(part: Element) -> None:
    """One barline at the end, behind all staves."""
    last = part.findall("measure")[-1]
    barlines = last.findall("barline")
    for barline in barlines:
        last.remove(barline)
    last.extend(barlines[:1])


def _name_part(root: Element, part: Element, name: str) -> None:
    """music21 draws the names of parts and instruments by lot."""
    before = part.get("id")
    part.set("id", name)
    for listed in root.iterfind("part-list/score-part"):
        if listed.get("id") == before:
            listed.set("id", name)
            for at, instrument in enumerate(listed.findall("score-instrument"), 1):
                old, new = instrument.get("id"), f"{name}-I{at}"
                for each in [instrument, *listed.findall("midi-instrument")]:
                    if each.get("id") == old:
                        each.set("id", new)


def _extend_words(part: Part, written: Element) -> None:
    """A line after a syllable on which more notes are sung, which music21 does not write."""
    lyrics = [lyric for event in events_of(part) if event.notes for lyric in event.lyrics]
    for lyric, element in zip(lyrics, written.iter("lyric"), strict=True):
        if lyric.extends:
            ET.SubElement(element, "extend")


def _forget_instruments(written: Element) -> None:
    """There is but one in a part; music21 names it where there are two staves."""
    for note in written.iter("note"):
        for instrument in note.findall("instrument"):
            note.remove(instrument)


def _lead_with_chords(measure: Element) -> None:
    """Chord symbols come first, each with its distance from the barline.

    music21 puts one that no note begins with behind the note; verovio then draws it below the staff.
    """
    place, start, found = 0, 0, list[tuple[int, Element]]()
    for number, each in enumerate(measure):
        if each.tag == "harmony":
            found.append((place + int(each.findtext("offset", "0")), each))
        elif each.tag in ("attributes", "print") and not found and place == 0:
            start = number + 1
        elif each.find("chord") is None:
            place += _DIRECTIONS.get(each.tag, 0) * int(each.findtext("duration", "0"))
    for number, (offset, harmony) in enumerate(found):
        measure.remove(harmony)
        measure.insert(start + number, harmony)
        harmony.set("placement", "above")
        for old in harmony.findall("offset"):
            harmony.remove(old)
        if offset:
            told = Element("offset")
            told.text = str(offset)
            harmony.insert(len(harmony) - (harmony.find("staff") is not None), told)


def _tidy(measure: Element) -> None:
    """A tempo that is only played needs no empty words; names of objects by chance go."""
    measure.attrib.pop("id", None)
    for number, each in enumerate(list(measure)):
        each.attrib.pop("id", None)
        words = each.find("direction-type/words")
        if each.tag == "direction" and words is not None and not words.text:
            sound = each.find("sound")
            measure.remove(each)
            if sound is not None:
                measure.insert(number, sound)
