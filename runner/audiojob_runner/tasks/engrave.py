"""Engrave: notes that were heard as sheet music."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from audiojob_runner.engraving.files import MAX_PAGES, Order, write_files
from audiojob_runner.engraving.heading import one_row
from audiojob_runner.engraving.printing.pages import Paper
from audiojob_runner.engraving.sources import Sources, read_sources
from audiojob_runner.errors import PhaseError, stopped
from audiojob_runner.karaoke.sources import invalid
from audiojob_runner.score.arrange import NothingToWriteError, arrange
from audiojob_runner.score.heard import Level, Options
from audiojob_runner.score.model import Key, Mode, Part, Score, Time
from audiojob_runner.task import TaskContext, TaskInput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.engrave import ABOUT_INPUT, EngraveParameters

MAX_MEASURES: Final = 15_000  # bars times staves; 19,200 took 0.97 GB
_MAJOR: Final = {"C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5, "F": -1}
_READ, _ARRANGED = 3.0, 12.0  # percent
_WRITER = ("artist", "composer", "creator", "uploader")  # of metadata, in this order


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Inputs of ``notes.json`` to ``score``, ``pdf``, ``preview``, ``midi``, and one of each part and page."""
    assert isinstance(parameters, EngraveParameters)

    def report(percent: float, message: str) -> None:
        if context.cancelled.is_set():
            raise stopped()
        context.progress(percent, message)

    report(0, "Reading the notes")
    sources = read_sources(inputs, parameters)
    report(_READ, "Finding beats, bars and key")
    options = _options(parameters, inputs)
    score = _arranged(sources, options)
    _check_extent(score)
    order = Order(
        score, context.work_dir, Paper(parameters.paper), os.environ, _midi_parts(sources, score, options.level)
    )
    written = write_files(
        order, lambda percent, message: report(_ARRANGED + (100 - _ARRANGED) * percent / 100, message)
    )
    warnings = [*sources.warnings, *score.warnings]
    if written.pages > MAX_PAGES:
        warnings.append(f"The score has {written.pages} pages; only the first {MAX_PAGES} are written as SVG.")
    for warning in warnings:
        context.log.warning("%s", warning)
    context.progress(100, "Score written")
    about = described(score, written.pages)
    outputs = [replace(each, metadata=about) if each.name == "score" else each for each in written.outputs]
    return TaskResult(outputs, {**about, **({"warnings": warnings} if warnings else {})})


def _arranged(sources: Sources, options: Options) -> Score:
    try:
        return arrange([source.part for source in sources.parts], options)
    except NothingToWriteError as error:
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.EMPTY_MEDIA,
            "No part has a note that can be written.",
            "Transcribe with another instrument or sensitivity, or give other parts.",
        ) from error


def _options(wanted: EngraveParameters, inputs: Mapping[str, TaskInput]) -> Options:
    about = inputs[ABOUT_INPUT].metadata if ABOUT_INPUT in inputs else {}
    return Options(
        level=Level(wanted.level),
        title=_named(wanted.title, about, ("title",)),
        composer=_named(wanted.composer, about, _WRITER),
        chord_symbols=wanted.chord_symbols,
        quarters_per_minute=wanted.quarters_per_minute,
        time=time_of(wanted.time_signature) if wanted.time_signature else None,
        key=key_of(wanted.key) if wanted.key else None,
    )


def _named(given: str | None, about: Mapping[str, Any], members: tuple[str, ...]) -> str | None:
    """The user's words, else the source's; none where they are empty."""
    found = [given] if given is not None else [about.get(member) for member in members]
    return next((row for each in found if isinstance(each, str) and (row := one_row(each))), None)


def time_of(text: str) -> Time:
    """``6/8``."""
    beats, unit = text.split("/")
    return Time(int(beats), int(unit))


def key_of(text: str) -> Key:
    """``Bb major``. Raises :class:`PhaseError` for a key that nobody writes."""
    tonic, mode = text.split(" ")
    fifths = _MAJOR[tonic[0]] + 7 * (tonic.count("#") - tonic[1:].count("b")) - (3 if mode == "minor" else 0)
    if not -7 <= fifths <= 7:
        raise invalid(
            f"parameters.engrave.key is {text}, which has {abs(fifths)} accidentals; keys have at most 7.",
            "Give the same key under its other name, such as Ab major for G# major.",
        )
    return Key(fifths, Mode(mode))


def _check_extent(score: Score) -> None:
    measures = len(score.bars) * sum(len(part.staves) for part in score.parts)
    if measures > MAX_MEASURES:
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.TOO_LONG,
            f"The score has {measures:,} bars, those of each staff counted; Engrave writes at most {MAX_MEASURES:,}.",
            "Use a shorter piece, or write fewer parts (parameters.engrave.keep).",
        )


def _midi_parts(sources: Sources, score: Score, level: Level) -> dict[str, Part]:
    """Which part of the score gets a file of its own: none where the level has put several into one."""
    if level is Level.PIANO_REDUCTION and len(sources.parts) > 1:
        return {}
    labels = {source.part.name: source.name for source in sources.parts}
    return {labels[part.name]: part for part in score.parts if part.name in labels}


def described(score: Score, pages: int) -> dict[str, Any]:
    """What is known of the score, for those who list scores."""
    first = score.bars[0]
    told: dict[str, Any] = {
        "key": f"{_tonic(score.key)} {score.key.mode.value}",
        "timeSignature": f"{first.time.beats}/{first.time.unit}",
        "quartersPerMinute": round(score.tempos[0].quarters_per_minute, 2),
        "steady": score.steady,
        "bars": len(score.bars) - first.pickup,
        "pages": pages,
        "parts": [part.name for part in score.parts],
    }
    named = {"title": score.title, "artist": score.composer}
    return {**{name: text for name, text in named.items() if text}, **told}


def _tonic(key: Key) -> str:
    place = key.fifths + (3 if key.mode is Mode.MINOR else 0)
    step = "FCGDAEB"[(place + 1) % 7]
    sharps = (place + 1) // 7
    return step + ("#" * sharps if sharps > 0 else "b" * -sharps)
