"""A score as MIDI files, which sound as it is written: by its tempo marks, ties as one note, swing swung."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from audiojob_runner.score.model import Mode, Part, Score
from audiojob_runner.score.playing import Sounding, sounding, swung

TICKS: Final = 960  # of a quarter: triplets and all notated values are whole numbers of them
DRUM_CHANNEL: Final = 9
_CHANNELS: Final = tuple(each for each in range(16) if each != DRUM_CHANNEL)
_MAX_KEY: Final = 127


@dataclass(frozen=True, slots=True)
class _Event:
    tick: int
    order: int  # of events at one time: what ends comes before what begins
    data: bytes


def midi_of(score: Score, parts: Iterable[Part] | None = None) -> bytes:
    """The parts, or all of them, as a MIDI file: a track of tempo, key and time signatures, then one each."""
    chosen = tuple(score.parts if parts is None else parts)
    tracks = [_conductor(score)]
    pitched = 0
    for part in chosen:
        channel = DRUM_CHANNEL if part.percussion else _CHANNELS[pitched % len(_CHANNELS)]
        pitched += not part.percussion
        tracks.append(_track(score, part, channel))
    header = b"MThd" + (6).to_bytes(4, "big") + b"".join(n.to_bytes(2, "big") for n in (1, len(tracks), TICKS))
    return header + b"".join(b"MTrk" + len(each).to_bytes(4, "big") + each for each in tracks)


def tick(place: Fraction) -> int:
    """Where a place is in ticks."""
    return round(place * TICKS)


def _conductor(score: Score) -> bytes:
    fifths, minor = score.key.fifths, int(score.key.mode is Mode.MINOR)
    events = [_Event(0, 0, _meta(0x59, bytes([fifths & 0xFF, minor])))]
    if score.title:
        events.append(_Event(0, 0, _text(0x03, score.title)))
    time = None
    for bar in score.bars:
        signature = (bar.length, bar.time)
        if signature != time:
            events.append(_Event(tick(bar.place), 1, _signature(bar.length, bar.time.unit, bar.time.compound)))
        time = signature
    for mark in score.tempos:
        micros = min(round(60_000_000 / mark.quarters_per_minute), 0xFFFFFF)
        events.append(_Event(tick(mark.place), 1, _meta(0x51, micros.to_bytes(3, "big"))))
    return _packed(events, tick(score.length))


def _signature(length: Fraction, unit: int, compound: bool) -> bytes:
    """A time signature as long as the bar: a pickup has one of its own, so that barlines are where they are written."""
    beats = length * unit / 4
    while beats.denominator != 1 and unit < 64:
        unit, beats = unit * 2, beats * 2
    clocks = 36 if compound else 24  # of a metronome's click, 24 a quarter
    return _meta(0x58, bytes([min(int(beats), 255), unit.bit_length() - 1, clocks, 8]))


def _track(score: Score, part: Part, channel: int) -> bytes:
    events = [_Event(0, 0, _text(0x03, part.name))]
    if not part.percussion:
        events.append(_Event(0, 1, bytes([0xC0 | channel, min(part.program, _MAX_KEY)])))
    notes = sounding(part, swing=score.swing)
    for note in _apart(notes):
        if 0 <= note.key <= _MAX_KEY and note.start < note.end:
            start, end = tick(note.start), max(tick(note.end), tick(note.start) + 1)
            events.append(_Event(start, 3, bytes([0x90 | channel, note.key, max(1, min(note.velocity, 127))])))
            events.append(_Event(end, 2, bytes([0x80 | channel, note.key, 0])))
    events += [_Event(tick(place), 3, _text(0x05, text)) for place, text in _words(part, score.swing)]
    return _packed(events, tick(score.length))


def _apart(notes: Sequence[Sounding]) -> list[Sounding]:
    """The same notes, each key only once at a time: MIDI cannot tell which of two is to end."""
    last = dict[int, int]()
    found = list[Sounding]()
    for note in notes:
        before = last.get(note.key)
        if before is not None and found[before].end > note.start:
            if found[before].start == note.start:  # two voices have the same note
                longer = max(found[before].end, note.end)
                found[before] = Sounding(note.start, longer, note.key, max(found[before].velocity, note.velocity))
                continue
            earlier = found[before]
            found[before] = Sounding(earlier.start, note.start, earlier.key, earlier.velocity)
        last[note.key] = len(found)
        found.append(note)
    return found


def _words(part: Part, swing: bool) -> list[tuple[Fraction, str]]:
    found = list[tuple[Fraction, str]]()
    bar = Fraction(0)
    for measure in part.staves[0].measures:
        place = bar
        for voice in measure.voices:
            place = bar
            for event in voice.events:
                found += [(swung(place) if swing else place, lyric.text) for lyric in event.lyrics if lyric.verse == 1]
                place += event.duration
        bar = place
    return found


def _packed(events: Iterable[_Event], end: int) -> bytes:
    made = bytearray()
    now = 0
    for event in sorted(events, key=lambda each: (each.tick, each.order)):
        made += _variable(event.tick - now) + event.data
        now = event.tick
    return bytes(made + _variable(max(end - now, 0)) + _meta(0x2F, b""))


def _meta(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind]) + _variable(len(data)) + data


def _text(kind: int, text: str) -> bytes:
    return _meta(kind, text.encode())


def _variable(number: int) -> bytes:
    """A number in groups of seven bits, the highest first."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))
