"""Work that another job has done, or does: what decisions ask, and the answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from pydantic import TypeAdapter, ValidationError

from audiojob_types.contract import ManifestRef
from audiojob_types.resources.job import JobOutput


@dataclass(frozen=True, slots=True)
class ReuseAsk:
    """A question of a decision: has anybody done the work of this key, or is anybody at it?

    The result must have been there since ``finished_since`` at the earliest, and be kept until ``kept_until``; None is
    any age, and for ever. ``priority`` is that of the job that asks.
    """

    key: str
    priority: int
    finished_since: datetime | None = None
    kept_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Donor:
    """A finished phase that did the work: of which job, what it published, when, and until when that is kept."""

    job: str
    phase: str
    manifest: ManifestRef
    outputs: tuple[JobOutput, ...]
    finished: datetime | None = None
    expires: datetime | None = None
    warnings: tuple[str, ...] = ()
    log_key: str | None = None
    review_asked: str | None = None


_DONOR: Final = TypeAdapter(Donor)


def donor_to_text(donor: Donor) -> str:
    """The donor as an annotation of the Job that is offered its result."""
    return _DONOR.dump_json(donor, by_alias=True, exclude_none=True).decode()


def donor_from_text(text: str | None) -> Donor | None:
    """What an annotation says; None if there is none, or another version wrote it in a way that is not known here."""
    try:
        return _DONOR.validate_json(text) if text else None
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class SameWork:
    """A job whose live attempt does the work. ``held``: the reason that keeps it from running, if any does."""

    job: str
    priority: int
    held: str = ""


@dataclass(frozen=True, slots=True)
class Fresh:
    """Nobody has done the work or is at it: whoever asked may."""


ReuseAnswer: TypeAlias = Donor | SameWork | Fresh
