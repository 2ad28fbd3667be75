"""Transcribe: the notes of a recording, or the strokes of drums, as JSON and as MIDI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from audiojob_runner.cpus import usable_cpus
from audiojob_runner.errors import PhaseError, stopped
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_runner.transcription.doubts import doubts_of, is_music
from audiojob_runner.transcription.families import FAMILIES, rules_of
from audiojob_runner.transcription.listen import hear_drums, hear_notes
from audiojob_runner.transcription.network import model
from audiojob_runner.transcription.record import About, midi_of, record_of_notes, record_of_strokes
from audiojob_runner.transcription.sound import LEAST_CENTS, SILENT, Sound, decode, measure_tuning, retuned
from audiojob_runner.transcription.tuning import Tuning
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.documents.notes import Instrument, Notes
from audiojob_types.reasons import Reason
from audiojob_types.tasks.transcribe import TranscribeParameters

AUDIO_INPUT: Final = "audio"
DECODED_PERCENT: Final = 10.0
HEARD_PERCENT: Final = 98.0
_MOST_THREADS: Final = 4  # more make it no faster


def prepare(parameters: WireModel, models_root: Path) -> model.Weights | None:
    """The library and the file of the network, which comes with the image; drums are found without it."""
    assert isinstance(parameters, TranscribeParameters)
    return None if Instrument(parameters.instrument) is Instrument.DRUMS else model.load_ahead()


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``audio`` (any file with sound) to ``notes`` (``notes.json``) and ``midi`` (``notes.mid``)."""
    assert isinstance(parameters, TranscribeParameters)
    instrument = Instrument(parameters.instrument)
    context.progress(0, "Reading the recording")
    limit = min(parameters.max_duration_seconds, context.limits.max_duration_seconds or parameters.max_duration_seconds)

    def on_decoded(share: float) -> None:
        context.progress(share * DECODED_PERCENT, "Reading the recording")

    path = _file(inputs)
    if path is None:
        if not parameters.allow_empty:
            raise PhaseError(
                ExitCode.USAGE, Reason.INVALID_SPEC, f"Transcribe needs an input file named '{AUDIO_INPUT}'."
            )
        context.progress(100, "There is no recording")
        return TaskResult([])
    sound = decode(path, limit, context, on_decoded)
    if instrument is Instrument.DRUMS:
        record, tuning = _drums(sound, parameters, context), Tuning(0.0, 1.0)
    else:
        record, tuning = _notes(sound, parameters, context)
    warnings = doubts_of(record, tuning, sound.source_rate)
    if not (record.notes or record.hits):
        if not parameters.allow_empty:
            raise _nothing(instrument, sound.peak < SILENT)
        warnings = ["Nothing is heard in the recording."]
    for warning in warnings:
        context.log.warning("%s", warning)
    return _result(record, warnings, context)


def _notes(sound: Sound, parameters: TranscribeParameters, context: TaskContext) -> tuple[Notes, Tuning]:
    instrument, seconds = Instrument(parameters.instrument), sound.seconds
    tuning = measure_tuning(sound)
    cents = tuning.cents if tuning.certain else 0.0
    heard = []
    if sound.peak >= SILENT:
        network = _network(context.prepared)
        if abs(cents) >= LEAST_CENTS:
            sound = retuned(sound, cents, context)
        rules = rules_of(instrument, parameters.sensitivity)
        heard = hear_notes(sound, network, rules, FAMILIES[instrument].voices, _reporter(context))
    if not is_music(heard, tuning, seconds, instrument):
        heard = []
    about = About(seconds, instrument, parameters.stem, cents, sound.stretch)
    sound.path.unlink()
    return record_of_notes(heard, about), tuning


def _drums(sound: Sound, parameters: TranscribeParameters, context: TaskContext) -> Notes:
    found = hear_drums(sound, parameters.sensitivity, _reporter(context)) if sound.peak >= SILENT else []
    about = About(sound.seconds, Instrument.DRUMS, parameters.stem, 0.0)
    sound.path.unlink()
    return record_of_strokes(found, about)


def _network(prepared: object | None) -> model.Network:
    threads = min(_MOST_THREADS, usable_cpus())
    try:
        if isinstance(prepared, model.Weights):
            return model.Network(prepared.content, threads)
        return model.load(threads=threads)
    except model.ModelError as error:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"Transcribe cannot load its network. {error}",
            "Use the image runner-music of this release (images.runnerMusic in the Helm values).",
        ) from error


def _reporter(context: TaskContext) -> Any:
    def on_share(share: float) -> None:
        if context.cancelled.is_set():
            raise stopped()
        percent = DECODED_PERCENT + (HEARD_PERCENT - DECODED_PERCENT) * share
        context.progress(percent, f"Listening: {100 * share:.0f} %")

    return on_share


def _file(inputs: Mapping[str, TaskInput]) -> Path | None:
    """The recording: the input ``audio``, else the first of others, which are the same stem by another name."""
    given = [inputs[AUDIO_INPUT]] if AUDIO_INPUT in inputs else list(inputs.values())
    return next((each.path for each in given if each.path is not None), None)


def _nothing(instrument: Instrument, silent: bool) -> PhaseError:
    if silent:
        return PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.EMPTY_MEDIA,
            "The recording is silent: no notes are heard.",
            "Give a recording or a stem in which something sounds; allowEmpty: true writes an empty result.",
        )
    if instrument is Instrument.DRUMS:
        return PhaseError(
            ExitCode.NOT_MEDIA,
            Reason.EMPTY_MEDIA,
            "No strokes of drums are heard.",
            "Give the stem drums of a separation, or another instrument.",
        )
    return PhaseError(
        ExitCode.NOT_MEDIA,
        Reason.EMPTY_MEDIA,
        "No notes are heard: this sounds like speech, noise or drums alone.",
        "Choose a stem with an instrument or a voice, or instrument: Drums; allowEmpty: true writes an empty result.",
    )


def _result(record: Notes, warnings: list[str], context: TaskContext) -> TaskResult:
    notes, midi = context.work_dir / "notes.json", context.work_dir / "notes.mid"
    notes.write_text(record.model_dump_json(by_alias=True, exclude_none=True))
    midi.write_bytes(midi_of(record))
    count = len(record.notes) + len(record.hits)
    about: dict[str, Any] = {
        "durationSeconds": record.duration_seconds,
        "instrument": record.instrument.value,
        "notes": count,
        "tuningCents": record.tuning_cents,
    }
    context.progress(100, f"{count} {'strokes' if record.instrument is Instrument.DRUMS else 'notes'} written")
    outputs = [
        TaskOutput("notes", notes, "application/json", about),
        TaskOutput("midi", midi, "audio/midi", about),
    ]
    return TaskResult(outputs, {"transcription": about, **({"warnings": warnings} if warnings else {})})
