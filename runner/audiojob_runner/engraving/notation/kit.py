"""Drums in MusicXML: one instrument for each key of the kit, so that programs play what was hit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

from audiojob_runner.score.model import Event, Part, Score

Element = ET.Element
CHANNEL: Final = 10  # of drums in General MIDI, counted from 1
NAMES: Final[dict[int, str]] = {
    35: "Bass drum", 36: "Bass drum", 38: "Snare", 40: "Snare", 41: "Low tom", 42: "Hi-hat", 43: "Low tom",
    44: "Hi-hat pedal", 45: "Middle tom", 46: "Open hi-hat", 47: "Middle tom", 48: "High tom", 49: "Crash",
    50: "High tom", 51: "Ride", 57: "Crash",
}  # fmt: skip


def name_kits(root: Element, score: Score) -> None:
    """Say in the XML of a score, of each part of drums, which note is which drum."""
    for part, listed, written in zip(
        score.parts, root.findall("part-list/score-part"), root.findall("part"), strict=True
    ):
        if part.percussion:
            _name_kit(part, listed, written)


def _name_kit(part: Part, listed: Element, written: Element) -> None:
    keys = [note.key for event in events_of(part) for note in event.notes]
    for tag in ("score-instrument", "midi-instrument"):
        for found in listed.findall(tag):
            listed.remove(found)
    names = {key: f"{listed.get('id')}-I{key}" for key in sorted(set(keys))}
    for key, name in names.items():
        instrument = ET.SubElement(listed, "score-instrument", {"id": name})
        ET.SubElement(instrument, "instrument-name").text = NAMES.get(key, f"Drum {key}")
    for key, name in names.items():
        midi = ET.SubElement(listed, "midi-instrument", {"id": name})
        ET.SubElement(midi, "midi-channel").text = str(CHANNEL)
        ET.SubElement(midi, "midi-unpitched").text = str(key + 1)
    notes = [note for note in written.iter("note") if note.find("unpitched") is not None]
    for key, note in zip(keys, notes, strict=True):
        for found in note.findall("instrument"):
            note.remove(found)
        place = next(at for at, each in enumerate(note) if each.tag in ("voice", "type", "notehead", "staff"))
        note.insert(place, Element("instrument", {"id": names[key]}))


def events_of(part: Part) -> Iterator[Event]:
    """All events in the order in which the XML has them: bar by bar, staff by staff, voice by voice."""
    for measures in zip(*(staff.measures for staff in part.staves), strict=True):
        for measure in measures:
            for voice in measure.voices:
                yield from voice.events
