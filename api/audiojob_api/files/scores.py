"""A score among the outputs of a job: its files by the names that Engrave gives them, and what is known of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, Field

from audiojob_api.files.outputs import Output, one, require_there
from audiojob_api.problems import Problem

Object = dict[str, Any]

SCORE: Final = "score"
_MIDI: Final = "midi-"
_MOST_PARTS: Final = 64
_LONGEST: Final = 200
_TIME: Final = re.compile(r"^([0-9]{1,3})/([0-9]{1,3})$")


class ScoreView(BaseModel):
    """What is known of a score. What its task did not tell is left out."""

    title: str | None = None
    artist: str | None = Field(default=None, description="Who made the piece.")
    key: str | None = Field(default=None, description="Such as `Bb major`.")
    time_signature: str | None = Field(default=None, alias="timeSignature", description="Of its first bar: `3/4`.")
    quarters_per_minute: float | None = Field(default=None, alias="quartersPerMinute", description="At its beginning.")
    steady: bool | None = Field(default=None, description="Whether that tempo holds to the end.")
    bars: int | None = None
    pages: int | None = None
    parts: list[str] = Field(default_factory=list, max_length=_MOST_PARTS)
    instruments: list[str] = Field(
        default_factory=list, max_length=_MOST_PARTS, description="Parts that have a MIDI file of their own."
    )


class CompatTime(BaseModel):
    """A time signature, for clients of older services."""

    numerator: int
    denominator: int


class CompatScore(BaseModel):
    """A score as clients of older services expect it."""

    tempo: float | None
    key_signature: str | None
    time_signature: CompatTime | None


_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "title": (str,), "artist": (str,), "key": (str,), "timeSignature": (str,), "quartersPerMinute": (int, float),
    "steady": (bool,), "bars": (int,), "pages": (int,),
}  # fmt: skip


def part_of_score(job: Object, outputs: Sequence[Output], name: str) -> Output:
    """The file of this name. Raises a 202, 404 or 409 Problem where there is none."""
    found = one(outputs, name, None)
    if found is None:
        require_there(job)
        raise Problem(404, "not-found", f"The job has no output {name!r}: its pipeline makes no score, or not this.")
    return found


def midi_of(job: Object, outputs: Sequence[Output], instrument: str) -> Output:
    """The MIDI file of a part. Raises a 404 Problem that names the parts that there are."""
    found = one(outputs, _MIDI + instrument, None)
    if found is None:
        require_there(job)
        there = ", ".join(instruments(outputs)) or "none"
        raise Problem(404, "not-found", f"instrument: the job has no MIDI file of {instrument!r}; it has: {there}.")
    return found


def instruments(outputs: Sequence[Output]) -> list[str]:
    """Parts that have a MIDI file of their own, in the order of the score."""
    names = (each.record.name for each in outputs)
    return list(dict.fromkeys(name.removeprefix(_MIDI) for name in names if name.startswith(_MIDI)))[:_MOST_PARTS]


def described(score: Output, outputs: Sequence[Output]) -> Object:
    """The JSON form of :class:`ScoreView`. The pod that wrote the manifest is not trusted to have written it well."""
    told = score.record.metadata
    parts = told.get("parts")
    known = {name: told[name] for name, types in _TYPES.items() if type(told.get(name)) in types}
    named = [each[:_LONGEST] for each in parts if isinstance(each, str)] if isinstance(parts, list) else []
    found = {name: _plain(value) for name, value in known.items()}
    return {**found, "parts": named[:_MOST_PARTS], "instruments": instruments(outputs)}


def as_before(shown: Object) -> Object:
    """What older clients read: of a score that tells nothing, null instead of a guess."""
    time = _TIME.match(shown.get("timeSignature", ""))
    return {
        "tempo": shown.get("quartersPerMinute"),
        "key_signature": shown.get("key"),
        "time_signature": {"numerator": int(time[1]), "denominator": int(time[2])} if time else None,
    }


def _plain(value: Any) -> Any:
    """A text of bounded length; a number that JSON has."""
    if isinstance(value, str):
        return value[:_LONGEST]
    return value if math.isfinite(value) else None
