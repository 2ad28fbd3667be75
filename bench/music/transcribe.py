"""How many notes Transcribe finds, and how fast, beside basic-pitch's own program on the same files.

Repeat: ``python bench/music/transcribe.py --package V/bin/python``, with fluidsynth and fluid-soundfont-gm installed
and V as ``package_notes.py`` says. Pieces are those of the seeds ``REPORT``, on which no setting was chosen. A note is
right with its pitch, and its onset within 50 ms. ``--hours`` measures memory on hours of sound.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.music.pieces import REPORT, Piece, piece
from bench.music.render import Sounding, render

from audiojob_runner.task import TaskContext, TaskInput
from audiojob_runner.tasks.transcribe import run
from audiojob_types.contract import Device, PhaseLimits, PhaseNetwork
from audiojob_types.documents.notes import Notes
from audiojob_types.tasks.transcribe import TranscribeParameters

TOLERANCE: Final = 0.05
PLAIN: Final = Sounding()
INSTRUMENTS: Final = {
    "piano": "Piano", "guitar": "Guitar", "strings": "Other", "bass": "Bass", "lead": "Voice", "mix": "Other",
}  # fmt: skip
_LOG: Final = logging.getLogger("bench")
_LOG.setLevel(logging.ERROR)
Onsets = Sequence[tuple[float, int]]


@dataclass(frozen=True)
class Rates:
    """Shares: of what was found that is right, of what was played that was found."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True)
class Run:
    """One file: what was found, seconds by the clock and of processor time."""

    onsets: Onsets
    seconds: float
    processor: float


def rates(played: Onsets, found: Onsets) -> Rates:
    """Each note is right once: of both lists, in order of time, the first that fit belong together."""
    truth, guess = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list)
    for onset, pitch in sorted(played):
        truth[pitch].append(onset)
    for onset, pitch in sorted(found):
        guess[pitch].append(onset)
    right = 0
    for pitch, onsets in truth.items():
        left = list(guess[pitch])
        for onset in onsets:
            while left and left[0] < onset - TOLERANCE:
                left.pop(0)
            if left and left[0] <= onset + TOLERANCE:
                left.pop(0)
                right += 1
    return Rates(right / max(1, len(found)), right / max(1, len(played)))


def transcribe(source: Path, instrument: str) -> Run:
    """Our task, as a phase runs it."""
    clock, used = time.perf_counter(), _processor()
    record = notes_of(source, instrument)
    clock, used = time.perf_counter() - clock, _processor() - used
    return Run([(note.onset, note.pitch) for note in record.notes], clock, used)


def notes_of(source: Path, instrument: str) -> Notes:
    """What our task hears in a file."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        context = TaskContext(
            work_dir=work,
            models_root=work,
            device=Device.CPU,
            limits=PhaseLimits(),
            network=PhaseNetwork(),
            progress=lambda *_: None,
            log=_LOG,
            attempt=1,
            job_uid="bench",
            cancelled=threading.Event(),
        )
        parameters = TranscribeParameters.model_validate(
            {"instrument": instrument, "allowEmpty": True, "maxDurationSeconds": 21_600}
        )
        made = run({"audio": TaskInput("audio", path=source)}, parameters, context)
        return Notes.read(made.outputs[0].path.read_bytes())


def _processor() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def package(python: str, sources: Sequence[Path]) -> list[Run]:
    """The package's program, in its own environment."""
    script = Path(__file__).with_name("package_notes.py")
    made = subprocess.run(
        [python, str(script), *map(str, sources)], check=True, capture_output=True, text=True, timeout=7_200
    )
    answers = [json.loads(line) for line in made.stdout.splitlines()]
    return [
        Run([(onset, pitch) for onset, _, pitch in each["notes"]], each["seconds"], each["processor"])
        for each in answers
    ]


def main() -> None:
    """The table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--package", help="Python of the environment that has basic-pitch")
    options.add_argument("--folder", type=Path, help="where rendered pieces are kept")
    options.add_argument("--others", type=int, default=6, help="pieces of each class beside the 20 of piano")
    options.add_argument("--hours", type=int, default=0, help="measure memory on so many hours of one piece, repeated")
    arguments = options.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    if arguments.hours:
        long_recording(folder, arguments.hours)
        return
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    print("| class | pieces | P | R | F1 | worst | package's F1 | x real time | of its clock | of its processor time |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for kind in INSTRUMENTS:
        pieces = [piece(kind, seed) for seed in REPORT[: None if kind == "piano" else arguments.others]]  # type: ignore[arg-type]
        row(kind, pieces, folder, arguments.package)
    pieces = [piece("piano", seed) for seed in REPORT[: arguments.others]]
    row("piano", pieces, folder, None, PLAIN, "the same few")
    row("piano", pieces, folder, None, Sounding(cents=40), "40 cents sharp")


def row(
    kind: str,
    pieces: Sequence[Piece],
    folder: Path,
    python: str | None,
    sounding: Sounding = PLAIN,
    note: str = "",
) -> None:
    """One class."""
    sources = [render(each, folder, sounding) for each in pieces]
    seconds = sum(each.played()[-1].offset for each in pieces)
    truth = [[(note.onset, note.pitch) for note in each.played()] for each in pieces]
    ours = [transcribe(source, INSTRUMENTS[kind]) for source in sources]
    found = [rates(played, each.onsets) for played, each in zip(truth, ours, strict=True)]
    clock, used = sum(each.seconds for each in ours), sum(each.processor for each in ours)
    beside = f"| - | {seconds / used:.0f} | - | - |"
    if python:
        theirs = package(python, sources)
        f1 = np.mean([rates(played, each.onsets).f1 for played, each in zip(truth, theirs, strict=True)])
        clocks, useds = sum(each.seconds for each in theirs), sum(each.processor for each in theirs)
        beside = f"| {f1:.3f} | {seconds / used:.0f} | {clock / clocks:.2f} | {used / useds:.2f} |"
    means = [np.mean([getattr(each, name) for each in found]) for name in ("precision", "recall", "f1")]
    worst = min(each.f1 for each in found)
    name = f"{kind} {note}".strip()
    print(
        f"| {name} | {len(pieces)} | {means[0]:.3f} | {means[1]:.3f} | {means[2]:.3f} | {worst:.3f} {beside}",
        flush=True,
    )


def long_recording(folder: Path, hours: int) -> None:
    """Time and memory of hours of sound."""
    source, target = render(piece("piano", REPORT[0]), folder), folder / f"{hours}h.flac"
    if not target.exists():
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-nostdin",
            "-stream_loop",
            "-1",
            "-i",
            str(source),
            "-t",
            str(hours * 3_600),
        ]
        subprocess.run([*command, str(target)], check=True)
    made = transcribe(target, "Piano")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{hours} h: {len(made.onsets)} notes, {made.seconds:.0f} s, {made.processor:.0f} s of processor time, "
        f"{hours * 3_600 / made.processor:.0f} x real time, at most {megabytes:.0f} MB"
    )


if __name__ == "__main__":
    main()
