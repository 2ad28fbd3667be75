"""Engrave of a long piano piece on one processor: ``python bench/music/engrave.py [--minutes M] [--seed S]``.

The notes are those of a generated piece, played again and again, so that nothing is measured but Engrave: the command
line as a user runs it, start and imports included. Wall time, processor time and peak memory are of that process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.music.pieces import piece


def notes_of(seed: int, minutes: float) -> dict[str, object]:
    """``notes.json`` of a piano piece that goes on for so long."""
    made = piece("piano", seed)
    length = made.bars * made.metre.quarters * made.quarter_seconds
    notes = []
    for again in range(int(minutes * 60 // length) + 1):
        for note in made.played():
            onset, offset = note.onset + again * length, note.offset + again * length
            if onset < minutes * 60:
                notes.append({"onset": onset, "offset": offset, "pitch": note.pitch, "velocity": note.velocity})
    return {"version": 1, "durationSeconds": minutes * 60 + 5, "instrument": "Piano", "notes": notes}


def measure(folder: Path, out: Path) -> tuple[float, float, float]:
    """Wall and processor seconds, and MB at the most."""
    command = [sys.executable, "-m", "audiojob_runner", "run", "Engrave"]
    command += ["--input", f"notes={folder / 'notes.json'}", "--param", "title=A long piece", "--out", str(out)]
    one = {min(os.sched_getaffinity(0))}
    before = time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=lambda: os.sched_setaffinity(0, one)
    )
    wall = time.monotonic() - before
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="a folder for the files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        notes = notes_of(options.seed, options.minutes)
        (folder / "notes.json").write_text(json.dumps(notes))
        out = options.keep or folder / "out"
        wall, cpu, memory = measure(folder, out)
        pages = len(list(out.glob("page-*.svg")))
        print(f"{options.minutes:g} min, {len(notes['notes'])} notes, {pages} pages: "  # type: ignore[arg-type]
              f"{wall:.1f} s wall, {cpu:.1f} s of a processor, {memory:.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
