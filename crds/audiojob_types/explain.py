"""Sentences about fields that do not fit their model: a misspelt name is explained by the name that was meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

Schema = Mapping[str, Any]
Details = Mapping[str, Any]  # pydantic's ErrorDetails

# A list of every known field helps only while it can be read at a glance.
_MOST_NAMES: Final = 12
# What pydantic says of these names classes of Python, which nobody knows who writes JSON or YAML.
_NO_OBJECT: Final = frozenset({"model_type", "model_attributes_type", "dict_type", "mapping_type"})
_NO_LIST: Final = frozenset({"tuple_type", "list_type"})
# Comparing names takes time, and a body may have very many of them.
_MOST_EXPLAINED: Final = 16


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; ``path`` leads to it by names and positions."""

    path: tuple[int | str, ...]
    message: str


def explain(errors: Iterable[Details], schema: Schema, *, described: bool = False) -> list[FieldError]:
    """The errors of one model, unknown fields first: a misspelt name is often why another field is missing.

    ``schema`` is the model's JSON schema. ``described``: its descriptions say how fields are written, and are told in
    place of the patterns.
    """
    misspelt: list[FieldError] = []
    others: list[FieldError] = []
    for error in errors:
        path = error["loc"]
        if error["type"] == "extra_forbidden" and path:
            known = known_fields(schema, path[:-1]) if len(misspelt) < _MOST_EXPLAINED else ()
            misspelt.append(FieldError(path, unknown("field", str(path[-1]), known)))
        elif described and error["type"] == "string_pattern_mismatch" and (meaning := _description(schema, path)):
            others.append(FieldError(path, f"is not written as it must be: {meaning}"))
        else:
            others.append(FieldError(path, _in_words(error, schema)))
    return [*misspelt, *others]


def _in_words(error: Details, schema: Schema) -> str:
    if error["type"] in _NO_OBJECT:
        known = known_fields(schema, error["loc"])
        return "must be an object" + (
            f" with fields of these: {', '.join(known)}" if 0 < len(known) <= _MOST_NAMES else ""
        )
    if error["type"] in _NO_LIST:
        return "must be a list"
    message: str = error["msg"]
    return message.removeprefix("Value error, ")


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """What to say of a ``kind`` of thing by a name that does not exist, where these do."""
    lowered = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), list(lowered), n=1)
    if near:
        return f"unknown {kind}, did you mean {lowered[near[0]]}?"
    if known and len(known) <= _MOST_NAMES:
        return f"unknown {kind}; known {kind}s are {', '.join(known)}"
    return f"unknown {kind}; leave it out"


def known_fields(root: Schema, path: Sequence[int | str]) -> list[str]:
    """Names of the fields that the object at ``path`` may have; none where the schema does not list them."""
    return sorted({name for each in _at(root, path) for name in each.get("properties", {})})


def _description(root: Schema, path: Sequence[int | str]) -> str | None:
    """What the field at ``path`` is, which says more to people than the pattern that it must match."""
    return next((each["description"] for each in _at(root, path) if "pattern" in each and "description" in each), None)


def _at(root: Schema, path: Sequence[int | str]) -> list[Schema]:
    here = [*_alternatives(root, root)]
    for step in path:
        here = [found for each in here for child in _children(each, step) for found in _alternatives(child, root)]
    return here


def _alternatives(schema: Schema, root: Schema) -> Iterable[Schema]:
    """The schema itself, with references followed and alternatives taken apart."""
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target.get(part, {})
        yield from _alternatives(target, root)
        return
    members = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    for member in members:
        yield from _alternatives(member, root)
    if not members:
        yield schema


def _children(schema: Schema, step: int | str) -> Iterable[Schema]:
    found = (schema.get("items") if isinstance(step, int) else schema.get("properties", {}).get(step)) or schema.get(
        "additionalProperties"
    )
    if isinstance(found, Mapping):
        yield found
