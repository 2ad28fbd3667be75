"""The pictures of docs/sheet-music.md: ``python bench/music/scores.py FOLDER`` engraves three generated pieces.

The notes are the pieces' own, as they are played, not as Transcribe would hear them: what is seen is the notation.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.music.pieces import Piece, Played, piece

INSTRUMENTS: Final = {"guitar": "Guitar", "bass": "Bass", "left": "Piano", "right": "Piano", "lead": "Voice"}
WORDS: Final = (
    "Pa",
    "per",
    "boats",
    "on",
    "qui",
    "et",
    "wa",
    "ter",
    "car",
    "ry",
    "can",
    "dles",
    "through",
    "the",
    "night",
)
JOINED: Final = frozenset({"per", "et", "ter", "ry", "dles"})
WIDTH: Final = 1_000
WHITE, EDGE = 250, 40
# By name: kind and seed of the piece, parameters, and how much of the first page is shown at most.
SCORES: Final[dict[str, tuple[Any, int, dict[str, str], float]]] = {
    "piano": ("piano", 509, {"title": "A piece for two hands"}, 0.58),
    "lead-sheet": (
        "mix",
        510,
        {
            "title": "A song",
            "composer": "a random seed",
            "level": "LeadSheet",
            "names": '{"lead": "Voice", "left": "Piano"}',
        },
        0.5,
    ),
    "full-score": (
        "mix",
        512,
        {"title": "Two and drums", "instruments": '{"lead": "Clarinet"}', "names": '{"left": "Piano"}'},
        0.515,
    ),
}


def record(notes: list[Played], instrument: str) -> dict[str, Any]:
    """``notes.json`` of a part."""
    found = [
        {"onset": each.onset, "offset": each.offset, "pitch": each.pitch, "velocity": each.velocity} for each in notes
    ]
    return {"version": 1, "durationSeconds": notes[-1].offset + 2, "instrument": instrument, "notes": found}


def drums(made: Piece) -> dict[str, Any]:
    """A kick on the first beat, a snare on the others, a hat on each eighth."""
    hits = []
    for eighth in range(round(made.bars * made.metre.quarters * 2)):
        time = 0.5 + eighth / 2 * made.quarter_seconds
        hits.append({"time": time, "drum": "Hat"})
        if eighth % 2 == 0:
            first = eighth % round(made.metre.quarters * 2) == 0
            hits.append({"time": time, "drum": "Kick" if first else "Snare"})
    return {"version": 1, "durationSeconds": 600, "instrument": "Drums", "notes": [], "hits": hits}


def lyrics(sung: list[Played]) -> dict[str, Any]:
    """A syllable a note."""
    words = []
    for number, note in enumerate(sung):
        text = WORDS[number % len(WORDS)]
        start, end = round(note.onset * 1_000), round(note.offset * 1_000)
        words.append(
            {"text": text, "joined": text in JOINED, "startMilliseconds": start, "endMilliseconds": max(end, start)}
        )
    line = {"words": words, "startMilliseconds": words[0]["startMilliseconds"],
            "endMilliseconds": words[-1]["endMilliseconds"]}  # fmt: skip
    return {"version": 1, "timing": "Words", "origin": {"place": "Input"}, "lines": [line]}


def inputs_of(name: str, made: Piece) -> dict[str, dict[str, Any]]:
    """The inputs of Engrave, by name."""
    if made.kind == "piano":
        return {"notes": record(list(made.played()), "Piano")}
    parts: dict[str, list[Played]] = {}
    for note in made.played():
        parts.setdefault(note.part, []).append(note)
    found = {part: record(notes, INSTRUMENTS[part]) for part, notes in parts.items()}
    if name == "lead-sheet":
        found["lyrics"] = lyrics(parts["lead"])
    else:
        found["drums"] = drums(made)
    return found


def draw(name: str, target: Path) -> None:
    """Engrave one of the scores, and keep the upper part of its first page."""
    kind, seed, parameters, shown = SCORES[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        command = [sys.executable, "-m", "audiojob_runner", "run", "Engrave", "--out", str(folder / "out")]
        for part, content in inputs_of(name, piece(kind, seed)).items():
            (folder / f"{part}.json").write_text(json.dumps(content))
            command += ["--input", f"{part}={folder / f'{part}.json'}"]
        for parameter, value in parameters.items():
            command += ["--param", f"{parameter}={value}"]
        subprocess.run(command, check=True)
        with Image.open(folder / "out" / "preview.png") as page:
            grey = page.convert("L")
            upper = grey.crop((0, 0, page.width, round(page.height * shown)))
            box = upper.point(lambda each: 255 * (each < WHITE)).getbbox()
            cut = upper.crop((0, 0, page.width, min(box[3] + EDGE, upper.height)))
            cut = cut.resize((WIDTH, round(cut.height * WIDTH / cut.width)), Image.Resampling.LANCZOS)
            cut.quantize(16).save(target / f"score-{name}.png", optimize=True)


if __name__ == "__main__":
    for each in SCORES:
        draw(each, Path(sys.argv[1]))
