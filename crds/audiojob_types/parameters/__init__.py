"""Parameters of each task: defaults, limits, and how the layers (job, phase, built-in) are put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from audiojob_types.base import WireModel
from audiojob_types.contract import Task
from audiojob_types.parameters.container import ContainerParameters
from audiojob_types.parameters.download import DownloadParameters
from audiojob_types.parameters.inspect import InspectParameters
from audiojob_types.parameters.normalize import NormalizeParameters
from audiojob_types.parameters.publish import PublishParameters
from audiojob_types.parameters.separate import SeparateParameters, expand_preset
from audiojob_types.parameters.simulate import SimulateParameters
from audiojob_types.parameters.thumbnail import ThumbnailParameters
from audiojob_types.parameters.transcode import TranscodeParameters

__all__ = [
    "PARAMETERS",
    "ContainerParameters",
    "DownloadParameters",
    "InspectParameters",
    "InvalidParameters",
    "NormalizeParameters",
    "PublishParameters",
    "SeparateParameters",
    "SimulateParameters",
    "ThumbnailParameters",
    "TranscodeParameters",
    "resolve_parameters",
]

PARAMETERS: Final[dict[Task, type[WireModel]]] = {
    Task.DOWNLOAD: DownloadParameters,
    Task.INSPECT: InspectParameters,
    Task.NORMALIZE: NormalizeParameters,
    Task.PUBLISH: PublishParameters,
    Task.SEPARATE: SeparateParameters,
    Task.SIMULATE: SimulateParameters,
    Task.CONTAINER: ContainerParameters,
    Task.THUMBNAIL: ThumbnailParameters,
    Task.TRANSCODE: TranscodeParameters,
}


class InvalidParameters(ValueError):  # noqa: N818 - reads as what it is where it is caught
    """Parameters that do not fit their task. ``field`` is a path such as ``parameters.separate.model``."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def resolve_parameters(task: Task, *layers: Mapping[str, Any] | None) -> WireModel:
    """The task's parameters with every field set: built-in defaults, then ``layers`` from weakest to strongest.

    Each layer is the JSON form of one task's parameters (``{"model": "htdemucs"}``), fields left out inherit,
    and so do the entries of a field that is a map.
    Raises :class:`InvalidParameters` naming the field.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        # A preset stands for the fields of its own layer: it wins over what weaker layers say.
        expanded = expand_preset(layer or {}) if task is Task.SEPARATE else layer or {}
        for name, value in expanded.items():
            old = merged.get(name)
            merged[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    try:
        return PARAMETERS[task].model_validate(merged)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(["parameters", task.parameter_key, *(str(part) for part in first["loc"])])
        raise InvalidParameters(path, first["msg"].removeprefix("Value error, ")) from None
