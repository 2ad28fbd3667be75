"""CEL rules of the API server about edits: which fields of an AudioJob's spec stay what they were."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias

from pydantic import JsonValue

from audiojob_types.base import WireModel

Rule: TypeAlias = tuple[str, str]
"""A CEL expression that must be true, and the message where it is not."""


def immutable(spec: type[WireModel], mutable: Collection[str]) -> Iterator[Rule]:
    """Rules of the spec: fields that are not among the ``mutable`` ones (wire names) are never changed."""
    for name, required in _stored_fields(spec).items():
        if name not in mutable:
            yield _unchanged("", name, required), f"{name} cannot be changed after creation; create a new AudioJob"


def immutable_at_the_end(spec: type[WireModel], names: Collection[str]) -> Iterator[Rule]:
    """Rules of the whole object: these fields are not changed once it has ended."""
    for name, required in sorted(_stored_fields(spec).items()):
        if name in names:
            yield (
                _unchanged(".spec", name, required),
                f"spec.{name} cannot be changed: the job has ended; create a new AudioJob, perhaps with retryOf",
            )


def goes_on(terminal: str) -> str:
    """Whether a job's state is not in ``terminal``, a list in CEL."""
    return f"!has(oldSelf.status) || !has(oldSelf.status.state) || !(oldSelf.status.state in {terminal})"


def as_one(rules: Sequence[Rule], unless: str, message: str) -> JsonValue:
    """All of them as one validation that tells of the first that is broken; none is looked at where ``unless`` is true.

    The API server evaluates every rule at each write, those of the spec for a status too, and looks through the
    schema of all fields for each that a rule names. ``message`` is for a server that cannot make the others.
    """
    told = "".join(f"!({rule}) ? '{text}' : " for rule, text in rules)
    return {
        "rule": f"{unless} || ({' && '.join(f'({rule})' for rule, _ in rules)})",
        "message": message,
        "messageExpression": f"{told}'{message}'",
    }


def _unchanged(at: str, name: str, required: bool) -> str:
    """The field below ``self{at}`` is what it was. One that is not ``required`` may be absent."""
    same = f"self{at}.{name} == oldSelf{at}.{name}"
    return same if required else f"has(self{at}.{name}) == has(oldSelf{at}.{name}) && (!has(self{at}.{name}) || {same})"


def _stored_fields(spec: type[WireModel]) -> dict[str, bool]:
    """Wire names of a model's fields, and whether the API server always stores them."""
    return {
        (field.alias or name): field.is_required() or field.default not in (None, ())
        for name, field in spec.model_fields.items()
    }
