"""Phases that need a model: they wait for one that is on its way, and fail early where none can come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audiojob_operator.building.precedence import phase_parameters
from audiojob_types.base import format_time
from audiojob_types.models import KNOWN_MODELS, UNTRAINED_MODEL, ModelBook, ModelRecord, ModelState
from audiojob_types.parameters import InvalidParameters
from audiojob_types.resources.job import AudioJobSpec
from audiojob_types.resources.pipeline import Phase

# Ten times what the prefetch Job lets pass between two reports.
STALE_AFTER: Final = timedelta(minutes=5)
_PERCENT_STEP: Final = 10


@dataclass(frozen=True, slots=True)
class ModelWait:
    """What is said of a phase that waits. ``until``: look again then, though nothing was reported."""

    message: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class NoModelsVolume:
    """Why a job cannot end well where no models volume is mounted, and the way out."""

    message: str
    suggestion: str


def needed_models(spec: AudioJobSpec, phase: Phase) -> tuple[str, ...]:
    """The models whose files the phase needs; none if its parameters do not fit."""
    if not phase.task.descriptor.uses_models:
        return ()
    try:
        named = phase_parameters(spec, phase).models
    except InvalidParameters:
        return ()  # reported when the phase is built
    return tuple(name for name in named if name != UNTRAINED_MODEL)


def lacks_model(spec: AudioJobSpec, phase: Phase, unready: frozenset[str]) -> bool:
    """Whether the phase needs one of the models that are not there yet."""
    return bool(unready) and not unready.isdisjoint(needed_models(spec, phase))


def model_wait(spec: AudioJobSpec, phase: Phase, book: ModelBook | None, now: datetime) -> ModelWait | None:
    """Why the phase waits for its model; None if it does not.

    Of a model that the book does not name nothing is known: the runner looks for it, and says so if it is missing.
    """
    if book is None or not lacks_model(spec, phase, book.unready):
        return None
    name = next(name for name in needed_models(spec, phase) if name in book.unready)
    record = book.records.get(name)
    until = record.report_time + STALE_AFTER if record is not None and record.report_time is not None else None
    ahead = until if until is not None and now < until else None
    return ModelWait(
        f"Phase {phase.name} waits for the model {name} ({_standing(record, now)}).{_advice(record)}", ahead
    )


def no_models_volume(spec: AudioJobSpec, phases: Iterable[Phase], book: ModelBook | None) -> NoModelsVolume | None:
    """What is said of a job with a phase whose model nobody brings; None if there is no such phase.

    A model that is named for prefetch is on its way: the operator learns of the volume with its next rollout.
    """
    named = frozenset() if book is None else book.wanted
    for phase in phases:
        for name in needed_models(spec, phase):
            if name not in named:
                return NoModelsVolume(
                    f"Phase {phase.name} needs the model {name}, but no models volume is configured.", _way_out(name)
                )
    return None


def _way_out(name: str) -> str:
    """For the administrator first; whoever only tries out the system needs no weights."""
    filled = (
        f"and models.prefetch.enabled of the chart, with {name} in models.prefetch.models"
        if name in KNOWN_MODELS
        else f"of the chart and to put {name} into the volume"
    )
    return (
        f"Ask the administrator to set models.enabled {filled} (docs/models.md), then create the job again. "
        f"To try out the system without weights, set parameters.separate.model to {UNTRAINED_MODEL}."
    )


def progress_shown(book: ModelBook | None) -> tuple[object, ...]:
    """What jobs that wait show of a book: not every percent of it."""
    if book is None:
        return ()
    return tuple(_mark(name, book.records.get(name)) for name in sorted(book.unready))


def _mark(name: str, record: ModelRecord | None) -> tuple[object, ...]:
    if record is None:
        return (name,)
    failed = record.message if record.state is ModelState.FAILED else ""
    return name, record.state, record.percent // _PERCENT_STEP, failed


def _standing(record: ModelRecord | None, now: datetime) -> str:
    if record is None:
        return "prefetch has not begun"
    if record.state is ModelState.FAILED:
        return f"prefetch failed: {record.message.rstrip('.') or 'no reason given'}"
    reported = record.report_time
    if reported is not None and now >= reported + STALE_AFTER:
        return f"prefetch {record.percent} %, no news since {format_time(reported)}"
    return f"prefetch {record.percent} %"


def _advice(record: ModelRecord | None) -> str:
    if record is None or record.state is not ModelState.FAILED or not record.suggestion:
        return ""
    return f" For the administrator: {record.suggestion}"
