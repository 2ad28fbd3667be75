"""Standard MIDI files, as the notes sound: at 120 quarters a minute, where a tick is about half a millisecond."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

QUARTER: Final = 960
TICKS_A_SECOND: Final = QUARTER * 2
DRUM_CHANNEL: Final = 9
BEND_RANGE: Final = 12  # semitones, told to the player
_MICROSECONDS: Final = 500_000  # of a quarter
_BEND_CENTRE: Final = 8_192
_MAX_NAME_BYTES: Final = 100
# What comes first of what happens at the same time: a note ends before the next one of its pitch begins.
_SETTING, _OFF, _BEND, _ON = range(4)


@dataclass(frozen=True, slots=True)
class MidiNote:
    """One note; times in seconds."""

    onset: float
    offset: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class MidiTrack:
    """One part. ``bends``: times in seconds and semitones, which hold for all that sounds on the channel."""

    name: str
    channel: int
    program: int
    notes: Sequence[MidiNote]
    bends: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True, order=True)
class _Event:
    tick: int
    rank: int
    message: bytes


def midi_file(tracks: Sequence[MidiTrack]) -> bytes:
    """A file of format 1: a track with the tempo, then one for each part."""
    tempo = _Event(0, _SETTING, b"\xff\x51\x03" + _MICROSECONDS.to_bytes(3, "big"))
    pieces = [_chunk([tempo]), *(_chunk(_events(track)) for track in tracks)]
    return b"MThd" + struct.pack(">IHHH", 6, 1, len(pieces), QUARTER) + b"".join(pieces)


def _events(track: MidiTrack) -> list[_Event]:
    name = track.name.encode()[:_MAX_NAME_BYTES]
    found = [
        _Event(0, _SETTING, b"\xff\x03" + _number(len(name)) + name),
        _Event(0, _SETTING, bytes((0xC0 | track.channel, track.program))),
    ]
    if track.bends:
        control = 0xB0 | track.channel
        setting = bytes((control, 101, 0, 0, control, 100, 0, 0, control, 6, BEND_RANGE, 0, control, 38, 0))
        found.append(_Event(0, _SETTING, setting))
    for onset, offset, note in _whole(track.notes):
        found.append(_Event(onset, _ON, bytes((0x90 | track.channel, note.pitch, note.velocity))))
        found.append(_Event(offset, _OFF, bytes((0x80 | track.channel, note.pitch, 0))))
    found += [_Event(_tick(time), _BEND, _bend(track.channel, semitones)) for time, semitones in track.bends]
    return found


def _whole(notes: Iterable[MidiNote]) -> list[tuple[int, int, MidiNote]]:
    """Begins and ends as ticks: no note is empty, and none lasts into the next one of its pitch."""
    found: list[tuple[int, int, MidiNote]] = []
    begins: dict[int, int] = {}  # of the note of each pitch that follows
    for note in sorted(notes, key=lambda note: (note.onset, note.offset), reverse=True):
        onset = _tick(note.onset)
        following = begins.get(note.pitch)
        if following is not None and following <= onset:
            continue  # the same note twice
        offset = max(_tick(note.offset), onset + 1)
        found.append((onset, offset if following is None else min(offset, following), note))
        begins[note.pitch] = onset
    return found


def _bend(channel: int, semitones: float) -> bytes:
    value = _BEND_CENTRE + round(semitones * _BEND_CENTRE / BEND_RANGE)
    value = max(0, min(2 * _BEND_CENTRE - 1, value))
    return bytes((0xE0 | channel, value & 0x7F, value >> 7))


def _tick(seconds: float) -> int:
    return max(0, round(seconds * TICKS_A_SECOND))


def _chunk(events: list[_Event]) -> bytes:
    content, now = bytearray(), 0
    for event in sorted(events):
        content += _number(event.tick - now) + event.message
        now = event.tick
    content += b"\x00\xff\x2f\x00"
    return b"MTrk" + struct.pack(">I", len(content)) + bytes(content)


def _number(value: int) -> bytes:
    """A quantity of variable length: seven bits a byte, all but the last with the eighth set."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(0x80 | (value & 0x7F))
    return bytes(reversed(digits))
