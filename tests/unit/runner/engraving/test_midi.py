from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tests.unit.runner.engraving.pieces import C_MAJOR, band, bars, event, measures, score

from audiojob_runner.engraving.midi import TICKS, midi_of
from audiojob_runner.score.model import TREBLE, Measure, Part, Score, Staff, Value, Voice

Read = list[tuple[int, bytes]]


def read(content: bytes) -> list[Read]:
    """Ticks and bytes of each event, by track."""
    assert content[:4] == b"MThd"
    assert int.from_bytes(content[12:14], "big") == TICKS
    tracks, at = [], 14
    while at < len(content):
        end = at + 8 + int.from_bytes(content[at + 4 : at + 8], "big")
        tracks.append(track(content[at + 8 : end]))
        at = end
    return tracks


def track(data: bytes) -> Read:
    found: Read = []
    at = now = 0
    while at < len(data):
        delta, at = number(data, at)
        now += delta
        if data[at] == 0xFF:
            length, start = number(data, at + 2)
            end = start + length
        else:
            end = at + (2 if data[at] & 0xF0 == 0xC0 else 3)
        found.append((now, data[at:end]))
        at = end
    return found


def number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    while True:
        value = value << 7 | data[at] & 0x7F
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def keys(events: Read) -> list[tuple[float, int]]:
    """When, in quarters, each note begins, and its key."""
    return [(now / TICKS, data[1]) for now, data in events if data[0] & 0xF0 == 0x90]


def solo(*voices: Voice) -> Score:
    part = Part("Flute", 73, (Staff(TREBLE, (Measure(voices),)),), C_MAJOR)
    return score([part], bars(1))


def test_it_sounds_as_written_and_says_tempo_key_and_metre() -> None:
    conductor, clarinet, _, drums = read(midi_of(band()))
    told = {data[:2]: data[3:] for _, data in reversed(conductor)}
    assert told[b"\xff\x59"] == bytes([0xFD, 1])  # three flats, minor
    assert [now / TICKS for now, data in conductor if data[:2] == b"\xff\x51"] == [0, 5]
    assert int.from_bytes(told[b"\xff\x51"], "big") == round(60_000_000 / 85.3)
    assert [(now / TICKS, data[3]) for now, data in conductor if data[:2] == b"\xff\x58"] == [(0, 1), (1, 4)]
    assert keys(clarinet)[:2] == [(0, 67), (1, 72)]
    assert {data[0] & 0x0F for _, data in drums if data[0] < 0xF0} == {9}


def test_a_note_that_two_voices_have_sounds_once_and_a_repeated_one_twice() -> None:
    h, q = Value.HALF, Value.QUARTER
    upper = Voice((event(h, "C5"), event(q, "C5"), event(q)))
    lower = Voice((event(q, "C5"), event(q), event(h)), 2)
    _, flute = read(midi_of(solo(upper, lower)))
    told = [(now / TICKS, hex(data[0])) for now, data in flute if data[0] & 0xF0 in (0x80, 0x90)]
    assert told == [(0, "0x90"), (2, "0x80"), (2, "0x90"), (3, "0x80")]


def test_eighths_that_swing_are_long_and_short() -> None:
    voice = Voice((*(event(Value.EIGHTH, "C5") for _ in range(2)), event(Value.QUARTER), event(Value.HALF)))
    _, flute = read(midi_of(replace(solo(voice), swing=True)))
    assert [round(Fraction(place).limit_denominator(3), 3) for place, _ in keys(flute)] == [0, round(Fraction(2, 3), 3)]


def test_all_sixteen_parts_have_a_channel_that_is_no_drums() -> None:
    part = Part("Flute", 73, (Staff(TREBLE, measures([event(Value.WHOLE, "C5")])),), C_MAJOR)
    made = read(midi_of(score([part] * 16, bars(1))))
    channels = [data[0] & 0x0F for each in made for _, data in each if data[0] & 0xF0 == 0xC0]
    assert len(channels) == 16
    assert 9 not in channels
