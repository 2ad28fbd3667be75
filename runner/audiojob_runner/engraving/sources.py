"""The parts of a score, read from the notes that earlier phases found, and the words that are sung to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from audiojob_runner.engraving.heading import MAX_NAME, one_row
from audiojob_runner.errors import PhaseError
from audiojob_runner.karaoke.sources import file_of, invalid, read_record
from audiojob_runner.lyrics.read import first_fault
from audiojob_runner.score.heard import Drum, HeardNote, Hit, Instrument, PartNotes, Word
from audiojob_runner.task import TaskInput
from audiojob_types.contract import ExitCode
from audiojob_types.documents.lyrics import Lyrics
from audiojob_types.documents.notes import MAX_RECORD_BYTES, Notes
from audiojob_types.documents.notes import Drum as HeardDrum
from audiojob_types.documents.notes import Instrument as ListenedFor
from audiojob_types.reasons import Reason
from audiojob_types.tasks.engrave import ABOUT_INPUT, LYRICS_INPUT, MAX_PARTS, EngraveParameters

TASK: Final = "Engrave"
MAX_NOTES: Final = 30_000  # about 800 MB while they are written
MAX_SECONDS: Final = 2 * 3600.0
MAX_WORD: Final = 40  # letters
NOTES_INPUT: Final = "notes"  # the one part of a pipeline that separates nothing: its instrument names it
_PART_NAME: Final = re.compile(r"[a-z](?:[-a-z0-9]{0,56}[a-z0-9])?")  # with midi- before it, an output's name
_DRUMS: Final = {HeardDrum.KICK: Drum.KICK, HeardDrum.SNARE: Drum.SNARE, HeardDrum.HAT: Drum.CLOSED_HAT}
_NAMES: Final = {"vocals": "Voice", "other": "Other"}
# From the top of a page to its foot.
_ORDER: Final = (
    Instrument.VOICE, Instrument.FLUTE, Instrument.OBOE, Instrument.CLARINET, Instrument.BASSOON,
    Instrument.ALTO_SAXOPHONE, Instrument.TENOR_SAXOPHONE, Instrument.HORN, Instrument.TRUMPET, Instrument.TROMBONE,
    Instrument.OTHER, Instrument.GUITAR, Instrument.HARP, Instrument.PIANO, Instrument.ORGAN, Instrument.STRINGS,
    Instrument.VIOLIN, Instrument.VIOLA, Instrument.CELLO, Instrument.DOUBLE_BASS, Instrument.BASS, Instrument.DRUMS,
)  # fmt: skip
_UNNAMED: Final = "Melody"  # of a part that is some instrument
_NO_TIMES: Final = "The lyrics do not say when each word is sung, and are left out; Align finds it."
_NO_SINGER: Final = "There are lyrics, but no part for a voice; they are left out."


@dataclass(frozen=True, slots=True)
class Source:
    """A part, and what it is called in names of files and in parameters."""

    name: str
    part: PartNotes


@dataclass(frozen=True, slots=True)
class Sources:
    """All parts that have notes, and what is odd about them."""

    parts: tuple[Source, ...]
    warnings: tuple[str, ...] = ()


def read_sources(inputs: Mapping[str, TaskInput], wanted: EngraveParameters) -> Sources:
    """The parts of all inputs. Raises :class:`PhaseError` where there are none to write."""
    names = [name for name in inputs if name not in (LYRICS_INPUT, ABOUT_INPUT)]
    _check_names(names, wanted)
    names = [name for name in names if not wanted.keep or name in wanted.keep]
    sources = list[Source]()
    warnings = list[str]()
    for name in names:
        path = file_of(inputs, name, TASK)
        if path is None:
            continue
        source = _source(name, read_notes(path, name), wanted)
        if source.part.notes or source.part.hits:
            sources.append(source)
        else:
            warnings.append(f"Nothing is heard in {name}: it gets no part.")
    sources = told_apart(sorted(sources, key=lambda source: _ORDER.index(source.part.instrument)))
    _check_extent(sources)
    words = _words(inputs, sources)
    return Sources(words.parts, (*warnings, *words.warnings))


def told_apart(sources: Sequence[Source]) -> list[Source]:
    """The same, each with a name of its own in the score: of two that are called alike the second is number 2."""
    found, taken = list[Source](), set[str]()
    for source in sources:
        label, number = source.part.name, 1
        while label in taken:
            number += 1
            label = f"{source.part.name} {number}"
        taken.add(label)
        found.append(replace(source, part=replace(source.part, name=label)))
    return found


def read_notes(path: Path, name: str) -> Notes:
    """``notes.json``. Raises :class:`PhaseError`."""
    suggestion = "Give the output notes of a Transcribe phase, or correct what was changed in it."
    with path.open("rb") as file:
        content = file.read(MAX_RECORD_BYTES + 1)
    if len(content) > MAX_RECORD_BYTES:
        raise invalid(f"The input {name} has more than {MAX_RECORD_BYTES // 1024**2} MiB.", suggestion)
    try:
        return Notes.read(content)
    except ValidationError as error:
        fault = first_fault(error, "the whole")
        raise invalid(f"The input {name} is no notes.json: {fault}.", suggestion) from error


def _check_names(names: Sequence[str], wanted: EngraveParameters) -> None:
    if not names:
        raise invalid("Engrave needs at least one input with notes.", "Bind the output notes of a Transcribe phase.")
    if len(names) > MAX_PARTS:
        raise invalid(
            f"Engrave has {len(names)} inputs with notes; a score has at most {MAX_PARTS} parts.",
            "Leave some out of the phase's inputs.",
        )
    unfit = next((name for name in names if not _PART_NAME.fullmatch(name)), None)
    if unfit is not None:
        raise invalid(
            f"The input {unfit} cannot name a part, as the output midi-{unfit} could not be called so.",
            "Call it by lower case letters, digits and - between letters, 58 at most, such as piano.",
        )
    for field, given in (("instruments", wanted.instruments), ("names", wanted.names), ("keep", wanted.keep)):
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise invalid(
                f"parameters.engrave.{field} names {unknown[0]}, which is no part.",
                f"The parts are {', '.join(sorted(names))}.",
            )


def _check_extent(sources: Sequence[Source]) -> None:
    count = sum(len(source.part.notes) + len(source.part.hits) for source in sources)
    if count == 0:
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.EMPTY_MEDIA,
            "No notes are heard in any part.",
            "Listen to the stems: silence, noise and speech have no notes.",
        )
    if count > MAX_NOTES:
        raise invalid(
            f"The parts have {count:,} notes together; Engrave writes at most {MAX_NOTES:,}.",
            "Write fewer parts (parameters.engrave.keep), or transcribe with a lower sensitivity or a shorter piece.",
        )
    last = max(max((note.end for note in source.part.notes), default=0.0) for source in sources)
    last = max(last, max((hit.start for source in sources for hit in source.part.hits), default=0.0))
    if last > MAX_SECONDS:
        raise PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.TOO_LONG,
            f"The notes go on for {last:.0f} s; Engrave writes at most {MAX_SECONDS:.0f} s.",
            "Use a shorter piece.",
        )


def _source(name: str, notes: Notes, wanted: EngraveParameters) -> Source:
    chosen = wanted.instruments.get(name)
    instrument = Instrument(chosen) if chosen else Instrument(notes.instrument.value)
    drums = notes.instrument is ListenedFor.DRUMS
    if drums != (instrument is Instrument.DRUMS):
        heard = "strokes of drums" if drums else "notes"
        raise invalid(f"parameters.engrave.instruments.{name} is {instrument}, but {heard} are heard there.")
    label = one_row(wanted.names.get(name, ""), MAX_NAME) or _label(name, instrument, chosen is not None)
    key = instrument.value.lower() if name == NOTES_INPUT else name
    return Source(key, PartNotes(label, instrument, _heard(notes), _hits(notes)))


def _label(name: str, instrument: Instrument, chosen: bool) -> str:
    if name == NOTES_INPUT or chosen:
        return _UNNAMED if instrument is Instrument.OTHER else _spaced(instrument.value)
    return _NAMES.get(name, one_row(name.replace("-", " ").capitalize(), MAX_NAME))


def _spaced(name: str) -> str:
    """``AltoSaxophone`` as two words."""
    return "".join(f" {each.lower()}" if at and each.isupper() else each for at, each in enumerate(name))


def _heard(notes: Notes) -> tuple[HeardNote, ...]:
    found = (HeardNote(note.onset, note.offset, note.pitch, note.velocity) for note in notes.notes)
    return tuple(sorted(found, key=lambda note: (note.start, note.key)))


def _hits(notes: Notes) -> tuple[Hit, ...]:
    found = (Hit(hit.time, _DRUMS[hit.drum], hit.velocity) for hit in notes.hits)
    return tuple(sorted(found, key=lambda hit: hit.start))


def _words(inputs: Mapping[str, TaskInput], sources: Sequence[Source]) -> Sources:
    """The same, the words given to who sings them."""
    path = file_of(inputs, LYRICS_INPUT, TASK)
    lyrics = read_record(path) if path else None
    if lyrics is None or not lyrics.lines:
        return Sources(tuple(sources))
    words = sung_words(lyrics)
    singer = next((source for source in sources if source.part.instrument is Instrument.VOICE), None)
    if not words or singer is None:
        return Sources(tuple(sources), (_NO_TIMES if not words else _NO_SINGER,))
    return Sources(
        tuple(
            replace(source, part=replace(source.part, words=words)) if source is singer else source
            for source in sources
        )
    )


def sung_words(lyrics: Lyrics) -> tuple[Word, ...]:
    """The words with times, in the order in which they are sung."""
    found = [
        Word(text, word.start_milliseconds / 1_000, word.end_milliseconds / 1_000, word.joined)
        for line in lyrics.lines
        for word in line.words
        if word.start_milliseconds is not None and word.end_milliseconds is not None
        if (text := one_row(word.text, MAX_WORD))
    ]
    return tuple(sorted(found, key=lambda word: word.start))
