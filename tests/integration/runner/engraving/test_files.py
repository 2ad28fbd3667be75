"""All files of a score, read by other people's programs."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from tests.integration.runner.engraving.schema import faults
from tests.unit.runner.engraving.pieces import band

from audiojob_runner.engraving.files import Order, write_files
from audiojob_runner.engraving.notation.musicxml import musicxml_of
from audiojob_runner.engraving.notation.quiet import m21
from audiojob_runner.engraving.printing.musicfont import FAMILY
from audiojob_runner.engraving.printing.pages import Paper
from audiojob_runner.score.model import Score
from audiojob_runner.score.playing import sounding

HOSTILE = 'A <b>"piece"</b> & {#eval("1")} \\ #image("/etc/passwd") $x$ שלום 日本語'
Heard = list[tuple[Fraction, int]]


@pytest.fixture(scope="module")
def piece() -> Score:
    return band()


@pytest.fixture(scope="module")
def folder(piece: Score, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files, under a title that would be markup anywhere."""
    named = replace(piece, title=HOSTILE)
    target = tmp_path_factory.mktemp("score")
    order = Order(named, target, Paper.A4, os.environ, {"piano": named.parts[1]})
    told = list[float]()
    written = write_files(order, lambda percent, message: told.append(percent))
    assert told == sorted(told)
    assert written.pages == 1
    assert {each.name for each in written.outputs} == {
        "score", "score-mxl", "pdf", "preview", "midi", "midi-piano", "page-1",
    }  # fmt: skip
    assert {path.name for path in target.iterdir()} == {each.path.name for each in written.outputs}
    return target


def notes_of(score: Score) -> list[Heard]:
    """Of each part that has pitches: when each note begins, in quarters, and its key."""
    return [sorted((note.start, note.key) for note in sounding(part)) for part in score.parts if not part.percussion]


def read_by_music21(path: Path) -> list[Heard]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = m21.converter.parse(path, forceSource=True).toSoundingPitch()
        found = dict[str, Heard]()
        for part in read.parts:
            name = part.partName
            for note in part.stripTies().flatten().notes:
                if not isinstance(note, m21.harmony.ChordSymbol):
                    found.setdefault(name, []).extend((Fraction(note.offset), pitch.midi) for pitch in note.pitches)
    return [sorted(heard) for heard in found.values() if heard]


def read_by_partitura(path: Path) -> list[Heard]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import partitura

        read = partitura.load_musicxml(path)
    found = []
    for part in read.parts:
        divisions = part.quarter_durations()[0][1]
        heard = [
            (Fraction(int(note.start.t), int(divisions)), int(note.midi_pitch))
            for note in part.notes_tied
            if hasattr(note, "midi_pitch")
        ]
        found.append(sorted(heard))
    return found


def test_musicxml_is_valid_and_says_what_it_was_given(folder: Path) -> None:
    content = (folder / "score.musicxml").read_bytes()
    assert faults(content) == []
    read = m21.converter.parse(folder / "score.mxl", forceSource=True)
    assert read.metadata.title == HOSTILE
    assert [part.partName for part in read.parts] == ["Clarinet", "Piano", "Piano", "Drums"]


def test_the_same_score_gives_the_same_bytes(piece: Score) -> None:
    assert musicxml_of(piece) == musicxml_of(piece)


def test_others_read_the_notes_that_are_played(folder: Path, piece: Score) -> None:
    assert read_by_music21(folder / "score.musicxml")[:2] == notes_of(piece)


def test_partitura_reads_the_same(tmp_path: Path, piece: Score) -> None:
    pitched = replace(piece, parts=piece.parts[:2])  # it cannot read two drums at a time
    (tmp_path / "score.musicxml").write_bytes(musicxml_of(pitched))
    clarinet, piano = notes_of(pitched)
    as_written = [(place, key + 2) for place, key in clarinet]
    assert read_by_partitura(tmp_path / "score.musicxml") == [as_written, piano]


def test_verovio_reads_it_without_a_warning(folder: Path) -> None:
    code = (
        "import sys, verovio; verovio.enableLog(verovio.LOG_WARNING); t = verovio.toolkit(); "
        "t.setOptions({'inputFrom': 'musicxml'}); assert t.loadData(open(sys.argv[1]).read()); t.renderToSVG(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "score.musicxml")], capture_output=True, text=True, check=True
    )
    assert done.stderr + done.stdout == ""


def test_the_note_in_the_tempo_is_a_glyph_and_the_title_is_only_text(folder: Path) -> None:
    fonts = subprocess.run(["pdffonts", folder / "score.pdf"], capture_output=True, text=True, check=True).stdout
    assert FAMILY in fonts
    text = subprocess.run(["pdftotext", folder / "score.pdf", "-"], capture_output=True, text=True, check=True).stdout
    assert '{#eval("1")}' in text.replace("\n", " ")
    assert "&lt;b&gt;" in (folder / "page-1.svg").read_text()


def test_midi_is_read_by_another_program(folder: Path, piece: Score) -> None:
    import mido

    read = mido.MidiFile(folder / "score.mid", charset="utf-8")
    assert [track.name for track in read.tracks] == [HOSTILE, "Clarinet", "Piano", "Drums"]
    tempos = [round(mido.tempo2bpm(each.tempo), 1) for each in read.tracks[0] if each.type == "set_tempo"]
    assert tempos == [85.3, 90.0]
    assert read.length == pytest.approx(5 * 60 / 85.3 + 8 * 60 / 90, abs=0.01)
