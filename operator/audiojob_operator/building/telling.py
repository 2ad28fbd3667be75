"""The one write to a pod: what it is told that began before its inputs were there."""

from __future__ import annotations

from audiojob_operator.records.objects import Object
from audiojob_operator.records.plan import Telling
from audiojob_types.constants import ANNOTATION_INPUTS

_PATH = f"/metadata/annotations/{ANNOTATION_INPUTS.replace('/', '~1')}"


def inputs_patch(telling: Telling) -> list[Object]:
    """A JSON Patch that fits that pod alone, and only while it was told nothing."""
    operations: list[Object] = [
        {"op": "test", "path": "/metadata/uid", "value": telling.uid},
        {"op": "test", "path": _PATH, "value": ""},
        {"op": "replace", "path": _PATH, "value": telling.phase_file},
    ]
    if telling.deadline_seconds is not None:
        operations.append({"op": "add", "path": "/spec/activeDeadlineSeconds", "value": telling.deadline_seconds})
    return operations
