"""Pieces as sound: by fluidsynth and a sound font, both of Debian (``fluidsynth``, ``fluid-soundfont-gm``)."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.music.pieces import Piece

from audiojob_runner.transcription.midi import MidiNote, MidiTrack, midi_file

SOUND_FONT: Final = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


@dataclass(frozen=True)
class Sounding:
    """How a piece is rendered. ``cents``: how far the instruments are off tune."""

    cents: float = 0.0
    reverb: bool = True
    sound_font: Path = SOUND_FONT


def midi_of(piece: Piece, cents: float = 0.0) -> bytes:
    """The piece as it is played, a track for each part."""
    tracks = []
    for channel, (part, program) in enumerate(sorted(piece.programs.items())):
        notes = [MidiNote(n.onset, n.offset, n.pitch, n.velocity) for n in piece.played() if n.part == part]
        bends = ((0.0, cents / 100),) if cents else ()
        tracks.append(MidiTrack(part, channel, program, notes, bends))
    return midi_file(tracks)


def render(piece: Piece, folder: Path, sounding: Sounding = Sounding()) -> Path:
    """A WAV file of 44.1 kHz in the folder, made once."""
    suffix = f"{sounding.cents:+.0f}" if sounding.cents else ""
    suffix += "" if sounding.reverb else "-dry"
    suffix += "" if sounding.sound_font == SOUND_FONT else f"-{sounding.sound_font.stem}"
    target = folder / f"{piece.name}{suffix}.wav"
    if not target.exists():
        source = target.with_suffix(".mid")
        source.write_bytes(midi_of(piece, sounding.cents))
        part = target.with_suffix(".part.wav")
        switch = "1" if sounding.reverb else "0"
        command = [
            "fluidsynth", "-ni", "-q", "-g", "0.6", "-r", "44100", "-R", switch, "-C", "0",
            "-F", str(part), str(sounding.sound_font), str(source),
        ]  # fmt: skip
        subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL)
        part.rename(target)
    return target
