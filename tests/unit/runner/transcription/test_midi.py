"""MIDI files: every note is there once, ends before the next of its pitch, and players read them."""

from __future__ import annotations

from tests.unit.runner.transcription.reading import read_midi

from audiojob_runner.transcription.midi import QUARTER, MidiNote, MidiTrack, midi_file


def test_a_file_has_a_track_with_the_tempo_and_one_for_each_part() -> None:
    notes = [MidiNote(0.5, 1.0, 60, 90), MidiNote(0.5, 2.0, 64, 70)]
    quarter, tracks = read_midi(midi_file([MidiTrack("piano", 0, 0, notes), MidiTrack("bass", 1, 33, [])]))
    assert (quarter, [track.tempo for track in tracks]) == (QUARTER, [500_000, 0, 0])
    assert [track.name for track in tracks] == ["", "piano", "bass"]
    assert tracks[1].notes == [(960, 1920, 60, 90), (960, 3840, 64, 70)]
    assert tracks[2].messages == [(0, 0xC1, 33, 0)]


def test_a_note_ends_before_the_next_of_its_pitch_and_none_is_empty_or_twice() -> None:
    notes = [MidiNote(0.0, 3.0, 60, 90), MidiNote(1.0, 1.0, 60, 80), MidiNote(1.0, 2.0, 60, 70)]
    notes.append(MidiNote(3.0, 3.0, 60, 60))
    found = read_midi(midi_file([MidiTrack("piano", 0, 0, notes)]))[1][1].notes
    assert found == [(0, 1920, 60, 90), (1920, 3840, 60, 70), (5760, 5761, 60, 60)]


def test_bends_are_told_with_their_range() -> None:
    bends = [(0.0, 0.0), (0.5, -12.0), (1.0, 12.0), (1.5, 6.0)]
    track = read_midi(midi_file([MidiTrack("voice", 2, 52, [MidiNote(0, 2, 60, 90)], bends)]))[1][1]
    controls = [message[2:] for message in track.messages if message[1] == 0xB2]
    assert controls == [(101, 0), (100, 0), (6, 12), (38, 0)]
    values = [first | second << 7 for _, status, first, second in track.messages if status == 0xE2]
    assert values == [8_192, 0, 16_383, 12_288]


def test_times_far_off_are_numbers_of_several_bytes() -> None:
    track = read_midi(midi_file([MidiTrack("piano", 0, 0, [MidiNote(7_200.0, 7_201.0, 60, 90)])]))[1][1]
    assert track.notes == [(13_824_000, 13_825_920, 60, 90)]
