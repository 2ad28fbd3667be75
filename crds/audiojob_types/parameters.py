"""Parameters of tasks: how the layers (job, phase, built-in) are put together, and the schema of ``parameters``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from audiojob_types.descriptor import TaskParameters
from audiojob_types.explain import explain
from audiojob_types.tasks import Task


class InvalidParameters(ValueError):  # noqa: N818 - reads as what it is where it is caught
    """Parameters that do not fit their task. ``field`` is a path such as ``parameters.separate.model``."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def resolve_parameters(task: Task, *layers: Mapping[str, Any] | None, strict: bool = True) -> TaskParameters:
    """The task's parameters with every field set: built-in defaults, then ``layers`` from weakest to strongest.

    Each layer is the JSON form of one task's parameters (``{"model": "htdemucs"}``), fields left out inherit,
    and so do the entries of a field that is a map. ``strict=False`` passes over unknown fields: for a phase file, whose
    parameters a newer operator may have resolved.
    Raises :class:`InvalidParameters` naming the field.
    """
    model = task.descriptor.parameters
    merged: dict[str, Any] = {}
    for layer in layers:
        # A preset stands for the fields of its own layer: it wins over what weaker layers say.
        for name, value in model.expand(layer or {}).items():
            old = merged.get(name)
            merged[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    try:
        return model.model_validate(merged) if strict else model.read(merged)
    except ValidationError as error:
        first = explain(error.errors(include_url=False), model.model_json_schema(), described=True)[0]
        path = ".".join(["parameters", task.parameter_key, *(str(part) for part in first.path)])
        raise InvalidParameters(path, first.message) from None


def parameters_schema() -> dict[str, Any]:
    """JSON schema of job or phase parameters: a closed object with one typed member for each task, none required.

    Defaults are left out: an absent field inherits from the next layer.
    """
    properties: dict[str, Any] = {}
    for task in Task:
        schema = task.descriptor.parameters.model_json_schema(by_alias=True)
        schema.pop("required", None)
        for field in schema.get("properties", {}).values():
            field.pop("default", None)
        schema["description"] = f"{task.parameter_key} is for phases that run {task.value}."
        properties[task.parameter_key] = schema
    return {"type": "object", "properties": properties}
