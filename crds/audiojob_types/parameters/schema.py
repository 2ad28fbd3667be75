"""The schema of ``parameters``: a closed object with one typed member per task, nothing required, no defaults."""

from __future__ import annotations

from typing import Any


def parameters_schema() -> dict[str, Any]:
    """JSON schema of job or phase parameters. Defaults are left out: an absent field inherits from the next layer."""
    # Imported here, because the models import this package first.
    from audiojob_types.parameters import PARAMETERS  # noqa: PLC0415

    properties: dict[str, Any] = {}
    for task, model in PARAMETERS.items():
        schema = model.model_json_schema(by_alias=True)
        schema.pop("required", None)
        for field in schema.get("properties", {}).values():
            field.pop("default", None)
        schema["description"] = f"{task.parameter_key} is for phases that run {task.value}."
        properties[task.parameter_key] = schema
    return {"type": "object", "properties": properties}
