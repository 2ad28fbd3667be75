"""All files of a score: written one after the other, each with its progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from audiojob_runner.engraving.heading import size_of
from audiojob_runner.engraving.midi import midi_of
from audiojob_runner.engraving.notation.musicxml import MXL_TYPE, XML_TYPE, musicxml_of, mxl_of
from audiojob_runner.engraving.printing.musicfont import write_music_font
from audiojob_runner.engraving.printing.pages import Engraver, Heading, Look, Paper
from audiojob_runner.engraving.printing.sheets import Press, Words, printable
from audiojob_runner.fonts import font_folders
from audiojob_runner.score.model import Part, Score
from audiojob_runner.task import TaskOutput

MIDI_TYPE: Final = "audio/midi"
MAX_PAGES: Final = 200  # that get a file each; the PDF has all
# Percent of the whole work at the end of each step; about as long as they take.
_NOTATED, _ENGRAVED, _DRAWN, _PRINTED = 45.0, 55.0, 80.0, 98.0
# How large a score is printed, by its staves.
_SIZES: Final = ((2, 95), (4, 85), (7, 72), (12, 60))
_SMALLEST: Final = 50

Report = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be written, and where."""

    score: Score
    folder: Path
    paper: Paper
    environ: Mapping[str, str]  # says where fonts are
    midi_names: Mapping[str, Part] = field(default_factory=dict)  # a file for each of these parts


@dataclass(frozen=True, slots=True)
class Written:
    outputs: tuple[TaskOutput, ...]
    pages: int


def write_files(order: Order, report: Report) -> Written:
    """Write MusicXML, PDF, preview, MIDI and pages. ``report`` is called often, and may raise to stop the work."""
    score, folder = order.score, order.folder
    musicxml = _notate(score, report)
    outputs = [
        _put(folder / "score.musicxml", "score", XML_TYPE, musicxml),
        _put(folder / "score.mxl", "score-mxl", MXL_TYPE, mxl_of(musicxml)),
    ]
    report(_NOTATED, "Laying out pages")
    heading = Heading(score.title, score.composer, size_of(score.title or "", 200), size_of(score.composer or "", 110))
    engraver = Engraver(musicxml, Look(order.paper, size_for(score)), heading)
    pages = _draw(engraver, folder, report)
    with TemporaryDirectory(prefix="printing-", dir=folder) as at:
        fonts = [Path(at) / "fonts", *font_folders(order.environ)]
        fonts[0].mkdir()
        write_music_font(fonts[0])
        printed = [_printable(page, Path(at)) for page in pages]
        press = Press(Path(at), order.paper, Words(score.title, score.composer), fonts)
        report(_DRAWN, "Printing the PDF")
        outputs.append(_put(folder / "score.pdf", "pdf", "application/pdf", press.pdf(printed)))
        report(_PRINTED, "Drawing the preview")
        outputs.append(_put(folder / "preview.png", "preview", "image/png", press.png(printed[0])))
    outputs += _midi(order)
    for page in pages[MAX_PAGES:]:
        page.unlink()
    outputs += [TaskOutput(page.stem, page, "image/svg+xml") for page in pages[:MAX_PAGES]]
    return Written(tuple(outputs), len(pages))


def size_for(score: Score) -> int:
    """Percent: the more staves, the smaller."""
    staves = sum(len(part.staves) for part in score.parts)
    return next((percent for most, percent in _SIZES if staves <= most), _SMALLEST)


def _notate(score: Score, report: Report) -> bytes:
    staves = sum(len(part.staves) for part in score.parts)
    total, done = max(staves * len(score.bars), 1), 0

    def on_bar() -> None:
        nonlocal done
        done += 1
        report(_NOTATED * done / total / 2, f"Notating: {done // max(staves, 1)} of {len(score.bars)} bars")

    return musicxml_of(score, on_bar)


def _draw(engraver: Engraver, folder: Path, report: Report) -> list[Path]:
    found = list[Path]()
    for number, svg in enumerate(engraver.pages(), 1):
        page = folder / f"page-{number}.svg"
        page.write_text(svg, encoding="utf-8")
        found.append(page)
        share = number / engraver.count
        report(_ENGRAVED + (_DRAWN - _ENGRAVED) * share, f"Drawing: page {number} of {engraver.count}")
    return found


def _printable(page: Path, folder: Path) -> Path:
    target = folder / page.name
    target.write_text(printable(page.read_text(encoding="utf-8")), encoding="utf-8")
    return target


def _midi(order: Order) -> Sequence[TaskOutput]:
    made = [_put(order.folder / "score.mid", "midi", MIDI_TYPE, midi_of(order.score))]
    for name, part in order.midi_names.items():
        content = midi_of(order.score, [part])
        made.append(_put(order.folder / f"midi-{name}.mid", f"midi-{name}", MIDI_TYPE, content))
    return made


def _put(path: Path, name: str, media_type: str, content: bytes) -> TaskOutput:
    path.write_bytes(content)
    return TaskOutput(name, path, media_type)
