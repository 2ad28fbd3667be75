"""Reads MIDI files, strictly: what the tests hold the written ones against."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ReadTrack:
    """A track: its name, programs, and messages as (tick, status, first byte, second byte)."""

    name: str = ""
    tempo: int = 0
    messages: list[tuple[int, int, int, int]] = field(default_factory=list)

    @property
    def notes(self) -> list[tuple[int, int, int, int]]:
        """Onset and offset in ticks, pitch, velocity."""
        open_notes: dict[int, tuple[int, int]] = {}
        found = []
        for tick, status, pitch, velocity in self.messages:
            if status & 0xF0 == 0x90:
                assert pitch not in open_notes
                open_notes[pitch] = (tick, velocity)
            elif status & 0xF0 == 0x80:
                onset, struck = open_notes.pop(pitch)
                found.append((onset, tick, pitch, struck))
        assert not open_notes
        return sorted(found)


def read_midi(content: bytes) -> tuple[int, list[ReadTrack]]:
    """Ticks of a quarter, and the tracks."""
    assert content[:8] == b"MThd\x00\x00\x00\x06"
    form, count, quarter = (int.from_bytes(content[at : at + 2], "big") for at in (8, 10, 12))
    assert form == 1
    tracks, at = [], 14
    while at < len(content):
        assert content[at : at + 4] == b"MTrk"
        size = int.from_bytes(content[at + 4 : at + 8], "big")
        tracks.append(_track(content[at + 8 : at + 8 + size]))
        at += 8 + size
    assert (at, len(tracks)) == (len(content), count)
    return quarter, tracks


def _track(content: bytes) -> ReadTrack:
    track, tick, at = ReadTrack(), 0, 0
    while True:
        delta, at = _number(content, at)
        tick += delta
        status = content[at]
        if status == 0xFF:
            size, begin = _number(content, at + 2)
            data, kind, at = content[begin : begin + size], content[at + 1], begin + size
            if kind == 0x03:
                track.name = data.decode()
            elif kind == 0x51:
                track.tempo = int.from_bytes(data, "big")
            elif kind == 0x2F:
                assert at == len(content)
                return track
            continue
        size = 1 if status & 0xF0 == 0xC0 else 2
        first, second = content[at + 1], content[at + 2] if size == 2 else 0
        assert max(first, second) < 128 <= status
        track.messages.append((tick, status, first, second))
        at += 1 + size


def _number(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    while True:
        value = value << 7 | content[at] & 0x7F
        at += 1
        if content[at - 1] < 128:
            return value, at
