"""What other programs read in our scores: ``PYTHONPATH=. python -m bench.music.read_back --first 500 --count 20``.

Each generated piano piece is written as MusicXML, held against the schema of 3.1, and read by music21, partitura and
verovio.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.music.pieces import piece
from tests.integration.runner.engraving.schema import faults
from tests.integration.runner.engraving.test_files import notes_of, read_by_music21, read_by_partitura

from audiojob_runner.engraving.notation.musicxml import musicxml_of
from audiojob_runner.score.arrange import arrange
from audiojob_runner.score.heard import HeardNote, Instrument, PartNotes
from audiojob_runner.score.model import Score

VEROVIO: Final = (
    "import sys, verovio; verovio.enableLog(verovio.LOG_WARNING); t = verovio.toolkit(); "
    "t.setOptions({'inputFrom': 'musicxml'}); assert t.loadData(open(sys.argv[1]).read()); "
    "[t.renderToSVG(page) for page in range(1, t.getPageCount() + 1)]"
)


def score_of(seed: int) -> Score:
    """The piece as it is played."""
    notes = [HeardNote(each.onset, each.offset, each.pitch, each.velocity) for each in piece("piano", seed).played()]
    return arrange([PartNotes("Piano", Instrument.PIANO, notes)])


def wrong(score: Score, path: Path) -> list[str]:
    """What is not as it should be."""
    path.write_bytes(musicxml_of(score))
    found = [f"not valid: {fault}" for fault in faults(path.read_bytes())[:3]]
    done = subprocess.run([sys.executable, "-c", VEROVIO, str(path)], capture_output=True, text=True, check=False)
    found += [f"verovio: {line}" for line in (done.stderr + done.stdout).splitlines()[:3]]
    written = [sorted(set(part)) for part in notes_of(score)]
    for program, read in (("music21", read_by_music21), ("partitura", read_by_partitura)):
        if [sorted(set(part)) for part in read(path)] != written:
            found.append(f"{program} reads other notes")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=500)
    parser.add_argument("--count", type=int, default=20)
    wanted = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(wanted.first, wanted.first + wanted.count):
            found = wrong(score_of(seed), Path(folder) / f"{seed}.musicxml")
            bad += bool(found)
            print(seed, "; ".join(found) or "right", flush=True)
    print(f"{wanted.count - bad} of {wanted.count} right")


if __name__ == "__main__":
    main()
